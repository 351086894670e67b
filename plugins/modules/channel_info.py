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
    on the replica, how far the replica is behind, what waits, and what is in quarantine.
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
    paused:
      description: Whether the channel is told to take nothing from its log.
      type: bool
      returned: success
    replicator:
      description:
        - What the replicator says of itself, null where none has ever run. C(state) is C(starting),
          C(running), C(away) (the replica does not answer), C(stalled) (the replica can store
          nothing), C(paused) or C(stopped), since C(since) for C(reason). C(replicated) is when it
          last had replicated all that it had taken.
      type: dict
      returned: success
      sample:
        state: away
        reason: "imap2: nothing listens at 127.0.0.3 port 12006"
        since: "2026-11-01T10:00:00Z"
        replicated: "2026-11-01T09:59:58Z"
    link:
      description: Whether the master can log in on the replica, and why not.
      type: dict
      returned: success
      sample: {ok: false, reason: "imap2: its certificate is not accepted: certificate has expired"}
    backlog:
      description:
        - Entries and bytes that wait in the sync log, and the age of the oldest in seconds.
          C(run_age) is for how long the part that is being worked off has been written, null where
          there is none, C(held) how many events wait with what is in quarantine.
        - Null where the log can't be read.
      type: dict
      returned: success
      sample: {entries: 3, bytes: 71, oldest: 0.4, run_age: null, held: 0}
    lag:
      description:
        - Seconds that the replica is behind, by a heartbeat that is written on the master and read
          on the replica. Null where that is not known.
      type: float
      returned: success
    quarantine:
      description:
        - What is left aside so that the rest goes on, as M(mailops.cyrus.quarantine_info) returns
          it; null where that can't be read.
      type: list
      elements: dict
      returned: success
    doubt:
      description:
        - Since when and why events may have been lost, null where nothing speaks for that or a
          comparison has shown since that nothing differs.
      type: dict
      returned: success
      sample: {since: "2026-11-01T10:00:00Z", reason: "Cyrus did not end in order"}
    reason:
      description: Why something here is not known.
      type: str
      returned: success
    parity:
      description:
        - The last comparison that the playbook C(parity) has noted, null without one. Its
          C(in_sync) is null while there is a doubt that is newer.
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
