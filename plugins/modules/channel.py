#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: channel
short_description: Starts, stops, pauses or drains a channel of Cyrus IMAP's replication
version_added: 0.1.0
description:
  - Brings the replicator of one channel into a state, on the master that has it.
  - Waits with V(drained) until nothing is on its way to the replica, then compares both servers.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
    details:
      - O(state=drained) changes nothing, so it does the same in check mode.
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  name:
    description: Name of the channel, which is its replica's in lower-case letters and digits.
    type: str
    required: true
  state:
    description:
      - V(started) has it enabled, running and not paused.
      - V(stopped) has it not running now. Cyrus, a reboot or C(setup) start it again.
      - V(paused) has it running without taking anything from its log, also after a restart or a
        reboot, until it is V(started).
      - V(drained) waits until the log is gone, nothing is in hand and nothing in quarantine, and
        then compares both servers at the level C(summary). Fails and says what is left where that
        does not come about in time. A channel that is stopped, paused or away, and a log that
        nobody writes, are never drained.
    type: str
    choices: [started, stopped, paused, drained]
    default: started
  compare:
    description:
      - What V(drained) compares.
      - V(touched) is what was changed since the last comparison by C(parity) that found all equal,
        and both servers' lists of mailboxes. The master keeps who was changed in a log of its own,
        so that what was dropped from the channel's log is found as well. Where that is not known,
        all is compared, and RV(compared) says why.
      - V(live) is for a master that serves. It waits until what was logged before has been done,
        and compares all, as M(mailops.cyrus.parity_info) does while changes go on.
      - V(none) compares nothing, and waits only until what was logged before has been done. That is
        no proof.
    type: str
    choices: [all, touched, live, none]
    default: all
  accepted:
    description:
      - Internal names of mailboxes, and userids, that may be in quarantine and differ where the
        channel is V(drained).
    type: list
    elements: str
    default: []
  everything:
    description:
      - Before it is V(started), logs every user and every shared mailbox to it, so that the replica
        is brought to have all.
    type: bool
    default: false
  inherit:
    description:
      - Name of another channel. Before this one is V(started), what that one keeps in quarantine is
        logged to it, as its replica has the mail of the other one's.
    type: str
  timeout:
    description:
      - Seconds in which the state has to be reached, more than 0. A comparison that has begun is
        brought to its end.
    type: float
    default: 60
seealso:
  - module: mailops.cyrus.channel_info
  - module: mailops.cyrus.quarantine
"""

EXAMPLES = r"""
- name: Nothing goes to imap2 while its disk is exchanged
  mailops.cyrus.channel:
    name: imap2
    state: paused

- name: Go on
  mailops.cyrus.channel:
    name: imap2
    state: started

- name: Everything is on imap2
  mailops.cyrus.channel:
    name: imap2
    state: drained
    timeout: 300

- name: The same, looking only at those who were changed since the last parity
  mailops.cyrus.channel:
    name: imap2
    state: drained
    compare: touched
"""

RETURN = r"""
channel:
  description: The channel afterwards, as M(mailops.cyrus.channel_info) returns it.
  returned: when this host has the channel
  type: dict
logged:
  description: How many events were logged to it.
  returned: when O(state=started), but for check mode
  type: int
left:
  description: What keeps the channel from being drained, a sentence each.
  returned: when O(state=drained)
  type: list
  elements: str
  sample: ["user.anna is in quarantine: imap2 can't open it: its index there is damaged"]
compared:
  description: What was compared; null where it did not come to that.
  returned: when O(state=drained)
  type: dict
  contains:
    scope:
      description: V(all), or V(touched) where only what was changed was compared.
      returned: always
      type: str
      sample: touched
    users:
      description: How many users.
      returned: always
      type: int
      sample: 21
    mailboxes:
      description: How many mailboxes.
      returned: always
      type: int
      sample: 84
    why:
      description: Why it was not what O(compare) asks for.
      returned: always
      type: str
      sample: "who was touched is not known: Cyrus lost an event"
report:
  description:
    - The comparison, the report of M(mailops.cyrus.parity_info); null where it did not come to
      that.
  returned: when O(state=drained)
  type: dict
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _channel,
    _drain,
    _inherit,
    _steer,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "state": {
                "type": "str",
                "choices": ["started", "stopped", "paused", "drained"],
                "default": "started",
            },
            "compare": {
                "type": "str",
                "choices": ["all", "touched", "live", "none"],
                "default": "all",
            },
            "accepted": {"type": "list", "elements": "str", "default": []},
            "everything": {"type": "bool", "default": False},
            "inherit": {"type": "str"},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    name, state = module.params["name"], module.params["state"]
    result: dict[str, Any] = {"changed": False}
    try:
        timeout = _steer.seconds(module.params["timeout"])
        _channel.replica_of(name)
        if state == "drained":
            left = _drain.drain(name, timeout, module.params["compare"], module.params["accepted"])
            compared = left.compared and asdict(left.compared)
            result.update(left=list(left.reasons), report=left.report, compared=compared)
            if left.reasons:
                raise ReplicationError(f"channel {name} is not drained: {'; '.join(left.reasons)}")
        else:
            if state == "started" and not module.check_mode:
                result["logged"] = _log(name, module.params)
            before, after = _steer.ensure(name, state, timeout, module.check_mode)
            result.update(
                changed=before != after or bool(result.get("logged")),
                diff=_steer.differences(before, after),
            )
        result["channel"] = _channel.one(name)
    except ReplicationError as error:
        module.fail_json(msg=str(error), **_learned(name, result))
    module.exit_json(**result)


def _log(name: str, given: dict[str, Any]) -> int:
    """What has to be sent whether it is in the log or not; how many events."""
    logged = 0
    if given["inherit"]:
        _channel.replica_of(given["inherit"])
        logged += _inherit.quarantine(name, given["inherit"])
    if given["everything"]:
        logged += _inherit.everything(name)
    return logged


def _learned(name: str, result: dict[str, Any]) -> dict[str, Any]:
    """With the channel as it is after a failure, as far as that can be read."""
    try:
        return {**result, "channel": _channel.one(name)}
    except ReplicationError:
        return result


if __name__ == "__main__":
    main()
