# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server that is a table: what it answers to a session, without a server."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import cast

from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist
from ansible_collections.mailops.cyrus.plugins.module_utils._session import Answer, FullMailbox

NONEXISTENT = "IMAP_MAILBOX_NONEXISTENT Mailbox does not exist"


def record(uid: int, flags: str = "\\Seen", modseq: int = 1) -> bytes:
    return (
        f"%(UID {uid} MODSEQ {modseq} LAST_UPDATED 1 FLAGS ({flags}) INTERNALDATE 1 SIZE 1"
        f" GUID a{uid})"
    ).encode()


class Server:
    """One side: its mailboxes with their records, and what it says to each GET."""

    version = (3, 6)

    def __init__(self) -> None:
        self.mailboxes: dict[str, dict[str, str]] = {}
        self.records: dict[str, list[bytes]] = {}
        self.meta: dict[str, list[bytes]] = {}
        self.quotas: dict[str, bytes] = {}
        self.annotations: list[bytes] = []
        # Listed, but left out of GET MAILBOXES; why GET FULLMAILBOX refuses it, if it does.
        self.hidden: dict[str, str | None] = {}
        # Told by GET MAILBOXES, and refused by GET FULLMAILBOX.
        self.closed: dict[str, str] = {}
        self.refuses: dict[str, str] = {}
        self.asked: list[str] = []

    def add(self, name: str, *records: bytes, **fields: str | int) -> None:
        self.records[name] = list(records)
        self.mailboxes[name] = {
            "UNIQUEID": "id-" + name,
            "MBOXNAME": name,
            "SYNC_CRC": str(sum(map(hash, records)) % 1000 + 1) if records else "0",
            "SYNC_CRC_ANNOT": "12345678",
            "LAST_UID": str(len(records)),
            **dict.fromkeys(("HIGHESTMODSEQ", "UIDVALIDITY"), "9"),
            "POP3_SHOW_AFTER": "0",
            **dict.fromkeys(("PARTITION", "ACL", "OPTIONS"), "x"),
            **{key: str(value) for key, value in fields.items()},
        }

    def drop(self, name: str) -> None:
        self.mailboxes.pop(name, None)

    def listing(self) -> list[str]:
        return [*self.mailboxes, *self.hidden]

    def ask(self, requests: Iterable[str]) -> Iterator[Answer]:
        for request in requests:
            self.asked.append(request)
            kind, argument = [*_dlist.parse(request.encode()), None][:2]
            for beginning, reason in self.refuses.items():
                if request.startswith(beginning):
                    yield Answer((), reason)
                    break
            else:
                yield Answer(tuple(self._lines(kind, argument)))

    def _lines(self, kind: _dlist.Value, argument: _dlist.Value) -> list[bytes]:
        if isinstance(argument, list):
            names = [name for name in argument if isinstance(name, str)]
            if kind == "UNIQUEIDS":
                ids = {box["UNIQUEID"]: name for name, box in self.mailboxes.items()}
                names = [ids[uniqueid] for uniqueid in names if uniqueid in ids]
            return [self._mailbox(n) for n in names if n in self.mailboxes and n not in self.hidden]
        if kind == "QUOTA":
            return [self.quotas[str(argument)]] if argument in self.quotas else []
        if kind == "ANNOTATION":
            return self.annotations
        return self.meta.get(str(argument), [])

    def _mailbox(self, name: str) -> bytes:
        pairs = " ".join(f"{key} {value}" for key, value in self.mailboxes[name].items())
        return f"MAILBOX %({pairs})".encode()

    def full_mailboxes(self, names: Iterable[str]) -> Iterator[FullMailbox]:
        for name in names:
            self.asked.append("FULLMAILBOX " + name)
            absent = None if name in self.mailboxes else NONEXISTENT
            refusal = self.closed.get(name) or self.hidden.get(name, absent)
            head = cast("dict[str, _dlist.Value]", self.mailboxes.get(name, {}))
            records = iter(self.records.get(name, []) if refusal is None else [])
            yield FullMailbox(refusal, dict(head), records)
            assert next(records, None) is None, "the records were not read to their end"
