#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quarantine
short_description: Holds, retries or releases mailboxes that fail to replicate
version_added: 0.1.0
description:
  - Gives orders to the replicators of a master of Cyrus IMAP. A mailbox in quarantine is left out
    of replication, its events are kept, and everybody else's go on.
  - What a replicator has put there is tried again and released by itself once its cause is mended;
    this module is for those who do not want to wait, and for what an administrator holds back.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
    details:
      - Whether a try would succeed is not known beforehand; it is taken for a change, and the diff
        says that it would be tried.
  diff_mode:
    support: full
  idempotent:
    support: full
    details:
      - O(state=retried) tries again each time.
options:
  state:
    description:
      - V(present) holds it back until it is released by hand. It has to exist.
      - V(retried) tries it again now, and releases it where that succeeds. What an administrator
        holds back is passed over.
      - V(released) does the same, also with what an administrator holds back, and fails where it
        still does not replicate, with the reason and what to do.
    type: str
    choices: [present, retried, released]
    required: true
  channel:
    description: Name of one channel; all of the host's by default.
    type: str
  mailbox:
    description: Internal name of a mailbox, as reports have it, such as V(user.anna.Sent).
    type: str
  user:
    description: A userid. V(present) holds all of the user, the others mean every entry of theirs.
    type: str
  all:
    description: Everything that is in quarantine; not with V(present).
    type: bool
  reason:
    description: Why it is held back, with V(present).
    type: str
    default: put here by an administrator
  timeout:
    description: Seconds to wait for each answer, more than 0.
    type: float
    default: 120
seealso:
  - module: mailops.cyrus.quarantine_info
"""

EXAMPLES = r"""
- name: The cause is mended, do not wait for the next try
  mailops.cyrus.quarantine:
    state: released
    mailbox: user.anna.Sent

- name: Keep a user's mail from the replica while it is looked at
  mailops.cyrus.quarantine:
    state: present
    channel: imap2
    user: anna
    reason: under examination
"""

RETURN = r"""
results:
  description:
    - One entry for each order that was given, none where there was nothing to do.
    - C(released) says whether it replicates now. Otherwise C(reason) says why not, and C(advice)
      what to do.
    - C(answered) is false where the replicator could not be asked, and null in check mode, where
      nothing is ordered. C(released) is null then, as it is not known.
  returned: always
  type: list
  elements: dict
  sample:
    - channel: imap2
      scope: mailbox
      name: user.anna
      answered: true
      released: false
      reason: "imap2 can't open user.anna: its index there is damaged"
      advice: "Drop the copy of anna on imap2 and retry"
released:
  description: Whether nothing of what was meant is in quarantine any more.
  returned: when the orders could be given
  type: bool
note:
  description:
    - That what was meant was not in quarantine, or is held by an administrator; null otherwise.
  returned: when the orders could be given
  type: str
  sample: user.anna.Sent is not in quarantine
quarantine:
  description: What is in quarantine afterwards, as M(mailops.cyrus.quarantine_info) returns it.
  returned: when the orders could be given
  type: list
  elements: dict
"""

from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _orders, _steer
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "choices": ["present", "retried", "released"],
                "required": True,
            },
            "channel": {"type": "str"},
            "mailbox": {"type": "str"},
            "user": {"type": "str"},
            "all": {"type": "bool"},
            "reason": {"type": "str", "default": "put here by an administrator"},
            "timeout": {"type": "float", "default": 120},
        },
        mutually_exclusive=[("mailbox", "user", "all")],
        required_one_of=[("mailbox", "user", "all")],
        required_if=[("state", "present", ("mailbox", "user"), True)],
        supports_check_mode=True,
    )
    wish = _orders.Wish(
        **{key: module.params[key] for key in ("state", "mailbox", "user", "reason")},
        everything=bool(module.params["all"]),
    )
    try:
        timeout = _steer.seconds(module.params["timeout"])
        known = _orders.channels(module.params["channel"])
        _orders.refuse_unknown(wish)
        before = _orders.listed(known)
        steps = _orders.steps(wish, known, before)
    except ReplicationError as error:
        module.fail_json(msg=str(error), results=[])
    if module.check_mode:
        module.exit_json(**_orders.told(wish, before, before, list(map(_orders.foresee, steps))))
    outcomes = [_orders.carry_out(step, timeout) for step in steps]
    try:
        result = _orders.told(wish, before, _orders.listed(known), outcomes)
    except ReplicationError as error:
        module.fail_json(msg=str(error), results=list(map(asdict, outcomes)))
    failures = _orders.failures(wish.state, outcomes)
    if failures:
        module.fail_json(msg=" ".join(failures), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
