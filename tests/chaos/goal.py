# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How many rounds are wanted, and what the played ones come to. Pure."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

from .moment import MOMENTS
from .outcome import Outcome

# Rounds that do not count are played in vain; with more than this share of them the exam is broken.
_AT_MOST = 2


@dataclass(frozen=True)
class Goal:
    """So many rounds that count, each fault in its share of them, and every moment met."""

    rounds: int
    faults: Sequence[str]

    def met(self, outcomes: Sequence[Outcome]) -> Counter[tuple[str, str]]:
        """How often each fault was wanted at each moment, of the rounds that count."""
        return Counter((one.card.fault, one.card.moment) for one in self._counted(outcomes))

    def left(self, outcomes: Sequence[Outcome]) -> list[str]:
        """What is not reached yet, a sentence each."""
        return list(self._left(outcomes))

    def is_hopeless(self, outcomes: Sequence[Outcome]) -> bool:
        return len(outcomes) >= _AT_MOST * max(self.rounds, len(MOMENTS))

    def table(self, outcomes: Sequence[Outcome]) -> list[str]:
        """How often each fault came at each moment, of the rounds that count."""
        met = Counter((one.card.fault, one.moment) for one in outcomes if one.counts)
        rows = [["fault", *MOMENTS, "all"]]
        for fault in self.faults:
            numbers = [met[fault, moment] for moment in MOMENTS]
            rows.append([fault, *map(str, [*numbers, sum(numbers)])])
        return ["  ".join(f"{cell:8}" for cell in row).rstrip() for row in rows]

    def _left(self, outcomes: Sequence[Outcome]) -> Iterator[str]:
        counted = list(self._counted(outcomes))
        if len(counted) < self.rounds:
            yield f"{len(counted)} of {self.rounds} rounds count"
        share, often = self.rounds // len(self.faults), Counter(one.card.fault for one in counted)
        for fault in self.faults:
            if often[fault] < share:
                yield f"{fault} came {often[fault]} times, not {share}"
        # Fewer rounds than moments can't meet them all.
        if self.rounds >= len(MOMENTS):
            for moment in sorted(set(MOMENTS) - {one.moment for one in counted}):
                yield f"no fault came while {moment}"

    def _counted(self, outcomes: Sequence[Outcome]) -> Iterator[Outcome]:
        return (one for one in outcomes if one.counts and one.card.fault in self.faults)


def last_line(outcomes: Sequence[Outcome]) -> str:
    """What all rounds come to, in a form that is kept stable."""
    numbers = {
        name: sum(len(getattr(one.verdict, name)) for one in outcomes)
        for name in ("lost", "duplicated", "resurrected", "dual_writers")
    }
    counted = sum(one.counts for one in outcomes)
    return " ".join([f"rounds={counted}", *(f"{name}={n}" for name, n in numbers.items())])


def line(outcome: Outcome) -> str:
    """One round for people."""
    seconds = ", ".join(f"{name} {value} s" for name, value in outcome.seconds.items())
    missing = f"{outcome.missing} missing on the candidate"
    return (
        f"{outcome.number}: {outcome.card}: came while {outcome.moment or 'idle'};"
        f" {outcome.accepted} accepted,"
        f" {missing if outcome.counts else 'none missing, so it does not count'},"
        f" {len(outcome.verdict.retried)} sent again"
        f"{f', the controller died at: {outcome.died_at}' if outcome.died_at else ''};"
        f" {seconds}: {'FAILED' if outcome.failures() else 'all there'}\n"
        f"  card={json.dumps(asdict(outcome.card))}"
    )
