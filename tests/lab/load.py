# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mail that keeps coming in, and what of it the server took."""

from __future__ import annotations

import itertools
import random
import threading
import time
from dataclasses import dataclass, field
from types import TracebackType

from .deliver import Delivery
from .errors import LabError
from .mail import the_store


@dataclass(frozen=True)
class Accepted:
    """A message that the server answered for, at a time in seconds since the epoch."""

    user: str
    time: float


@dataclass
class Load:
    """Delivers over LMTP to users in a random order at a steady rate, until it is left.

    A server that is away is tried again; what it did not take is counted in `refused`.
    """

    users: list[str]
    rate: float = 20
    connections: int = 2
    accepted: list[Accepted] = field(default_factory=list)
    refused: int = 0
    _where: tuple[str, str, str] = ("", "", "")
    _end: threading.Event = field(default_factory=threading.Event)
    _threads: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Load:
        store = the_store()
        self._where = (store.address, store.admin, store.password)
        for number in range(self.connections):
            thread = threading.Thread(target=self._run, args=(number,), daemon=True)
            thread.start()
            self._threads.append(thread)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join(60)

    def _run(self, number: int) -> None:
        # Each user belongs to one connection, so that a mailbox gets its mail in order.
        users = self.users[number :: self.connections]
        random.Random(number).shuffle(users)
        turns = itertools.cycle(users)
        while not self._end.is_set():
            self._deliver(turns)

    def _deliver(self, turns: itertools.cycle[str]) -> None:
        try:
            with Delivery(*self._where) as delivery:
                self._send(delivery, turns)
        except (LabError, OSError):
            self.refused += 1
            self._end.wait(0.5)

    def _send(self, delivery: Delivery, turns: itertools.cycle[str]) -> None:
        pause = self.connections / self.rate
        due = time.monotonic()
        while not self._end.is_set():
            user = next(turns)
            delivery.send(user, message(user))
            self.accepted.append(Accepted(user, time.time()))
            due = max(due + pause, time.monotonic() - 1)
            self._end.wait(max(0.0, due - time.monotonic()))


def message(user: str) -> bytes:
    """A message like no other."""
    ident = f"{time.time_ns():x}"
    return (
        f"Message-ID: <{ident}@load.example.com>\r\nTo: <{user}@lab.test>\r\n"
        f"Subject: load {ident}\r\n\r\n{'body ' * random.randrange(1, 200)}\r\n"
    ).encode()
