# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections import Counter

from tests.chaos.deck import Card, deal

FAULTS, MOMENTS = ("kill", "power", "disk"), ("waiting", "sending")


def cards(seed: str, count: int) -> list[Card]:
    met: Counter[tuple[str, str]] = Counter()
    dealt = []
    for number in range(1, count + 1):
        dealt.append(deal(seed, number, met, FAULTS, MOMENTS))
        met[dealt[-1].fault, dealt[-1].moment] += 1
    return dealt


def test_the_same_seed_draws_the_same() -> None:
    assert cards("a", 20) == cards("a", 20)
    assert cards("a", 20) != cards("b", 20)


def test_each_fault_comes_at_each_moment_as_often_as_the_others() -> None:
    met = Counter((card.fault, card.moment) for card in cards("a", 12))
    assert set(met.values()) == {2}
    assert len(met) == 6


def test_no_fault_comes_again_before_all_have_come() -> None:
    assert {card.fault for card in cards("c", 3)} == set(FAULTS)


def test_a_round_that_does_not_count_is_played_again() -> None:
    met = Counter({("kill", "waiting"): 1, ("disk", "sending"): 1})
    assert deal("a", 3, met, FAULTS, MOMENTS).fault == "power"
    assert deal("a", 4, met, FAULTS, MOMENTS).fault == "power"


def test_the_controller_dies_in_both_playbooks() -> None:
    assert {card.dies_in for card in cards("a", 6)} == {"", "failover", "rejoin"}
