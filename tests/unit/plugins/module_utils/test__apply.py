# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist, _plan
from ansible_collections.mailops.cyrus.plugins.module_utils._apply import Applier, grouped
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import StepError
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Mailbox, Message
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Answer,
    FullMailbox,
    Session,
)

TEXT = b"Subject: lone\r\n\r\n"
GUID = hashlib.sha1(TEXT).hexdigest()
LONE = Message(7, 9, 1, frozenset({"\\seen"}), 1000, len(TEXT), GUID, ())
SOURCE = Mailbox("user.a", "u1", "", 0, 0, 7, 9, 5, "default", "", "", 0, None, (), None)


class Server:
    """A master with one mailbox, in which somebody else changes something now and then."""

    def __init__(self) -> None:
        self.head: dict[str, _dlist.Value] = {
            "UNIQUEID": "u1",
            "MBOXNAME": "user.a",
            "SYNC_CRC": "1",
            "SYNC_CRC_ANNOT": "2",
            "LAST_UID": "3",
            "HIGHESTMODSEQ": "10",
            "PARTITION": "default",
            "ACL": "a\tlrs\t",
        }
        self.records: dict[str, dict[str, Any]] = {
            "1": {"UID": "1", "MODSEQ": "4", "FLAGS": ["\\Seen", "Own"], "GUID": "g1"}
        }
        self.meddle = 0
        self.deaf = False
        self.applied: list[tuple[str, _dlist.Value]] = []

    def ask(self, requests: Iterable[str]) -> Iterator[Answer]:
        for _request in requests:
            yield Answer((b"MAILBOX " + _dlist.serialise({**self.head}),))

    def full_mailboxes(self, names: Iterable[str]) -> Iterator[FullMailbox]:
        for _name in names:
            records = map(_dlist.serialise, self.records.values())
            yield FullMailbox(None, {**self.head}, records)

    def upload(self, partition: str, guid: str, size: int, pieces: Iterable[bytes]) -> None:
        assert (partition, guid, size, b"".join(pieces)) == ("default", GUID, len(TEXT), TEXT)

    def restart(self) -> None:
        pass

    def _meddle(self) -> None:
        """A client is in between."""
        if self.meddle:
            self.meddle -= 1
            for name in ("HIGHESTMODSEQ", "LAST_UID"):
                self.head[name] = str(int(str(self.head[name])) + 1)

    def apply(self, *changes: tuple[str, _dlist.Value]) -> str | None:
        ((what, value),) = changes
        self.applied.append((what, value))
        assert isinstance(value, dict)
        if what == "RENAME":
            self.head["MBOXNAME"] = value["NEWMBOXNAME"]
            self._meddle()
        if what != "MAILBOX":
            return None
        self._meddle()
        if value["SINCE_MODSEQ"] != self.head["HIGHESTMODSEQ"]:
            return "IMAP_SYNC_CHANGED Changed since last sync"
        if not self.deaf:
            self.head.update({key: value[key] for key in ("LAST_UID", "HIGHESTMODSEQ", "ACL")})
            for record in cast("list[dict[str, Any]]", value["RECORD"]):
                self.records[record["UID"]] = record
        return None


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def applier(server: Server, tmp_path: Path) -> Applier:
    (tmp_path / GUID).write_bytes(TEXT)
    session = cast(Session, server)
    return Applier(session, lambda guid: str(tmp_path / guid), {"default": str(tmp_path)})


ADD = _plan.AddMessages("a", "user.a", "u1", SOURCE, (LONE,))


def test_messages_get_the_next_uids(server: Server, applier: Applier) -> None:
    applier.carry_out([ADD])
    record = server.records["4"]
    assert (record["GUID"], record["FLAGS"], record["MODSEQ"]) == (GUID, ["\\seen"], "11")
    assert server.head["HIGHESTMODSEQ"] == "11"


def test_what_comes_in_between_keeps_its_uid(server: Server, applier: Applier) -> None:
    server.meddle = 2
    applier.carry_out([ADD])
    assert set(server.records) == {"1", "6"}


def test_somebody_who_changes_it_all_the_time_is_told(server: Server, applier: Applier) -> None:
    server.meddle = 1000
    with pytest.raises(StepError, match="changed by others all the time"):
        applier.carry_out([ADD])


def test_an_answer_without_effect_is_a_failure(server: Server, applier: Applier) -> None:
    server.deaf = True
    with pytest.raises(StepError, match="1 messages have not arrived"):
        applier.carry_out([ADD])
    with pytest.raises(StepError, match="expunge has had no effect"):
        applier.carry_out([_plan.Expunge("a", "user.a", "u1", 1, "g1")])
    with pytest.raises(StepError, match="the rights of b are not there"):
        applier.carry_out([_plan.SetAcl("a", "user.a", "u1", "b", "lr")])


def test_another_mailbox_of_that_name_is_left_alone(server: Server, applier: Applier) -> None:
    server.head["UNIQUEID"] = "u2"
    for step in (ADD, _plan.Expunge("a", "user.a", "u1", 1, "g1")):
        with pytest.raises(StepError, match="was deleted, renamed or made again meanwhile"):
            applier.carry_out([step])
    assert server.applied == []


def test_flags_are_put_on_and_taken_away(server: Server, applier: Applier) -> None:
    edit = ("a", "user.a", "u1", 1, "g1", frozenset({"\\flagged"}), frozenset({"own"}))
    applier.carry_out([_plan.SetFlags(*edit)])
    assert server.records["1"]["FLAGS"] == ["\\Seen", "\\flagged"]


def test_edits_of_one_mailbox_are_one_change(server: Server, applier: Applier) -> None:
    flags = _plan.SetFlags(
        "a", "user.a", "u1", 1, "g1", frozenset({"\\flagged"}), frozenset({"\\seen"})
    )
    note = _plan.SetAnnotation("a", "user.a", "u1", 1, "g1", "/comment", "", "note")
    away = _plan.Expunge("a", "user.a", "u1", 1, "g1")
    other = _plan.Expunge("a", "user.a.b", "u2", 1, "g1")
    assert [*grouped([flags, note, away, other, ADD])] == [[flags, note, away], [other], [ADD]]
    applier.carry_out([flags, note, away])
    assert len(server.applied) == 1
    assert set(server.records["1"]["FLAGS"]) == {"Own", "\\flagged", "\\Expunged"}
    assert server.records["1"]["ANNOTATIONS"][0]["VALUE"] == "note"


def test_only_what_is_edited_is_taken_apart(
    server: Server, applier: Applier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So that the time in which somebody may come in between does not grow with the mailbox."""
    server.records.update({str(n): {"UID": str(n), "GUID": "g"} for n in range(10, 1000)})
    parsed: list[bytes] = []
    parse = _dlist.parse

    def count(line: bytes) -> list[_dlist.Value]:
        parsed.append(line)
        return parse(line)

    monkeypatch.setattr(_dlist, "parse", count)
    applier.carry_out([_plan.Expunge("a", "user.a", "u1", 1, "g1")])
    assert len(parsed) < 5


def test_what_its_user_has_expunged_stays_away(server: Server, applier: Applier) -> None:
    server.records["1"]["FLAGS"] = ["\\Expunged"]
    applier.carry_out(
        [_plan.SetFlags("a", "user.a", "u1", 1, "g1", frozenset({"\\flagged"}), frozenset())]
    )
    assert server.records["1"]["FLAGS"] == ["\\Expunged"]


@pytest.mark.parametrize(
    ("rights", "acl"), [("lr", "a\tlrs\tb\tlr\t"), (None, "a\tlrs\t")], ids=["given", "taken"]
)
def test_rights_of_one_identifier(
    server: Server, applier: Applier, rights: str | None, acl: str
) -> None:
    server.head["ACL"] = "a\tlrs\tb\tlrswi\t"
    applier.carry_out([_plan.SetAcl("a", "user.a", "u1", "b", rights)])
    assert server.head["ACL"] == acl


def test_mailbox_that_was_changed_is_not_deleted(server: Server, applier: Applier) -> None:
    with pytest.raises(StepError, match="was changed meanwhile, so it is not deleted"):
        applier.carry_out([_plan.DeleteMailbox("a", "user.a", "u1", 9)])
    assert server.applied == []


def test_mailbox_that_mail_came_to_is_there_again(server: Server, applier: Applier) -> None:
    server.meddle = 1
    with pytest.raises(StepError, match=r"mail came to user\.a meanwhile, so it is not deleted"):
        applier.carry_out([_plan.DeleteMailbox("a", "user.a", "u1", 10)])
    assert [what for what, _value in server.applied] == ["RENAME", "RENAME"]
    assert server.head["MBOXNAME"] == "user.a"


def test_deleted_mailbox_is_set_aside(server: Server, applier: Applier) -> None:
    applier.carry_out([_plan.DeleteMailbox("a", "user.a", "u1", 10)])
    ((what, value),) = server.applied
    assert what == "RENAME"
    assert isinstance(value, dict)
    assert str(value["NEWMBOXNAME"]).startswith("DELETED.user.a.")
