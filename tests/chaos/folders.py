# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user does with folders while nothing replicates, and after the master has changed."""

from __future__ import annotations

import imaplib
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from tests.integration import lab
from tests.integration.load import append, log_in, message

from .journal import Journal

_SECONDS = 30.0
_MESSAGES = 3


class Folders:
    """Both folders get mail that only the old master knows; the second exists only there.

    On the new master the user deletes the first, and makes the second once more.
    """

    def __init__(self, journal: Journal, user: str) -> None:
        self._journal = journal
        self._user = user
        mark = secrets.token_hex(4)
        self._gone, self._twice = f"INBOX/Gone{mark}", f"INBOX/Twice{mark}"
        self._in_gone: set[str] = set()

    def before(self, master: str) -> None:
        """While replication goes on."""
        with self._session(master) as session:
            _must(session.create(self._gone))
            self._in_gone = self._append(session, master, self._gone)

    def while_it_hangs(self, master: str) -> None:
        with self._session(master) as session:
            self._in_gone |= self._append(session, master, self._gone)
            _must(session.create(self._twice))
            self._append(session, master, self._twice)

    def after(self, master: str, missing: set[str]) -> None:
        """On the new master; `missing` is what it has not got."""
        with self._session(master) as session:
            _must(session.delete(self._gone))
            self._journal.drop(self._in_gone & missing)
            for ident in self._in_gone - missing:
                self._journal.asks_to_expunge(ident)
                self._journal.expunge(ident)
            _must(session.create(self._twice))
            self._append(session, master, self._twice)

    @contextmanager
    def _session(self, host: str) -> Iterator[imaplib.IMAP4]:
        session = log_in(lab.address(host), self._user, _SECONDS)
        try:
            yield session
        finally:
            session.shutdown()

    def _append(self, session: imaplib.IMAP4, host: str, mailbox: str) -> set[str]:
        idents = set()
        for _number in range(_MESSAGES):
            ident = self._journal.ledger.new_ident()
            append(session, message(ident, self._user), mailbox)
            self._journal.ledger.accept(ident, self._user, "imap", lab.address(host))
            idents.add(ident)
        return idents


def _must(answer: tuple[str, list[bytes]]) -> None:
    status, told = answer
    if status != "OK":
        raise imaplib.IMAP4.abort(f"{status} {told!r}")
