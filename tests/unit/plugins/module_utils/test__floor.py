# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._floor import without_later
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Mailbox
from ansible_collections.mailops.cyrus.plugins.module_utils._parity import Difference

from .worlds import head

NAME = "user.anna"
FLOOR = replace(head(NAME, "a1"), last_uid=20, highestmodseq=100)
MASTER = replace(FLOOR, last_uid=25, highestmodseq=110)
REPLICA = replace(FLOOR, last_uid=22, highestmodseq=104)


def header(kind: str, master: int | str, replica: int | str) -> Difference:
    return Difference(kind, "anna", NAME, None, kind, master, replica)


def lone(uid: int, master: str | None, replica: str | None) -> Difference:
    return Difference("message", "anna", NAME, uid, "guid", master, replica)


def changed(master: int, replica: int) -> list[Difference]:
    return [
        Difference("message_flags", "anna", NAME, 9, "\\seen", True, False),
        Difference("message_modseq", "anna", NAME, 9, "modseq", master, replica),
    ]


def left(*found: Difference, master: Mailbox = MASTER) -> list[Difference]:
    return without_later(found, {NAME: FLOOR}, {NAME: (master, REPLICA)})


LATER = [
    header("last_uid", 25, 22),
    header("highestmodseq", 110, 104),
    *changed(107, 90),
    lone(23, "a3", None),
]


def test_what_came_later() -> None:
    assert left(*LATER) == []


@pytest.mark.parametrize(
    "found",
    [
        [header("highestmodseq", 110, 99)],
        [header("highestmodseq", 110, 111)],
        [header("last_uid", 25, 19)],
        [header("acl", "anna\tlrs\t", "")],
        [lone(22, "a2", None)],
        [lone(23, None, "a3")],
        changed(104, 90),
        changed(107, 108),
    ],
)
def test_what_the_replica_should_have(found: list[Difference]) -> None:
    assert left(*found) == found


def test_what_never_changes_did_not_come_later() -> None:
    guid = Difference("message_guid", "anna", NAME, 9, "guid", "a1", "a2")
    assert left(guid, *changed(107, 100)) == [guid]


def test_another_mailbox_of_this_name() -> None:
    """What the one before had says nothing of this one."""
    assert left(*LATER, master=replace(MASTER, uniqueid="b2")) == LATER
    assert left(*LATER, master=replace(MASTER, uidvalidity=8)) == LATER


def test_nothing_is_known_of_a_mailbox() -> None:
    assert without_later(LATER, {}, {NAME: (MASTER, REPLICA)}) == LATER
    assert without_later(LATER, {NAME: FLOOR}, {}) == LATER
