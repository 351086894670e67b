# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.chaos import exam
from tests.chaos.checker import Verdict
from tests.chaos.deck import Card
from tests.chaos.goal import Goal, last_line, line
from tests.chaos.outcome import Outcome
from tests.chaos.record import Record

FAULTS = ["kill", "power"]
GOAL = Goal(6, FAULTS)
MET = [("kill", "waiting"), ("power", "asking"), ("kill", "sending"), ("power", "sending")]


def outcome(fault: str = "kill", moment: str = "waiting", missing: int = 3) -> Outcome:
    card = Card(fault, moment, "rejoin", 7, 0.5, 1.0, 2.0, 3600)
    verdict = Verdict(retried=["<1@example.com>"])
    return Outcome("s", 1, "", card, moment, missing, 90, "join", verdict, {"failover": 30.5})


def played() -> list[Outcome]:
    return [outcome(*one) for one in [*MET, ("kill", "waiting"), ("power", "asking")]]


def test_all_is_reached() -> None:
    assert GOAL.left(played()) == []


def test_a_round_in_which_nothing_was_missing_does_not_count() -> None:
    left = GOAL.left([*played()[:-1], outcome("power", "asking", 0)])
    assert left == ["5 of 6 rounds count", "power came 2 times, not 3"]


def test_every_moment_has_to_be_met() -> None:
    left = GOAL.left([outcome(fault) for fault in FAULTS * 3])
    assert left == ["no fault came while asking", "no fault came while sending"]


def test_another_fault_is_none_of_the_wanted() -> None:
    assert Goal(1, ["power"]).left([outcome("kill")])


def test_rounds_that_never_count_come_to_an_end() -> None:
    in_vain = [outcome(missing=0)] * 12
    assert not GOAL.is_hopeless(in_vain[1:])
    assert GOAL.is_hopeless(in_vain)


def test_the_lines_for_people() -> None:
    broken = Outcome("s", 1, "", outcome().card, broke="no disk")
    told, card = line(outcome()).splitlines()
    assert told.endswith("the controller died at: join; failover 30.5 s: all there")
    assert Card(**json.loads(card.removeprefix("  card="))) == outcome().card
    assert line(broken).splitlines()[0].endswith("FAILED")
    assert broken.failures() == ["broke off: no disk"]
    assert last_line([outcome(), broken]) == (
        "rounds=1 lost=0 duplicated=0 resurrected=0 dual_writers=0"
    )
    assert GOAL.table(played())[1].split() == ["kill", "2", "0", "1", "3"]


def test_a_record_is_read_as_it_was_written(tmp_path: Path) -> None:
    record = Record(tmp_path / "rounds.jsonl")
    record.add(outcome())
    record.add(outcome("power"))
    assert Record(record.path).outcomes == record.outcomes


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(exam, "FOLDER", tmp_path)
    return tmp_path


def test_a_run_that_was_cut_off_goes_on(folder: Path) -> None:
    Record(folder / "rounds.jsonl").add(outcome())
    assert len(exam.begin("rounds", "", GOAL).outcomes) == 1
    assert len(exam.begin("rounds", "s", GOAL).outcomes) == 1


@pytest.mark.parametrize(
    ("last", "seed", "goal"),
    [
        (outcome(), "another", GOAL),
        (outcome(), "", Goal(1, FAULTS)),
        (Outcome("s", 1, "", outcome().card, broke="no disk"), "", GOAL),
    ],
)
def test_a_run_that_came_to_its_end_is_put_aside(
    folder: Path, last: Outcome, seed: str, goal: Goal
) -> None:
    Record(folder / "rounds.jsonl").add(last)
    assert exam.begin("rounds", seed, goal).outcomes == []
    assert Record(folder / "rounds-s.jsonl").outcomes == [last]
