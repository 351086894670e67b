# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is there in the end, as anybody can read it: by IMAP, in the archive's files, in a log."""

from __future__ import annotations

import imaplib
import itertools
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from tests.integration import lab
from tests.integration.load import log_in

from .checker import Found
from .journal import Place

_ARCHIVES = "/var/lib/cyrus-replication/rejoin"
_SECONDS = 60.0
_CONNECTIONS = 3
_WANTED = "(UID FLAGS BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
_LISTED = re.compile(rb'\((?P<attributes>[^)]*)\) "." (?P<name>".*"|\S+)$')
_UID = re.compile(rb"\bUID (\d+)")
_FLAGS = re.compile(rb"\bFLAGS \(([^)]*)\)")


def read(host: str, users: Sequence[str]) -> list[Found]:
    """All that users see at a host."""
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        everybody = pool.map(lambda user: list(_read(host, user)), users)
        return list(itertools.chain.from_iterable(everybody))


def _read(host: str, user: str) -> Iterator[Found]:
    session = log_in(lab.address(host), user, _SECONDS)
    try:
        for name in mailboxes(session):
            yield from look(session, user, name)
    finally:
        session.shutdown()


def mailboxes(session: imaplib.IMAP4) -> Iterator[str]:
    for line in _must(session.list('""', "INBOX*")):
        told = _LISTED.match(line)
        if told and not re.search(rb"\\No(select|nexistent)", told["attributes"], re.IGNORECASE):
            yield told["name"].decode()


def look(session: imaplib.IMAP4, user: str, name: str, first: int = 1) -> Iterator[Found]:
    """Select a mailbox, and tell its messages from a UID on."""
    _must(session.select(name))
    (validity,) = (int(text) for text in session.response("UIDVALIDITY")[1] if text)
    for part in _must(session.uid("FETCH", f"{first}:*", _WANTED)):
        if isinstance(part, tuple):
            ident = part[1].decode("utf-8", "replace").partition(":")[2].strip()
            uid, flags = (told[1].decode() for told in _both(part[0]))
            place = Place(user, name.strip('"'), validity, int(uid))
            yield Found(place, ident, frozenset(flags.split()))


def _both(answer: bytes) -> Iterator[re.Match[bytes]]:
    """UID and flags, whichever the server tells first."""
    for pattern in (_UID, _FLAGS):
        found = pattern.search(answer)
        if found is None:
            raise imaplib.IMAP4.abort(f"FETCH without {pattern.pattern!r}: {answer!r}")
        yield found


def _must(answer: tuple[str, list[Any]]) -> list[Any]:
    status, told = answer
    if status != "OK":
        raise imaplib.IMAP4.abort(f"{status} {told!r}")
    return told


def archived(host: str) -> set[str]:
    """The Message-IDs in the archives of all rejoins."""
    told = lab.ssh(host, f"grep -rhaim1 '^Message-ID:' {_ARCHIVES} || true").stdout
    return {line.partition(":")[2].strip() for line in told.splitlines()}


def resent(mta: str, since: float) -> Counter[str]:
    """How often Postfix has sent a message again because it got no answer for it."""
    log = lab.ssh(mta, f"journalctl --since @{int(since)} -o cat -q").stdout
    idents = dict(re.findall(r"^([0-9A-F]+): message-id=(<[^>]+>)", log, re.MULTILINE))
    again = re.findall(r"^([0-9A-F]+): .*message may be sent more than once", log, re.MULTILINE)
    return Counter(idents[queued] for queued in again if queued in idents)
