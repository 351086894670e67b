#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: fence
short_description: Keeps a host of a store from serving clients and taking deliveries
version_added: 0.1.0
description:
  - Fences the host on which it runs, or lets it serve again.
  - A fenced host has no process left that serves a client, an administrator's included, no open
    port for clients, and nothing that Cyrus runs at set times. What is under way is finished and
    answered. Clients that are active see Cyrus's own shutdown notice.
  - The fence outlives a restart of Cyrus and a reboot. Replication out of the host goes on.
  - A host that can't be fenced, as while another program writes mailboxes, serves again.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  state:
    description: Whether the host is to be fenced.
    type: str
    choices: [present, absent]
    default: present
  by:
    description:
      - Who fences or releases. Only V(administrator) releases what another has fenced, and
        V(failover) takes over what V(guard) or V(switchover) has.
    type: str
    choices: [switchover, guard, failover, reseed, administrator]
    default: administrator
  reason:
    description:
      - Why, as C(status) shows it; with O(state=present) it is V(fenced by hand) unless given.
      - With O(state=absent), only a fence that was put for this reason is removed, unless by an
        V(administrator).
    type: str
  force:
    description:
      - With O(state=absent), let a master serve that could not ask any peer since its boot whether
        it still is the master. Look at the other hosts of the store yourself before.
    type: bool
    default: false
  epoch:
    description:
      - Fences or releases the host only while its role record is of this epoch, so that nothing is
        done or taken back that belongs to a later change of master.
    type: int
  timeout:
    description: Seconds in which it has to be done.
    type: float
    default: 30
  limit:
    description:
      - With O(state=present), seconds after which C(cyrus-guard.service) lets a master serve again
        where nobody has done so before, as when the controller has died; 30 days at most.
    type: float
"""

EXAMPLES = r"""
- name: No client and no delivery on this host any more
  mailops.cyrus.fence:
    reason: the disk is replaced

- name: Serve again
  mailops.cyrus.fence:
    state: absent
"""

RETURN = r"""
fence:
  description: The fence as it is now, null where there is none; V(until) is its limit.
  returned: always; of a call that failed the one before
  type: dict
  sample: {since: "2026-01-01T00:00:00Z", by: administrator, reason: the disk, until: null}
ended:
  description: How many processes of each service had to end.
  returned: success
  type: dict
  sample: {imap: 12, lmtp: 2}
seconds:
  description: How long it took.
  returned: success
  type: float
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _fence, _fencing
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

_LONGEST = 30 * 86400


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "by": {"type": "str", "choices": list(_fence.BY), "default": "administrator"},
            "reason": {"type": "str"},
            "force": {"type": "bool", "default": False},
            "epoch": {"type": "int"},
            "timeout": {"type": "float", "default": 30},
            "limit": {"type": "float"},
        },
        supports_check_mode=True,
    )
    params = module.params
    limit = params["limit"]
    if limit is not None and not 0 < limit <= _LONGEST:
        module.fail_json(msg=f"limit is {limit}: give seconds, {_LONGEST} at most")
    before = None
    try:
        before = _fence.read()
        if params["state"] == "absent":
            options = {name: params[name] for name in ("reason", "force", "epoch")}
            done = _fencing.release(
                params["by"], params["timeout"], check=module.check_mode, **options
            )
        else:
            done = _fencing.fence(
                params["by"],
                params["reason"] or "fenced by hand",
                params["timeout"],
                limit,
                params["epoch"],
                module.check_mode,
            )
    except ReplicationError as error:
        module.fail_json(msg=str(error), fence=dataclasses.asdict(before) if before else None)
    module.exit_json(
        **dataclasses.asdict(done),
        diff={
            "before": dataclasses.asdict(before) if before else {},
            "after": dataclasses.asdict(done.fence) if done.fence else {},
        },
    )


if __name__ == "__main__":
    main()
