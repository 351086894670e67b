# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail that keeps coming in while a test runs, each answer to it noted in a ledger."""

from __future__ import annotations

import imaplib
import itertools
import smtplib
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import TypeVar

from . import lab
from .ledger import Ledger

Where = Callable[[], str]
_Self = TypeVar("_Self", bound="Threads")

_SECONDS = 30.0
_AGAIN = 0.1


def at(host: str) -> Where:
    """Always the same host."""
    return lambda: lab.address(host)


def message(ident: str, user: str, size: int = 400) -> bytes:
    """A message with this Message-ID."""
    head = f"Message-ID: {ident}\r\nTo: <{user}@lab.test>\r\nSubject: {ident[1:-1]}\r\n\r\n"
    return f"{head}{'some words to read, and ' * (size // 24)}\r\n".encode()


class Threads(ABC):
    """Threads that work until they are left."""

    def __init__(self, count: int) -> None:
        self.end = threading.Event()
        self._threads = [
            threading.Thread(target=self.run, args=(number,), daemon=True)
            for number in range(count)
        ]

    def __enter__(self: _Self) -> _Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.end.set()
        for thread in self._threads:
            thread.join(_SECONDS + 10)
        assert not any(thread.is_alive() for thread in self._threads), "the load does not end"

    @abstractmethod
    def run(self, number: int) -> None:
        """One thread's work."""


class Load(Threads):
    """Writes to users in turn at a steady rate, all connections together.

    A server that is away, or throws us out, is tried again; `refused` counts how often. What it did
    not answer for is never sent a second time.
    """

    way = ""

    def __init__(
        self, ledger: Ledger, users: Sequence[str], rate: float = 20, connections: int = 2
    ) -> None:
        super().__init__(connections)
        self.ledger = ledger
        self.refused = 0
        self._turns = [itertools.cycle(users[n::connections] or users) for n in range(connections)]
        self._pause = connections / rate

    @abstractmethod
    def connect(self, user: str) -> tuple[str, Callable[[str, bytes], None], Callable[[], None]]:
        """Where a new connection leads, how it writes to a user, and how it is closed."""

    def run(self, number: int) -> None:
        turns = self._turns[number]
        while not self.end.is_set():
            self._try(next(turns), turns)

    def _try(self, user: str, turns: itertools.cycle[str]) -> None:
        try:
            self._send(user, turns)
        except (OSError, smtplib.SMTPException, imaplib.IMAP4.error):
            self.refused += 1
            self.end.wait(_AGAIN)

    def _send(self, user: str, turns: itertools.cycle[str]) -> None:
        server, write, close = self.connect(user)
        due = time.monotonic()
        try:
            while not self.end.is_set():
                ident = self.ledger.new_ident()
                write(user, message(ident, user))
                self.ledger.accept(ident, user, self.way, server)
                user = self.next_user(user, turns)
                due = max(due + self._pause, time.monotonic() - 1)
                self.end.wait(max(0.0, due - time.monotonic()))
        finally:
            close()

    def next_user(self, user: str, turns: itertools.cycle[str]) -> str:
        """Who is written to next by the same connection."""
        return next(turns)


class SmtpLoad(Load):
    """Through the mail exchanger."""

    way = "smtp"

    def __init__(
        self,
        ledger: Ledger,
        users: Sequence[str],
        rate: float = 20,
        connections: int = 2,
        where: Where | None = None,
        domain: str = "lab.test",
    ) -> None:
        super().__init__(ledger, users, rate, connections)
        self._where = where or at("mx1")
        self._domain = domain

    def connect(self, user: str) -> tuple[str, Callable[[str, bytes], None], Callable[[], None]]:
        address = self._where()
        session = smtplib.SMTP(address, 25, local_hostname="load.lab.test", timeout=_SECONDS)

        def write(user: str, text: bytes) -> None:
            session.sendmail("sender@example.com", [f"{user}@{self._domain}"], text)

        return address, write, session.close


class LmtpLoad(Load):
    """Straight to the store, as an administrator."""

    way = "lmtp"

    def __init__(
        self,
        ledger: Ledger,
        users: Sequence[str],
        where: Where,
        rate: float = 20,
        connections: int = 2,
    ) -> None:
        super().__init__(ledger, users, rate, connections)
        self._where = where

    def connect(self, user: str) -> tuple[str, Callable[[str, bytes], None], Callable[[], None]]:
        address = self._where()
        session = smtplib.LMTP(address, 24, timeout=_SECONDS)
        session.login(*_admin(), initial_response_ok=True)

        def write(user: str, text: bytes) -> None:
            session.sendmail("sender@example.com", [user], text)

        return address, write, session.close


class AppendLoad(Load):
    """IMAP clients who append to their own INBOX, one connection each."""

    way = "imap"

    def __init__(
        self, ledger: Ledger, users: Sequence[str], where: Where, rate: float = 20
    ) -> None:
        super().__init__(ledger, users, rate, connections=len(users))
        self._where = where

    def connect(self, user: str) -> tuple[str, Callable[[str, bytes], None], Callable[[], None]]:
        address = self._where()
        session = log_in(address, user, _SECONDS)

        def write(_user: str, text: bytes) -> None:
            append(session, text)

        return address, write, session.shutdown

    def next_user(self, user: str, turns: itertools.cycle[str]) -> str:
        return user


@dataclass(frozen=True)
class Turn:
    """An unbroken row of writes at one host: when the first was sent and when it was answered, and
    when the last was answered."""

    host: str
    sent: float
    first: float
    last: float
    writes: int = 1


class Writers(Threads):
    """Tries to write at each host every 50 ms, and keeps what was taken, where and when."""

    def __init__(
        self, hosts: Sequence[str], user: str, ledger: Ledger | None = None, every: float = 0.05
    ) -> None:
        super().__init__(len(hosts))
        self.ledger = ledger or Ledger()
        self._hosts = list(hosts)
        self._user = user
        self._every = every
        self._lock = threading.Lock()
        self._taken: list[Turn] = []

    def run(self, number: int) -> None:
        host = self._hosts[number]
        while not self.end.is_set():
            try:
                session = log_in(lab.address(host), self._user, 2.0)
            except (OSError, imaplib.IMAP4.error):
                self.end.wait(self._every)
                continue
            try:
                self._write(host, session)
            except (OSError, imaplib.IMAP4.error):
                self.end.wait(self._every)
            finally:
                session.shutdown()

    def _write(self, host: str, session: imaplib.IMAP4) -> None:
        while not self.end.is_set():
            ident = self.ledger.new_ident()
            sent = time.time()
            append(session, message(ident, self._user, 24))
            answered = time.time()
            self.ledger.accept(ident, self._user, "imap", lab.address(host))
            with self._lock:
                self._taken.append(Turn(host, sent, answered, answered))
            self.end.wait(max(0.0, sent + self._every - time.time()))

    def turns(self) -> list[Turn]:
        """Who took writes, one after the other."""
        with self._lock:
            taken = sorted(self._taken, key=lambda turn: turn.last)
        return in_turns(taken)

    def assert_one_at_a_time(self) -> list[Turn]:
        """No host may take a write before the last one of the host before it."""
        found = self.turns()
        for one, two in itertools.pairwise(found):
            assert one.last <= two.sent, f"two hosts took writes: {one}, {two}"
        return found

    def outages(self) -> list[float]:
        """Seconds from the last write at one host to the first at the next, each time."""
        return [two.first - one.last for one, two in itertools.pairwise(self.turns())]


def in_turns(taken: Sequence[Turn]) -> list[Turn]:
    """Single writes, in the order of their answers, as turns. Pure."""
    found: list[Turn] = []
    for host, row in itertools.groupby(taken, key=lambda turn: turn.host):
        writes = list(row)
        sent = min(turn.sent for turn in writes)
        found.append(Turn(host, sent, writes[0].first, writes[-1].last, len(writes)))
    return found


def log_in(address: str, user: str, seconds: float) -> imaplib.IMAP4:
    """A session of a user, by the administrator's password."""
    session = imaplib.IMAP4(address, 143, timeout=seconds)
    try:
        secret = "\0".join((user, *_admin())).encode()
        session.authenticate("PLAIN", lambda _challenge: secret)
    except (OSError, imaplib.IMAP4.error):
        session.shutdown()
        raise
    return session


def append(session: imaplib.IMAP4, text: bytes, mailbox: str = "INBOX") -> bytes:
    """Append a message; raises where the server does not say that it has it. What it said."""
    status, told = session.append(mailbox, "", "", text)
    if status != "OK":
        raise imaplib.IMAP4.abort(f"APPEND: {status} {told!r}")
    return bytes(told[0])


def _admin() -> tuple[str, str]:
    return str(lab.var("cyrus_admin_user")), str(lab.var("cyrus_admin_password"))
