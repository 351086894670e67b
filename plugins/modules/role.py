#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: role
short_description: Keeps the record of which host of a store is master, and makes it so
version_added: 0.1.0
description:
  - Writes the role record of a host and adds a line to its history where the record changes.
  - The record decides who is master; the inventory names the first master only.
  - With O(configure=true) all that follows from the record is brought about, from what C(setup) has
    left on the host. A master has to be fenced before it is made a replica, by the module
    M(mailops.cyrus.fence), and is not fenced any more afterwards. The same call again completes one
    that was interrupted.
  - Whoever calls it has looked at all hosts of the store. A host that is made master serves.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  store:
    description: Name of the store.
    type: str
    required: true
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
  epoch:
    description: Counts the changes of master; the same on all hosts of a store.
    type: int
    required: true
  reason:
    description: What is written to the history as the cause of a change.
    type: str
    default: setup
  configure:
    description:
      - Bring the host's configuration and its units into the role, instead of writing the record
        alone.
    type: bool
    default: false
  drained:
    description:
      - Channels whose logs have to be empty when a master is made a replica; otherwise nothing is
        changed.
    type: list
    elements: str
    default: []
  proven:
    description:
      - Channels of a new master whose replicas are known to have everything. Others begin with
        everything there is.
    type: list
    elements: str
    default: []
  rejoin:
    description:
      - Let a host that was superseded become a replica of the master that its record names, or of a
        later one. Whatever only this host had has to be saved before.
    type: bool
    default: false
    version_added: 0.1.0
  superseded:
    description:
      - Let a host that was superseded become master in a later epoch, since the host that took its
        place is lost.
    type: bool
    default: false
    version_added: 0.1.0
  timeout:
    description: Seconds in which it has to be done, with O(configure=true).
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Record that imap1 is the master of store1
  mailops.cyrus.role:
    store: store1
    host: imap2
    role: replica
    master: imap1
    epoch: 1

- name: Make the master that has been fenced and drained a replica of imap2
  mailops.cyrus.role:
    store: store1
    host: imap1
    role: replica
    master: imap2
    epoch: 2
    reason: switchover
    configure: true
    drained: [imap2, imap3]
"""

RETURN = r"""
record:
  description: The record as it is now, null where there is none.
  returned: where it can be read
  type: dict
previous:
  description: The record as it was, null where there was none.
  returned: success
  type: dict
done:
  description: What was done besides the record, with O(configure=true).
  returned: success
  type: list
  elements: str
  sample: ["write /etc/imapd.conf", "reload cyrus-imapd.service"]
seconds:
  description: How long it took.
  returned: success
  type: float
"""

import contextlib
import dataclasses
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _move, _role
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._state import timestamp

RECORD = {
    "store": {"type": "str", "required": True},
    "host": {"type": "str", "required": True},
    "role": {"type": "str", "required": True, "choices": list(_role.ROLES)},
    "master": {"type": "str", "required": True},
    "epoch": {"type": "int", "required": True},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **RECORD,
            "reason": {"type": "str", "default": "setup"},
            "configure": {"type": "bool", "default": False},
            "drained": {"type": "list", "elements": "str", "default": []},
            "proven": {"type": "list", "elements": "str", "default": []},
            "rejoin": {"type": "bool", "default": False},
            "superseded": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    params, check = module.params, module.check_mode
    wanted = _role.Record(since=timestamp(), **{key: params[key] for key in RECORD})
    try:
        if params["configure"]:
            options = {name: params[name] for name in ("drained", "proven", "rejoin", "superseded")}
            move = _move.Move(wanted, params["reason"], **options)
            moved = _move.carry_out(move, params["timeout"], check)
        else:
            moved = _move.record_only(wanted, params["reason"], check)
    except ReplicationError as error:
        module.fail_json(msg=str(error), **_known())
    previous = dataclasses.asdict(moved.before) if moved.before else None
    record = dataclasses.asdict(moved.record)
    module.exit_json(
        changed=previous != record or bool(moved.done),
        record=record,
        previous=previous,
        done=moved.done,
        seconds=moved.seconds,
        diff={"before": previous or {}, "after": record},
    )


def _known() -> dict[str, Any]:
    """The record that is there now, also where what follows from it failed; nothing where it can't
    be read."""
    with contextlib.suppress(ReplicationError):
        found = _role.read()
        return {"record": dataclasses.asdict(found) if found else None}
    return {}


if __name__ == "__main__":
    main()
