#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: channel_info
short_description: Tells whether replication from a master of Cyrus IMAP runs and what waits for it
version_added: 0.1.0
description:
  - For each replica of the store, whether its channel runs, whether the link lets the master log in
    on the replica, and what waits in the sync log.
  - Returns no channel on a host that is not master.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
"""

EXAMPLES = r"""
- name: What waits for the replicas
  mailops.cyrus.channel_info:
  register: replication

- name: Which links do not work, and why
  ansible.builtin.debug:
    msg: "{{ replication.channels | selectattr('link.reason') | map(attribute='link.reason') }}"
"""

RETURN = r"""
channels:
  description: One entry a replica, in the order of their names.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the channel.
      type: str
      returned: success
    replica:
      description: Name of the replica.
      type: str
      returned: success
    state:
      description: State of the channel's unit, as systemd names it.
      type: str
      returned: success
      sample: active
    link:
      description: Whether the master can log in on the replica, and why not.
      type: dict
      returned: success
      sample: {ok: false, reason: "imap2: its certificate is not accepted: certificate has expired"}
    backlog:
      description:
        - Entries and bytes that wait in the sync log, and the age of the oldest in seconds; null
          where the log can't be read.
      type: dict
      returned: success
      sample: {entries: 0, bytes: 0, oldest: null}
    lag:
      description: Seconds that the replica is behind; null where that is not known.
      type: float
      returned: success
    reason:
      description: Why the backlog or the last comparison is not known.
      type: str
      returned: success
    parity:
      description: The last comparison that the playbook C(parity) has noted, null without one.
      type: dict
      returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils._channel import channels
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        found = channels()
    except ReplicationError as error:
        module.fail_json(msg=str(error), channels=[])
    module.exit_json(channels=found)


if __name__ == "__main__":
    main()
