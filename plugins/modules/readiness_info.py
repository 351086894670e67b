#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: readiness_info
short_description: Tells all of a host that decides whether it can take part in a change of master
version_added: 0.1.0
description:
  - Reads version, role, fence, layout, disk space, certificate, doubts and what is under way on a
    host of a store, and asks the other hosts of the store for their epoch.
  - What can't be found out is null, and RV(unknown) says why. The module itself does not fail for
    it.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
seealso:
  - module: mailops.cyrus.server_info
  - module: mailops.cyrus.channel_info
"""

EXAMPLES = r"""
- name: Read what decides
  mailops.cyrus.readiness_info:
  register: readiness

- name: Refuse what is not known
  ansible.builtin.assert:
    that: readiness.unknown | length == 0
    fail_msg: "{{ readiness.unknown.values() | join('; ') }}"
"""

RETURN = r"""
version:
  description: Version of Cyrus.
  returned: always
  type: str
  sample: cyrus-imapd 3.6.1-Debian-3.6.1-4+deb12u5
version_tuple:
  description: Its numbers.
  returned: always
  type: list
  elements: int
  sample: [3, 6, 1]
record:
  description: The host's role record, null where it has none.
  returned: always
  type: dict
fence:
  description: Since when, by whom and why the host is fenced for a time, null where it is not.
  returned: always
  type: dict
  sample: {since: "2026-11-01T10:00:00Z", by: switchover, reason: imap2 becomes master}
cleared:
  description: Whether the host may serve in the epoch of its record.
  returned: always
  type: bool
layout:
  description: Settings that have to be equal on all hosts of a store.
  returned: always
  type: dict
partitions:
  description:
    - Each partition's folder and the room on its file system. Those for metadata and archives have
      their kind before the name.
  returned: always
  type: dict
  sample:
    default:
      path: /var/spool/cyrus/mail
      free_bytes: 4000000000
      total_bytes: 8000000000
      used_bytes: 4000000000
config_directory:
  description: The same of Cyrus's configuration directory.
  returned: always
  type: dict
certificate:
  description:
    - When the link's certificate ends, or its authority's if that is sooner. Null where the link is
      plain.
  returned: always
  type: dict
  sample: {not_after: "2027-11-01T10:00:00Z", days_left: 364.9}
peers:
  description: What each other host of the store has answered just now.
  returned: always
  type: dict
  sample:
    imap2: {reached: true, epoch: 3, role: replica, master: imap1, fenced: false, reason: null}
heartbeat:
  description:
    - The newest heartbeat of the master that has come to this replica, by the master's clock; null
      on other hosts.
  returned: always
  type: dict
  sample: {written: 1793527200, at: "2026-11-01T10:00:00Z"}
parity:
  description: The last comparison of this replica with its master; null where none is noted here.
  returned: always
  type: dict
  sample: {in_sync: true, level: summary, started: "2026-11-01T09:00:00Z", epoch: 3}
doubt:
  description: Since when and why what is on this host may not be whole, null where nothing says so.
  returned: always
  type: dict
activities:
  description: What is under way here that a change of master would disturb, a sentence each.
  returned: always
  type: list
  elements: str
  sample: ["reseed of imap3 is under way since 2026-11-01T10:00:00Z"]
reseed:
  description: The reseed that this host is in, with its source and how far it is; null without one.
  returned: always
  type: dict
  sample: {source: imap2, since: "2026-11-01T10:00:00Z", phase: copying}
backup:
  description: The backup that is being made of this host; null without one.
  returned: success
  type: dict
trees:
  description:
    - The folders that a copy of this host's Cyrus consists of, C(paths) by name, and C(troubles),
      why such a copy would not be all.
  returned: always
  type: dict
databases:
  description:
    - What is in use here and is not replicated, and what that means for a change of master. Where
      each user has a file, C(path) is their folder and C(bytes) is null. C(accounts) are the logins
      in a SASL database, without their passwords.
  returned: always
  type: list
  elements: dict
  sample:
    - name: sasldb
      path: /etc/sasldb2
      bytes: 12288
      advice: "accounts are not replicated: keep the file equal on all hosts of the store"
      accounts: [anna, cyrus]
read_only:
  description: Whether the role record could not be written.
  returned: always
  type: bool
clock:
  description: The host's time in seconds since 1970.
  returned: always
  type: float
unknown:
  description: Why something of the above is null, by its name.
  returned: always
  type: dict
  sample: {certificate: "the certificate /etc/cyrus-replication/cert.pem can't be read: run setup"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils._readiness import describe


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    module.exit_json(**describe())


if __name__ == "__main__":
    main()
