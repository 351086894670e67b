# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the lab's mailboxes: the same for the same seed. Pure."""

from __future__ import annotations

import random
from base64 import encodebytes
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from email.utils import format_datetime

# Folders below a user's INBOX, with their special use. Cyrus 3.6 refuses !"%&/;<>\`{|} in names.
FOLDERS = {
    "Sent": "\\Sent",
    "Drafts": "\\Drafts",
    "Trash": "\\Trash",
    "Archive": "\\Archive",
    "Archive/2025": "",
    "Lists": "",
    "Übung": "",
    "日本語": "",
    "a b  c": "",
    "it's": "",
    "say \u201chello\u201d": "",
    "(a) [b] #1 $2 ~+=?@,:": "",
    "with.dot": "",
    "long " + "0123456789" * 12: "",
}
EMPTY = "Empty"

_SUBJECTS = (
    "Angebot",
    "=?utf-8?q?Gr=C3=BC=C3=9Fe?=",
    "Grüße aus Köln",
    "[list] minutes",
    "Re: 予定",
    "(no subject)",
)
_WORDS = [
    "mail",
    "server",
    "replica",
    "master",
    "folder",
    "message",
    "quota",
    "letter",
    "answer",
    "question",
    "order",
    "bill",
]
_FLAGS = (
    "",
    "\\Seen",
    "\\Seen \\Answered",
    "\\Flagged",
    "\\Seen $Forwarded",
    "\\Draft",
    "\\Seen Wichtig",
    "\\Seen $Label1 NonJunk",
)
_START = datetime(2025, 1, 1, 8, tzinfo=timezone.utc)
_MEGABYTE = 1024 * 1024


@dataclass(frozen=True)
class Message:
    """A message, with what APPEND says about it."""

    body: bytes
    flags: str
    date: str

    @property
    def words(self) -> str:
        return f'({self.flags}) "{self.date}"'


def messages(seed: int, user: str, folder: str, count: int) -> Iterator[Message]:
    """Return messages for a folder."""
    chance = random.Random(f"{seed}/{user}/{folder}")
    for number in range(1, count + 1):
        when = _START + timedelta(minutes=chance.randrange(500_000))
        head = _head(chance, user, f"{seed}.{number}.{chance.getrandbits(48):x}", when)
        body = _multipart(chance) if number % 7 == 3 else _plain(chance)
        date = when.strftime("%d-%b-%Y %H:%M:%S %z")
        yield Message((head + body).encode(), chance.choice(_FLAGS), date)


def large(seed: int, user: str) -> Message:
    """Return a message of one megabyte."""
    small = next(messages(seed, user, "large", 1))
    line = b"0123456789abcdef" * 4 + b"\r\n"
    return Message(small.body + line * (_MEGABYTE // len(line)), small.flags, small.date)


def scripts(user: str) -> dict[str, str]:
    """Return a user's Sieve scripts; the first is the active one."""
    return {
        "main": 'require "fileinto";\r\n'
        'if header :contains "subject" "[list]" { fileinto "INBOX/Lists"; }\r\n',
        "away": 'require "vacation";\r\n'
        f'vacation :days 7 :subject "{user} is away" "Grüße, {user}";\r\n',
    }


def _head(chance: random.Random, user: str, ident: str, when: datetime) -> str:
    return (
        f"Return-Path: <sender@example.com>\r\n"
        f"Message-ID: <{ident}@example.com>\r\n"
        f"Date: {format_datetime(when)}\r\n"
        f"From: Sender {chance.randrange(100)} <sender@example.com>\r\n"
        f"To: <{user}@lab.test>\r\n"
        f"Subject: {chance.choice(_SUBJECTS)} {chance.randrange(10_000)}\r\n"
        "MIME-Version: 1.0\r\n"
    )


def _text(chance: random.Random) -> str:
    lines = (
        " ".join(chance.choices(_WORDS, k=chance.randint(3, 10)))
        for _line in range(chance.randint(2, 12))
    )
    return "\r\n".join(lines) + "\r\nGrüße\r\n"


def _plain(chance: random.Random) -> str:
    return (
        "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
        + _text(chance)
    )


def _multipart(chance: random.Random) -> str:
    attached = encodebytes(chance.randbytes(2000)).decode().replace("\n", "\r\n")
    return (
        'Content-Type: multipart/mixed; boundary="=-part"\r\n\r\n'
        "--=-part\r\n" + _plain(chance) + "--=-part\r\n"
        "Content-Type: application/octet-stream\r\n"
        'Content-Disposition: attachment; filename="data.bin"\r\n'
        "Content-Transfer-Encoding: base64\r\n\r\n" + attached + "--=-part--\r\n"
    )
