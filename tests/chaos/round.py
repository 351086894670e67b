# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One round: load, a fault, the master changes, the old one comes back, and what is left of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration import lab
from tests.integration.load import LmtpLoad, SmtpLoad, Writers

from . import faults, moment, reader, store
from .checker import judge
from .clients import Clients, in_turn
from .deck import Card
from .faults import MTA, Fault
from .folders import Folders
from .journal import Journal
from .outcome import Outcome
from .store import Scene

_SMTP_RATE, _LMTP_RATE, _CLIENTS_RATE = 1.0, 1.0, 3.0
_CLIENTS = 3
_WRITES_EVERY = 0.5
_MOMENT_SECONDS = 20.0


class Watch:
    """How long each part of a round takes."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.seconds[name] = round(time.monotonic() - begun, 1)


@dataclass(frozen=True)
class Ways:
    """How the master is changed and how the old one comes back; others can be put on trial too."""

    failover: Callable[[Scene, Path, Card], str] = store.failover
    rejoin: Callable[[Scene, Path, Card], str] = store.rejoin


@dataclass(frozen=True)
class Round:
    """What is drawn for it, and where its logs go."""

    seed: str
    number: int
    card: Card
    folder: Path

    def log(self, name: str) -> Path:
        return self.folder / f"{self.number}-{name}.log"

    def outcome(self, **known: Any) -> Outcome:
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        return Outcome(self.seed, self.number, at, self.card, **known)


def play(this: Round, journal: Journal, ways: Ways) -> Outcome:
    """Play one round; the journal goes on from round to round."""
    users, card = store.users(), this.card
    old = store.master()
    (new,) = (host for host in store.STORE if host != old)
    (fault,) = (fault for fault in faults.FAULTS if fault.name == card.fault)
    scene = Scene(old, new, fault.name == "power", card.clock)
    folders, watch, begun = Folders(journal, users[0]), Watch(), time.time()
    folders.before(old)
    with ExitStack() as load:
        writers = load.enter_context(Writers(store.STORE, users[-1], journal.ledger, _WRITES_EVERY))
        everywhere = in_turn(store.STORE)
        load.enter_context(SmtpLoad(journal.ledger, users[:-1], _SMTP_RATE))
        load.enter_context(LmtpLoad(journal.ledger, users[:-1], everywhere, _LMTP_RATE))
        load.enter_context(
            Clients(journal, users[:_CLIENTS], store.STORE, f"{this.number}", _CLIENTS_RATE)
        )
        with watch.part("fault"):
            time.sleep(card.wait)
            met = _strike(fault, scene, card, folders)
            if fault.serves:
                faults.stop(scene)
            if not scene.is_off:
                moment.end(old)
        with watch.part("failover"):
            died_at = ways.failover(scene, this.log("failover"), card)
        with watch.part("look"):
            missing = _missing(journal, scene, users)
            folders.after(new, missing)
        with watch.part("return"):
            fault.heal(scene)
            store.wait_superseded(old)
        with watch.part("rejoin"):
            died_at += ways.rejoin(scene, this.log("rejoin"), card)
    with watch.part("check"):
        store.wait_delivered(old)
        verdict = judge(
            journal,
            reader.read(new, users),
            {ident for host in store.STORE for ident in reader.archived(host)},
            reader.resent(MTA, journal.ledger.begun),
            writers.turns(),
        )
    return this.outcome(
        moment=met,
        missing=len(missing),
        accepted=sum(one.time >= begun for one in journal.ledger.accepted()),
        died_at=died_at,
        verdict=verdict,
        seconds=watch.seconds,
    )


def _strike(fault: Fault, scene: Scene, card: Card, folders: Folders) -> str:
    """Let the channel hang and the fault come; the moment at which it did."""

    def hang() -> str:
        met = moment.wait_for(card.moment, scene.master, scene.candidate, _MOMENT_SECONDS)
        if fault.hang:
            moment.hang(scene.master)
            folders.while_it_hangs(scene.master)
            time.sleep(card.wait)
        return met

    if fault.hang == "after":
        fault.strike(scene)
        time.sleep(card.wait)
        met = hang()
    else:
        met = hang()
        fault.strike(scene)
        if fault.name == "peer":
            folders.while_it_hangs(scene.master)
    time.sleep(card.until_failover)
    return met


def _missing(journal: Journal, scene: Scene, users: list[str]) -> set[str]:
    """What the old master has taken, its users still want, and the new one has not got."""
    there = {one.ident for one in reader.read(scene.candidate, users)}
    return {
        one.ident
        for one in journal.ledger.accepted()
        if one.server == lab.address(scene.master)
        and one.ident not in there
        and not journal.is_over(one.ident)
    }
