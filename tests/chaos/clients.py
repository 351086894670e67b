# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""IMAP clients, each at work in an INBOX of its own: they append, flag and expunge."""

from __future__ import annotations

import imaplib
import itertools
import random
import re
from collections.abc import Iterator, Sequence

from tests.integration import lab
from tests.integration.load import Threads, Where, append, log_in, message

from .journal import Journal, Place
from .reader import look

_SECONDS = 10.0
_AGAIN = 0.2
_FLAGS = ("\\Flagged", "\\Answered", "chaos")
_GIVEN = re.compile(rb"\[APPENDUID (\d+) (\d+)\]")
_INBOX = "INBOX"


def in_turn(hosts: Sequence[str]) -> Where:
    """Another host at each try, as a client that looks for the one that serves."""
    turns = itertools.cycle([lab.address(host) for host in hosts])
    return lambda: next(turns)


class Clients(Threads):
    """What a server has not answered for is never asked a second time."""

    def __init__(
        self, journal: Journal, users: Sequence[str], hosts: Sequence[str], seed: str, rate: float
    ) -> None:
        super().__init__(len(users))
        self._journal = journal
        self._users = users
        self._hosts = hosts
        self._seed = seed
        self._pause = len(users) / rate

    def run(self, number: int) -> None:
        draw = random.Random(f"{self._seed} {number}")
        where = in_turn(self._hosts)
        while not self.end.is_set():
            self._try(where(), self._users[number], draw)

    def _try(self, address: str, user: str, draw: random.Random) -> None:
        try:
            session = log_in(address, user, _SECONDS)
            try:
                self._work(_Mailbox(self._journal, session, user, address), draw)
            finally:
                session.shutdown()
        except (OSError, imaplib.IMAP4.error):
            self.end.wait(_AGAIN)

    def _work(self, mailbox: _Mailbox, draw: random.Random) -> None:
        mailbox.look()
        while not self.end.is_set():
            what = draw.choices(
                (mailbox.append, mailbox.flag, mailbox.expunge, mailbox.look), (6, 3, 2, 1)
            )[0]
            what(draw)
            self.end.wait(self._pause)


class _Mailbox:
    """One user's INBOX over one connection."""

    def __init__(self, journal: Journal, session: imaplib.IMAP4, user: str, address: str) -> None:
        self._journal = journal
        self._session = session
        self._user = user
        self._address = address
        self._mine: dict[int, str] = {}
        self._last = 0

    def look(self, _draw: random.Random | None = None) -> None:
        for one in look(self._session, self._user, _INBOX, self._last + 1):
            self._journal.saw(one.place, one.ident)
            self._last = max(self._last, one.place.uid)
            if self._journal.ledger.is_ours(one.ident):
                self._mine[one.place.uid] = one.ident

    def append(self, _draw: random.Random) -> None:
        ident = self._journal.ledger.new_ident()
        told = append(self._session, message(ident, self._user))
        self._journal.ledger.accept(ident, self._user, "imap", self._address)
        if given := _GIVEN.search(told):
            validity, uid = map(int, given.groups())
            self._journal.saw(Place(self._user, _INBOX, validity, uid), ident)

    def flag(self, draw: random.Random) -> None:
        for uid, ident in self._one(draw):
            flag = draw.choice(_FLAGS)
            if self._store(uid, flag):
                self._journal.flag(ident, flag)

    def expunge(self, draw: random.Random) -> None:
        for uid, ident in self._one(draw):
            self._journal.asks_to_expunge(ident)
            if self._store(uid, "\\Deleted") and self._said_yes("EXPUNGE", str(uid)):
                self._journal.expunge(ident)
            del self._mine[uid]

    def _one(self, draw: random.Random) -> Iterator[tuple[int, str]]:
        """One message that its user has not yet done with, if there is any."""
        here = [(uid, i) for uid, i in self._mine.items() if not self._journal.is_over(i)]
        if here:
            yield draw.choice(here)

    def _store(self, uid: int, flag: str) -> bool:
        """Set a flag; seen to be set, since a message that is gone is no error in IMAP."""
        status, told = self._session.uid("STORE", str(uid), "+FLAGS", f"({flag})")
        return status == "OK" and any(flag.encode() in part for part in told if part)

    def _said_yes(self, *command: str) -> bool:
        return self._session.uid(*command)[0] == "OK"
