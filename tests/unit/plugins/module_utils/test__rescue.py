# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Message
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import (
    NEW,
    OLD,
    AddMessages,
    DeleteMailbox,
    Expunge,
    Plan,
    PutScript,
    RemoveScript,
    Save,
    SaveScript,
    Step,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._rescue import INDEX, Archive
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Answer,
    Download,
    Session,
)

from .worlds import head

TEXT, SCRIPT = b"Subject: lone\r\n\r\n", b"keep;\r\n"
GUID, SCRIPT_GUID = (hashlib.sha1(text).hexdigest() for text in (TEXT, SCRIPT))
LONE = Message(7, 9, 1, frozenset({"\\seen", "$label1"}), 1000, len(TEXT), GUID, ())


@dataclass
class Server:
    """An old master that has one message and one script."""

    text: bytes | None = TEXT
    read: int = 0
    endpoint = SimpleNamespace(name="imap1")

    def download(self, box: Mapping[str, str], uid: int, guid: str) -> Download:
        self.read += 1
        if self.text is None:
            return Download("IMAP_MAILBOX_NONEXISTENT No Such Mailbox", 0, iter(()))
        return Download(None, len(self.text), iter([self.text]))

    def ask(self, requests: Iterable[str]) -> Iterator[Answer]:
        for _request in requests:
            fields = {"USERID": "a", "FILENAME": "x.script", "CONTENT": SCRIPT.decode()}
            yield Answer((b"SIEVE " + _dlist.serialise({**fields}),))


def save(message: Message = LONE) -> Plan:
    kept = Save("a", "user.a", "u1", "default", OLD, message, "the new master has it not")
    return Plan("a", True, (kept,))


def keep(server: Server, folder: Path, *plans: Plan) -> tuple[Archive, list[str]]:
    archive = Archive(str(folder / "archive"))
    kept = archive.keep(plans, {OLD: cast(Session, server)})
    return archive, kept.unknown


def test_message_lies_in_a_maildir_and_in_the_index(tmp_path: Path) -> None:
    archive, unknown = keep(Server(), tmp_path, save())
    assert unknown == []
    (entry,) = map(json.loads, (tmp_path / "archive" / INDEX).read_text().splitlines())
    told = {key: entry[key] for key in ("mailbox", "uid", "guid", "internaldate", "flags", "side")}
    assert told == {
        "mailbox": "user.a",
        "uid": 7,
        "guid": GUID,
        "internaldate": 1000,
        "flags": ["$label1", "\\seen"],
        "side": "old",
    }
    assert entry["file"] == f"00001/cur/1000.U7G{GUID}:2,S"
    assert Path(archive.path(GUID)).read_bytes() == TEXT


def test_nothing_is_written_twice(tmp_path: Path) -> None:
    server = Server()
    assert Archive(str(tmp_path / "archive")).lacks([save()])
    keep(server, tmp_path, save())
    again, _unknown = keep(server, tmp_path, save())
    assert server.read == 1
    assert not again.lacks([save()])


@pytest.mark.parametrize("text", [None, b"another text\r\n"], ids=["gone", "damaged"])
def test_what_can_not_be_read_is_unknown(tmp_path: Path, text: bytes | None) -> None:
    archive, unknown = keep(Server(text), tmp_path, save())
    assert len(unknown) == 1
    assert unknown[0].startswith("user.a UID 7 on imap1 can't be read: ")
    with pytest.raises(ReplicationError, match="is not in"):
        archive.path(GUID)
    assert archive.lacks([save()])


def test_expunged_message_may_be_gone(tmp_path: Path) -> None:
    tombstone = replace(LONE, flags=LONE.flags | {"\\expunged"})
    _archive, unknown = keep(Server(None), tmp_path, save(tombstone))
    assert unknown == []
    assert json.loads((tmp_path / "archive" / INDEX).read_text())["file"] is None


def test_line_cut_off_by_a_power_cut_is_written_again(tmp_path: Path) -> None:
    keep(Server(), tmp_path, save())
    index = tmp_path / "archive" / INDEX
    whole = index.read_text()
    index.write_text(whole + whole[:50])
    other = replace(LONE, uid=8)
    keep(Server(), tmp_path, save(), save(other))
    assert [json.loads(line)["uid"] for line in index.read_text().splitlines()] == [7, 8]


def test_script_that_a_step_puts_in_is_kept(tmp_path: Path) -> None:
    archive, unknown = keep(
        Server(), tmp_path, Plan("a", True, (), (PutScript("a", "x", SCRIPT_GUID),))
    )
    assert unknown == []
    assert Path(archive.path(SCRIPT_GUID)).read_bytes() == SCRIPT


def test_line_without_its_file_is_written_again(tmp_path: Path) -> None:
    archive, _unknown = keep(Server(), tmp_path, save())
    Path(archive.path(GUID)).unlink()
    again, _unknown = keep(Server(), tmp_path, save())
    assert Path(again.path(GUID)).read_bytes() == TEXT


def test_what_is_not_archived_is_neither_brought_nor_taken_away(tmp_path: Path) -> None:
    unread = replace(LONE, uid=8, guid="f" * 40)
    box = head("user.a", "u1")
    ours = Save("a", "user.a", "u1", "default", NEW, unread, "")
    steps: tuple[Step, ...] = (
        DeleteMailbox("a", "user.a.F", "u1", 1),
        DeleteMailbox("a", "user.a", "u0", 1),
        AddMessages("a", "user.a", "u1", box, (LONE, unread)),
        AddMessages("a", "user.a", "u2", box, (unread,)),
        Expunge("a", "user.a", "u1", 8, unread.guid),
        Expunge("a", "user.a", "u1", 7, GUID),
        PutScript("a", "x", "g1"),
        RemoveScript("a", "y", "g2"),
    )
    archive, _unknown = keep(Server(), tmp_path, save())
    plan = Plan("a", True, (*save().saves, ours, SaveScript("a", "y", "g2", NEW, "")), steps)
    assert archive.covered(plan) == [
        AddMessages("a", "user.a", "u1", box, (LONE,)),
        Expunge("a", "user.a", "u1", 7, GUID),
    ]
