# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Rounds one after the other."""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator

from tests.integration import lab

from . import store, tidy
from .deck import Card, deal
from .goal import Goal
from .journal import Journal
from .moment import MOMENTS
from .outcome import Outcome
from .record import Record
from .round import Round, Ways, play

FOLDER = lab.ROOT / ".cache/chaos"


def rounds(
    goal: Goal, record: Record, seed: str, ways: Ways, again: Card | None = None
) -> Iterator[Outcome]:
    """Play what the record lacks, up to a round that fails, or a card again; a store is there and
    has a master."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    journal = Journal()
    while goal.left(record.outcomes) and not goal.is_hopeless(record.outcomes):
        number = len(record.outcomes) + 1
        card = again or deal(seed, number, goal.met(record.outcomes), goal.faults, MOMENTS)
        begun = time.time()
        store.mark()
        outcome = _play(Round(seed, number, card, FOLDER), journal, ways)
        record.add(outcome)
        yield outcome
        if outcome.failures():
            return
        store.unmark()
        tidy.expunge_before(begun, store.master(), store.users(), journal)


def _play(this: Round, journal: Journal, ways: Ways) -> Outcome:
    """Whatever goes wrong in a round is an outcome of it."""
    try:
        return play(this, journal, ways)
    except Exception as error:
        this.log("broke").write_text(traceback.format_exc())
        return this.outcome(broke=str(error) or repr(error))


def begin(name: str, seed: str, goal: Goal) -> Record:
    """The record of a run that was cut off, or a new one."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    record = Record(FOLDER / f"{name}.jsonl")
    has_failed = any(one.failures() for one in record.outcomes)
    another = any(one.seed != seed for one in record.outcomes) if seed else False
    if has_failed or another or not goal.left(record.outcomes):
        record.put_aside()
    return record
