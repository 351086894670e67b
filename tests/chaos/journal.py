# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the servers have answered for to clients beyond the delivery itself: flags, ends, places."""

from __future__ import annotations

import threading
from collections import defaultdict
from dataclasses import dataclass, field

from tests.integration.ledger import Ledger


@dataclass(frozen=True)
class Place:
    """What a client knows a message by, for ever."""

    user: str
    mailbox: str
    uidvalidity: int
    uid: int


@dataclass
class Journal:
    """Kept by several clients at once. A message is named by its Message-ID."""

    ledger: Ledger = field(default_factory=Ledger)
    seen: dict[Place, str] = field(default_factory=dict)
    reused: list[str] = field(default_factory=list)
    flags: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    # Expunged: the server has said so. Doubtful: it was asked and has not said anything.
    expunged: set[str] = field(default_factory=set)
    doubtful: set[str] = field(default_factory=set)
    # In a mailbox that its user has deleted where it was not to be seen.
    dropped: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def saw(self, place: Place, ident: str) -> None:
        with self._lock:
            before = self.seen.setdefault(place, ident)
            if before != ident:
                self.reused.append(f"{place} was {before} and is {ident}")

    def flag(self, ident: str, flag: str) -> None:
        """Call it once the server has said that it is set."""
        with self._lock:
            self.flags[ident].add(flag)

    def asks_to_expunge(self, ident: str) -> None:
        with self._lock:
            self.doubtful.add(ident)

    def expunge(self, ident: str) -> None:
        """Call it once the server has said that it is gone."""
        with self._lock:
            self.expunged.add(ident)

    def drop(self, idents: set[str]) -> None:
        with self._lock:
            self.dropped |= idents

    def is_over(self, ident: str) -> bool:
        """Whether its user wants it gone."""
        with self._lock:
            return ident in self.doubtful or ident in self.dropped
