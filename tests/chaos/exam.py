# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rounds one after the other, and what they come to."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence

from tests.integration import lab

from . import store, tidy
from .deck import deal
from .faults import FAULTS
from .journal import Journal
from .moment import MOMENTS
from .round import Outcome, Ways, play

FOLDER = lab.ROOT / ".cache/chaos"


def rounds(
    count: int, seed: str, ways: Ways | None = None, faults: Sequence[str] = ()
) -> Iterator[Outcome]:
    """Play rounds until so many count; a store is there and has a master."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    journal, counted = Journal(), 0
    names = [fault.name for fault in FAULTS if not faults or fault.name in faults]
    for number, card in enumerate(deal(seed, names, MOMENTS), 1):
        begun = time.time()
        outcome = play(card, number, journal, FOLDER, ways or Ways())
        yield outcome
        counted += outcome.counts
        if counted == count:
            return
        users = [str(user) for user in lab.var("lab_users")]
        tidy.expunge_before(begun, store.master(), users, journal)


def line(number: int, outcome: Outcome) -> str:
    """One round for people."""
    verdict = outcome.verdict
    seconds = ", ".join(f"{name} {value} s" for name, value in outcome.seconds.items())
    missing = "none missing, so it does not count"
    if outcome.counts:
        missing = f"{outcome.missing} missing on the candidate"
    return (
        f"{number}: {outcome.card}: came while {outcome.moment or 'idle'};"
        f" {outcome.accepted} accepted, {missing},"
        f" {len(verdict.retried)} sent again; {seconds}:"
        f" {'FAILED' if verdict.failures() else 'all there'}"
    )


def last_line(outcomes: Sequence[Outcome]) -> str:
    """What all rounds come to, in a form that is kept stable."""
    counted = sum(outcome.counts for outcome in outcomes)
    numbers = {
        name: sum(len(getattr(outcome.verdict, name)) for outcome in outcomes)
        for name in ("lost", "duplicated", "resurrected", "dual_writers")
    }
    return " ".join([f"rounds={counted}", *(f"{name}={n}" for name, n in numbers.items())])


def table(outcomes: Sequence[Outcome]) -> list[str]:
    """How often each fault came at each moment, of the rounds that count."""
    met = Counter((one.card.fault, one.moment) for one in outcomes if one.counts)
    rows = [["fault", *MOMENTS]]
    rows += [
        [fault.name, *(str(met[fault.name, moment]) for moment in MOMENTS)] for fault in FAULTS
    ]
    return ["  ".join(f"{cell:8}" for cell in row).rstrip() for row in rows]


def unmet(outcomes: Sequence[Outcome]) -> set[str]:
    """Moments at which no fault came."""
    return set(MOMENTS) - {one.moment for one in outcomes if one.counts}
