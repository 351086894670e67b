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

from tests.integration import lab
from tests.integration.load import LmtpLoad, SmtpLoad, Writers

from . import faults, moment, reader, store
from .checker import Verdict, judge
from .clients import Clients, in_turn
from .deck import Card
from .faults import MTA, Fault
from .folders import Folders
from .journal import Journal
from .store import Scene

_SMTP_RATE, _LMTP_RATE, _CLIENTS_RATE = 4.0, 6.0, 10.0
_CLIENTS = 4
_SLOWLY = 2.0
_MOMENT_SECONDS = 20.0


@dataclass(frozen=True)
class Outcome:
    """What became of a round. It counts if acknowledged mail was missing on the candidate."""

    card: Card
    moment: str
    missing: int
    accepted: int
    verdict: Verdict
    seconds: dict[str, float]

    @property
    def counts(self) -> bool:
        return self.missing > 0


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

    failover: Callable[[Scene, Path, int | None], None] = store.failover
    rejoin: Callable[[Scene, Path, int | None], None] = store.rejoin


def play(card: Card, number: int, journal: Journal, folder: Path, ways: Ways) -> Outcome:
    """Play one round; the journal goes on from round to round."""
    users = [str(user) for user in lab.var("lab_users")]
    old = store.master()
    (new,) = (host for host in store.STORE if host != old)
    (fault,) = (fault for fault in faults.FAULTS if fault.name == card.fault)
    scene = Scene(old, new, fault.name == "power", card.clock)
    folders, watch, begun = Folders(journal, users[0]), Watch(), time.time()
    folders.before(old)
    with ExitStack() as load:
        writers = load.enter_context(Writers(store.STORE, users[-1], journal.ledger))
        everywhere = in_turn(store.STORE)
        load.enter_context(SmtpLoad(journal.ledger, users[:-1], _SMTP_RATE))
        load.enter_context(LmtpLoad(journal.ledger, users[:-1], everywhere, _LMTP_RATE))
        load.enter_context(
            Clients(journal, users[:_CLIENTS], store.STORE, f"{number}", _CLIENTS_RATE)
        )
        time.sleep(card.wait)
        met = _strike(fault, scene, card, folders)
        if fault.serves:
            faults.stop(scene)
        with watch.part("failover"):
            ways.failover(scene, folder / f"{number}-failover.log", _dies(card, "failover"))
        missing = _missing(journal, scene, users)
        folders.after(new, missing)
        time.sleep(card.until_failover)
        with watch.part("return"):
            moment.go_on(old)
            fault.heal(scene)
            store.wait_superseded(old)
        # No comparison finds a mailbox alike on both hosts that changes all the time.
        writers.every = _SLOWLY
        with watch.part("rejoin"):
            ways.rejoin(scene, folder / f"{number}-rejoin.log", _dies(card, "rejoin"))
    store.wait_delivered(old)
    with watch.part("check"):
        verdict = judge(
            journal,
            reader.read(new, users),
            reader.archived(new),
            reader.resent(MTA, journal.ledger.begun),
            writers.turns(),
        )
    accepted = sum(one.time >= begun for one in journal.ledger.accepted())
    return Outcome(card, met, len(missing), accepted, verdict, watch.seconds)


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


def _dies(card: Card, name: str) -> int | None:
    return card.at_task if card.dies_in == name else None


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
