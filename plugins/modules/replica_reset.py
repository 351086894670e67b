#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: replica_reset
short_description: Drops mailboxes of a superseded master, so that the new master sends its own
version_added: 0.1.0
description:
  - Drops all that a superseded host has of some users, and of the shared mailboxes where asked, as
    the playbook C(rejoin) does after C(copyback) has saved what exists there only.
  - Cyrus's replication would put two histories of a mailbox together in ways that lose mail, so a
    mailbox that differs goes as a whole.
  - All of it is set aside before anything is dropped, in the folder C(rejoin-aside.) of each
    partition, of the Sieve directory and of the configuration directory, in the same tree.
    Messages are linked and take no room.
  - The same call again completes one that was interrupted. Mailboxes of heartbeats are dropped too.
  - Refuses on a host that is not superseded, and where what is dropped would be logged for
    replication.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  epoch:
    description: The epoch in which this host was superseded.
    type: int
    required: true
  state:
    description:
      - V(dropped) drops them.
      - V(proven) notes that the host was shown to be equal to its master afterwards.
      - V(discarded) removes what was set aside. Refused where that is not proven, or was not
        O(whole).
    type: str
    choices: [dropped, proven, discarded]
    default: dropped
  users:
    description: Userids whose mailboxes, subscriptions, seen state and scripts are dropped.
    type: list
    elements: str
    default: []
  shared:
    description: Whether the shared mailboxes are dropped.
    type: bool
    default: false
  whole:
    description: Whether all that is dropped is saved elsewhere.
    type: bool
    default: true
seealso:
  - module: mailops.cyrus.role
"""

EXAMPLES = r"""
- name: Let the new master send anew what differs
  mailops.cyrus.replica_reset:
    epoch: 2
    users: [anna, bert]
    shared: true

- name: Remove what was set aside
  mailops.cyrus.replica_reset:
    epoch: 2
    state: discarded
"""

RETURN = r"""
mailboxes:
  description: Internal names of the mailboxes that were there to drop.
  returned: success
  type: list
  elements: str
where:
  description: Folders in which things are aside.
  returned: success
  type: list
  elements: str
  sample: [/var/spool/cyrus/mail/rejoin-aside./2, /var/lib/cyrus/rejoin-aside./2]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _reset
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "epoch": {"type": "int", "required": True},
            "state": {
                "type": "str",
                "choices": ["dropped", "proven", "discarded"],
                "default": "dropped",
            },
            "users": {"type": "list", "elements": "str", "default": []},
            "shared": {"type": "bool", "default": False},
            "whole": {"type": "bool", "default": True},
        },
        supports_check_mode=True,
    )
    params, check = module.params, module.check_mode
    try:
        if params["state"] == "dropped":
            done = _reset.reset(
                params["epoch"], params["users"], params["shared"], params["whole"], check
            )
        elif params["state"] == "proven":
            done = _reset.prove(params["epoch"], check)
        else:
            done = _reset.discard(params["epoch"], check)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=done.changed,
        mailboxes=done.mailboxes,
        where=done.where,
        diff={"before": "".join(f"{name}\n" for name in done.mailboxes), "after": ""},
    )


if __name__ == "__main__":
    main()
