# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan looks like in a report."""

from __future__ import annotations

import json

from ansible_collections.mailops.cyrus.plugins.module_utils._model import Message, Seen
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import (
    OLD,
    Conflict,
    Plan,
    Save,
    SetFlags,
    SetSeen,
)

MESSAGE = Message(7, 9, 1, frozenset({"\\seen"}), 1, 10, "a7", ())


def test_a_plan_can_be_written_as_json() -> None:
    plan = Plan(
        "anna",
        True,
        saves=(Save("anna", "user.anna", "u1", "default", OLD, MESSAGE, "it is new"),),
        steps=(
            SetFlags("anna", "user.anna", "u1", 7, "a7", frozenset({"b", "a"}), frozenset()),
            SetSeen("anna", Seen("u9", 5, 2, 6, "1:2")),
        ),
        conflicts=(Conflict("acl", "anna", "user.anna", None, "both", "stands", "report"),),
    )
    told = json.loads(json.dumps(plan.as_dict()))
    assert told["saves"][0]["message"] == {"uid": 7, "guid": "a7"}
    assert told["steps"][0] == {
        "step": "set_flags",
        "owner": "anna",
        "mailbox": "user.anna",
        "uniqueid": "u1",
        "uid": 7,
        "guid": "a7",
        "add": ["a", "b"],
        "remove": [],
    }
    assert told["steps"][1]["seen"] == {"uniqueid": "u9", "last_uid": 2, "uids": "1:2"}
    assert told["conflicts"][0]["kind"] == "acl"
