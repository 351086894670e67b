#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: parity_info
short_description: Tells whether a replica of a Cyrus IMAP server has all that the master has
version_added: 0.1.0
description:
  - Reads the state of both servers over Cyrus's sync protocol, compares it, looks again at what
    differs once the replica has had the time to catch up, and reports each difference.
  - Runs on the master of the pair, or on any host that reaches both servers over IMAP.
  - What cannot be reached, read or understood is reported as unknown, and RV(in_sync) is then never
    V(true). The module itself does not fail for it.
  - Shows its progress while it runs.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
options:
  store:
    description: Name of the store, for the report.
    type: str
    required: true
  epoch:
    description: The store's epoch, for the report.
    type: int
  level:
    description:
      - V(summary) compares users, mailboxes and their checksums, quotas, subscriptions, seen state
        and Sieve scripts, and opens record by record what the checksums do not vouch for.
      - V(messages) compares every record of every mailbox.
    type: str
    choices: [summary, messages]
    default: summary
  channel:
    description:
      - Sync log channel of the replica, when the module runs on the master. It tells what is still
        on its way. An empty string is Cyrus's channel without a name.
    type: str
  settle:
    description: How many seconds the replica may take to catch up before what differs is lagging.
    type: float
    default: 30
  progress:
    description: File on the host in which to note how far the module is.
    type: path
  master:
    description:
      - How to reach the master; with its name alone, by the private socket that C(setup) has made
        on the host on which the module runs.
    type: dict
    required: true
    suboptions: &endpoint
      name:
        description: Name of the host, for the report.
        type: str
        required: true
      transport:
        description:
          - V(imap) is the sync protocol inside of IMAP, as an admin.
          - V(csync) is Cyrus's own sync service; it cannot list mailboxes, so it serves for the
            host on which the module runs.
        type: str
        choices: [csync, imap]
        default: csync
      path:
        description: Unix socket of the service, on the host on which the module runs.
        type: path
      host:
        description: Name or address.
        type: str
      port:
        description: Port of the service.
        type: int
        default: 143
      user:
        description:
          - An admin of that server. Not needed for csync on a unix socket. For the replica, the one
            with whom the channel's sync_client logs in is the default.
        type: str
      password:
        description: The admin's password.
        type: str
      tls:
        description: Whether and when TLS begins; with it, the server's certificate is verified.
        type: str
        choices: [none, starttls, implicit]
        default: none
      ca_file:
        description: Certificates that may sign the server's; the system's by default.
        type: path
      cert_file:
        description: Certificate to show to the server.
        type: path
      key_file:
        description: Key of that certificate.
        type: path
      tls_name:
        description: Name that the server's certificate must have; the host's by default.
        type: str
      virtdomains:
        description: Whether the server has virtual domains.
        type: bool
        default: false
      connect_timeout:
        description: Seconds to wait for a connection, and for each step until the login is done.
        type: float
        default: 10
      answer_timeout:
        description: Seconds to wait for an answer after that.
        type: float
        default: 60
  replica:
    description:
      - How to reach the replica; with its name alone, over the link that C(setup) has made. It then
        needs O(channel).
    type: dict
    required: true
    suboptions: *endpoint
"""

EXAMPLES = r"""
- name: Is the replica in sync, on the master of a store that setup has made
  mailops.cyrus.parity_info:
    store: mail
    channel: imap2
    master:
      name: imap1
    replica:
      name: imap2

- name: Is the replica in sync, over IMAP with an admin's login
  mailops.cyrus.parity_info:
    store: mail
    channel: ""
    master:
      name: imap1
      transport: imap
      host: imap1.example.com
      port: 993
      tls: implicit
      user: cyrus
      password: "{{ cyrus_admin_password }}"
    replica:
      name: imap2
      transport: imap
      host: imap2.example.com
      port: 993
      tls: implicit
      user: cyrus
      password: "{{ cyrus_admin_password }}"
  register: parity

- name: Refuse to go on otherwise
  ansible.builtin.assert:
    that: parity.in_sync is true
"""

RETURN = r"""
report:
  description: The whole document, as the playbook C(parity) writes it.
  returned: success
  type: dict
store:
  description: Name of the store.
  returned: success
  type: str
master:
  description: Name of the master.
  returned: success
  type: str
replica:
  description: Name of the replica.
  returned: success
  type: str
level:
  description: The level.
  returned: success
  type: str
epoch:
  description: The store's epoch, null where it is not known.
  returned: success
  type: int
in_sync:
  description:
    - V(false) where anything differs, else null where something lags, is unknown or was skipped
      (C(skipped) in RV(report)), else V(true).
  returned: success
  type: bool
seconds:
  description: How long it took.
  returned: success
  type: float
compared:
  description: How many users, mailboxes, messages and bytes were compared.
  returned: success
  type: dict
  sample: {users: 500, mailboxes: 2000, messages: 0, bytes: 0}
differences:
  description: What differs. What one side has not is null there.
  returned: success
  type: list
  elements: dict
  sample:
    - kind: message_flags
      user: anna
      mailbox: user.anna
      uid: 7
      field: "\\flagged"
      master: false
      replica: true
lagging:
  description: What differed when the time was up and may still be on its way; as RV(differences).
  returned: success
  type: list
  elements: dict
unknown:
  description: What could not be compared, with the reason.
  returned: success
  type: list
  elements: dict
  sample: [{scope: store, reason: "imap2: nothing listens at 198.51.100.12 port 2016"}]
"""

from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._module import SecretiveModule
from ansible_collections.mailops.cyrus.plugins.module_utils._pair import check, pair_of
from ansible_collections.mailops.cyrus.plugins.module_utils._progress import reporter

ENDPOINT = {
    "name": {"type": "str", "required": True},
    "transport": {"type": "str", "choices": ["csync", "imap"], "default": "csync"},
    "path": {"type": "path"},
    "host": {"type": "str"},
    "port": {"type": "int", "default": 143},
    "user": {"type": "str"},
    "password": {"type": "str", "no_log": True},
    "tls": {"type": "str", "choices": ["none", "starttls", "implicit"], "default": "none"},
    "ca_file": {"type": "path"},
    "cert_file": {"type": "path"},
    "key_file": {"type": "path", "no_log": False},
    "tls_name": {"type": "str"},
    "virtdomains": {"type": "bool", "default": False},
    "connect_timeout": {"type": "float", "default": 10},
    "answer_timeout": {"type": "float", "default": 60},
}


def main() -> None:
    side = {
        "type": "dict",
        "required": True,
        "options": ENDPOINT,
        "mutually_exclusive": [("path", "host")],
    }
    module = SecretiveModule(
        argument_spec={
            "store": {"type": "str", "required": True},
            "epoch": {"type": "int"},
            "level": {"type": "str", "choices": ["summary", "messages"], "default": "summary"},
            "channel": {"type": "str"},
            "settle": {"type": "float", "default": 30},
            "progress": {"type": "path"},
            "master": side,
            "replica": side,
        },
        supports_check_mode=True,
    )
    try:
        document = check(pair_of(module.params), reporter(module.params["progress"]))
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    # Ansible has a meaning of its own for these two words at the top of a result.
    top = {key: value for key, value in document.items() if key not in ("skipped", "started")}
    module.exit_json(report=document, **top)


if __name__ == "__main__":
    main()
