#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: config
short_description: Writes the configuration that a host of a store needs in its role
version_added: 0.1.0
description:
  - Renders C(imapd.conf), C(cyrus.conf) and the files of the replication link for a role, checks
    them together and replaces them. A site's comments, order and settings stay. What the role
    forbids is commented out with a mark and comes back when the role changes.
  - Nothing is replaced if an entry of C(cyrus.conf) names a program that is not installed, or if
    Cyrus refuses the new C(imapd.conf).
  - Restarts nothing; see M(mailops.cyrus.units) for that.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
    details:
      - Where Cyrus is not installed, the files are rendered but not checked.
  diff_mode:
    support: full
    details:
      - Secrets are left out.
  idempotent:
    support: full
options:
  store:
    description: The store.
    type: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      hosts:
        description: All of its hosts.
        type: list
        elements: dict
        required: true
        suboptions:
          name:
            description: Name of the host in the inventory and in its certificate.
            type: str
            required: true
          address:
            description: Address at which the other hosts reach it.
            type: str
            required: true
          upstream:
            description: Host that feeds it where neither of the two is master, the master where it
              is empty.
            type: str
            default: ""
      link:
        description: How replication travels.
        type: str
        choices: [tls, plain]
        default: tls
      link_port:
        description: Port of a replica for replication.
        type: int
        default: 2015
      link_admin_port:
        description: Port of a replica for comparisons.
        type: int
        default: 2016
      guard_port:
        description: Port at which each host tells the others its role and epoch.
        type: int
        default: 2017
      admin_user:
        description: Cyrus administrator.
        type: str
        default: cyrus
      replication_user:
        description: Account that replication logs in with.
        type: str
        default: replication
  host:
    description: Name of this host.
    type: str
    required: true
  role:
    description: What this host is.
    type: str
    choices: [master, replica, fenced]
    required: true
  master:
    description: Name of the store's master.
    type: str
    required: true
  replication_password:
    description: Password of the replication account.
    type: str
    required: true
  settings:
    description: Further options of C(imapd.conf).
    type: dict
    default: {}
  services:
    description:
      - Further services of C(cyrus.conf), each with its arguments, for example
        C(cmd="imapd -s" listen="993").
      - In a C(cyrus.conf) that the collection wrote, an empty value removes a default service.
    type: dict
    default: {}
  link_ca:
    description: Certificate of the authority that signed the certificates of the link (PEM).
    type: str
  link_cert:
    description: Certificate of this host (PEM).
    type: str
  link_key:
    description: Private key of this host (PEM).
    type: str
  files:
    description: Files that go with the configuration, such as unit files.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Where it lies.
        type: path
        required: true
      content:
        description: What it holds.
        type: str
        required: true
      encoding:
        description:
          - How O(files[].content) is written.
          - Of a file in V(base64) a difference shows no more than its checksum.
        type: str
        choices: [text, base64]
        default: text
      executable:
        description: Whether it is a program.
        type: bool
        default: false
"""

EXAMPLES = r"""
- name: A replica
  mailops.cyrus.config:
    store:
      name: store1
      hosts:
        - {name: imap1, address: 198.51.100.11}
        - {name: imap2, address: 198.51.100.12}
    host: imap2
    role: replica
    master: imap1
    replication_password: "{{ vault_cyrus_replication_password }}"
    link_ca: "{{ lookup('ansible.builtin.file', 'ca.pem') }}"
    link_cert: "{{ lookup('ansible.builtin.file', 'imap2.pem') }}"
    link_key: "{{ lookup('ansible.builtin.file', 'imap2.key') }}"
"""

RETURN = r"""
changed_files:
  description: Files that were replaced.
  returned: success
  type: list
  elements: str
removed_files:
  description: Files that were removed.
  returned: success
  type: list
  elements: str
backup_files:
  description: Copies of the site's files as they were.
  returned: success
  type: list
  elements: str
units:
  description: Units that have to run in this role, for O(mailops.cyrus.units#module:units).
  returned: success
  type: list
  elements: dict
"""

from ansible_collections.mailops.cyrus.plugins.module_utils import _configure
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._module import SecretiveModule

HOST = {
    "name": {"type": "str", "required": True},
    "address": {"type": "str", "required": True},
    "upstream": {"type": "str", "default": ""},
}
STORE = {
    "name": {"type": "str", "required": True},
    "hosts": {"type": "list", "elements": "dict", "required": True, "options": HOST},
    "link": {"type": "str", "choices": ["tls", "plain"], "default": "tls"},
    "link_port": {"type": "int", "default": 2015},
    "link_admin_port": {"type": "int", "default": 2016},
    "guard_port": {"type": "int", "default": 2017},
    "admin_user": {"type": "str", "default": "cyrus"},
    "replication_user": {"type": "str", "default": "replication"},
}
FILE = {
    "path": {"type": "path", "required": True},
    "content": {"type": "str", "required": True},
    "encoding": {"type": "str", "choices": ["text", "base64"], "default": "text"},
    "executable": {"type": "bool", "default": False},
}
ARGUMENTS = {
    "store": {"type": "dict", "required": True, "options": STORE},
    "host": {"type": "str", "required": True},
    "role": {"type": "str", "required": True, "choices": ["master", "replica", "fenced"]},
    "master": {"type": "str", "required": True},
    "replication_password": {"type": "str", "required": True, "no_log": True},
    "settings": {"type": "dict", "default": {}},
    "services": {"type": "dict", "default": {}},
    "link_ca": {"type": "str"},
    "link_cert": {"type": "str"},
    "link_key": {"type": "str", "no_log": True},
    "files": {"type": "list", "elements": "dict", "default": [], "options": FILE},
}


def main() -> None:
    module = SecretiveModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    try:
        result = _configure.carry_out(module.params, module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
