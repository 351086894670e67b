# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest

from tests.lab.demo import is_named, shown

DIFFERENCE = {"kind": "message_flags", "user": "anna", "mailbox": "user.anna.Sent", "uid": 3}


def test_shown_is_what_the_playbook_shows() -> None:
    output = (
        "TASK [x : Gather] ***\nok: [a]\n\n"
        "TASK [mailops.cyrus.parity : Show what was found] ***\nstore  replica\ns  r\nok: [a]\n"
    )
    assert shown(output) == "store  replica\ns  r"
    assert shown("TASK [x : Gather] ***\nok: [a]\n") == ""


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({}, True),
        ({"uid": 4}, False),
        ({"user": "ben"}, False),
        ({"mailbox": "user.anna"}, False),
        ({"field": "\\seen"}, False),
    ],
)
def test_the_flag_that_differs_is_named(changed: dict[str, Any], named: bool) -> None:
    difference = {**DIFFERENCE, "field": "\\flagged", **changed}
    other = {**difference, "kind": "message_modseq", "field": "modseq"}
    report = {"in_sync": False, "differences": [difference, other]}
    assert is_named(report, "anna", 3) is named


def test_a_report_without_an_answer_names_nothing() -> None:
    assert not is_named({"in_sync": None, "differences": []}, "anna", 3)
