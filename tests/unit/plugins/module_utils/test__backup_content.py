# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In what a host differs from what was backed up."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.mailops.cyrus.plugins.module_utils import _backup_content
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Mailbox, Message
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Box, Holding

HEAD = Mailbox(
    name="user.anna",
    uniqueid="u1",
    mboxtype="",
    sync_crc=1,
    sync_crc_annot=None,
    last_uid=20,
    highestmodseq=9,
    uidvalidity=5,
    partition="default",
    acl="x",
    options="P",
    pop3_show_after=0,
    quota_root=None,
    annotations=(),
    user_flags=frozenset(),
)
MESSAGE = Message(1, 7, 1, frozenset(), 2, 3, "0123", ())
ANNA = Holding("anna", {"u1": Box(HEAD, {uid: replace(MESSAGE, uid=uid) for uid in range(1, 21)})})
NOBODY = Holding(None)


def said(one: Holding | None, two: Holding | None) -> list[str]:
    return list(_backup_content.differences(one, two))


def test_the_same_is_no_difference() -> None:
    assert said(ANNA, ANNA) == []
    assert said(None, NOBODY) == said(NOBODY, None) == []


def test_owners_on_one_side_only() -> None:
    assert said(ANNA, None) == ["anna is missing"]
    assert said(None, ANNA) == ["anna is not in the backup"]


def test_mailboxes_and_messages() -> None:
    assert said(ANNA, replace(ANNA, boxes={})) == ["user.anna is missing"]
    assert said(replace(ANNA, boxes={}), ANNA) == ["user.anna is not in the backup"]
    other = {"u1": Box(replace(HEAD, acl="y"), ANNA.boxes["u1"].messages)}
    assert said(ANNA, replace(ANNA, boxes=other)) == ["user.anna differs"]
    few = {"u1": Box(HEAD, {2: replace(MESSAGE, uid=2, guid="9")})}
    assert said(ANNA, replace(ANNA, boxes=few)) == [
        "user.anna: UID 1, 2, 3, 4, 5, 6, 7, 8, 9, 10 and 10 more differ"
    ]


def test_what_can_not_be_read_is_a_difference() -> None:
    assert said(ANNA, replace(ANNA, unknown=["imap4: user.anna can't be opened"])) == [
        "imap4: user.anna can't be opened"
    ]
    assert said(ANNA, replace(ANNA, subscriptions=frozenset({"x"}))) == [
        "subscriptions of anna differ"
    ]
