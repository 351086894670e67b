# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is drawn for each round, all of it from one seed. Pure."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

# The controller dies in the midst of one of them, or of none.
DEATHS = ("", "failover", "", "rejoin")
_HOUR = 3600


@dataclass(frozen=True)
class Card:
    """One round: which fault at which moment, and what else goes wrong."""

    fault: str
    moment: str
    dies_in: str
    at_task: int
    wait: float
    until_failover: float
    clock: int

    def __str__(self) -> str:
        death = f", the controller dies in {self.dies_in} at its task {self.at_task}"
        return f"{self.fault}, wanted while {self.moment}{death if self.dies_in else ''}"


def deal(seed: str, faults: Sequence[str], moments: Sequence[str]) -> Iterator[Card]:
    """Rounds without end: every fault in turn, and each at every moment before one comes again."""
    draw = random.Random(seed)
    deaths = itertools.cycle(DEATHS)
    while True:
        turns = {fault: draw.sample(moments, len(moments)) for fault in faults}
        for number in range(len(moments)):
            for fault in draw.sample(faults, len(faults)):
                yield Card(
                    fault=fault,
                    moment=turns[fault][number],
                    dies_in=next(deaths),
                    at_task=draw.randint(5, 60),
                    wait=draw.uniform(1, 5),
                    until_failover=draw.uniform(1, 5),
                    clock=draw.choice((-_HOUR, _HOUR)),
                )
