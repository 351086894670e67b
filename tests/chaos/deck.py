# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is drawn for a round, all of it from the seed, the round's number and what was met. Pure."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

# The controller dies in the midst of one of them, or of none; with this many tasks it comes to.
_DEATHS = ("", "failover", "", "", "rejoin", "")
_TASKS = {"": 1, "failover": 90, "rejoin": 44}
_HOUR = 3600


@dataclass(frozen=True)
class Card:
    """One round: which fault at which moment, and what else goes wrong."""

    fault: str
    moment: str
    dies_in: str
    at_task: int
    dies_after: float
    wait: float
    until_failover: float
    clock: int

    def __str__(self) -> str:
        return f"{self.fault}, wanted while {self.moment}"


def deal(
    seed: str,
    number: int,
    met: Counter[tuple[str, str]],
    faults: Sequence[str],
    moments: Sequence[str],
) -> Card:
    """The fault that came least often, at the moment at which it was wanted least often.

    `met` says how often which fault was wanted at which moment, of the rounds that count.
    """
    draw = random.Random(f"{seed} {number}")
    often = {fault: sum(met[fault, moment] for moment in moments) for fault in faults}
    fault = draw.choice([one for one in faults if often[one] == min(often.values())])
    least = min(met[fault, moment] for moment in moments)
    dies_in = _DEATHS[number % len(_DEATHS)]
    return Card(
        fault=fault,
        moment=draw.choice([one for one in moments if met[fault, one] == least]),
        dies_in=dies_in,
        at_task=draw.randrange(_TASKS[dies_in]),
        dies_after=draw.uniform(0, 1),
        wait=draw.uniform(0.5, 2),
        until_failover=draw.uniform(0.5, 2),
        clock=draw.choice((-_HOUR, _HOUR)),
    )
