# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The exam: under load, with a fault at a moment of its own, no acknowledged message is lost.

TEST_LONG=1 first shows what is lost where the replica is simply made master.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.chaos import exam, faults, plain, reader, store
from tests.chaos.checker import Verdict, judge
from tests.chaos.goal import Goal, last_line, line
from tests.chaos.journal import Journal
from tests.chaos.record import Record
from tests.chaos.round import Ways

from . import lab
from .load import append, log_in, message

SEED = os.environ.get("CHAOS_SEED", "1")
SECONDS = 300.0 if lab.LONG else 120.0
FAULTS = [fault.name for fault in faults.FAULTS]


@pytest.fixture(scope="module", autouse=True)
def hosts() -> Iterator[None]:
    """The exam's own; a lab that is there already stays."""
    stays = lab.INVENTORY.exists()
    store.boot()
    yield
    if not stays:
        lab.lab("down")


class Planted:
    """What a client has been told by the master, and what then becomes of it behind its back."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.user = store.users()[1]
        self.master = store.master()
        self.session = log_in(lab.address(self.master), self.user, 30)
        self.ident = self.journal.ledger.new_ident()
        self.append()
        self.journal.ledger.accept(self.ident, self.user, "imap", self.master)

    def append(self) -> None:
        append(self.session, message(self.ident, self.user))

    def expunge(self) -> None:
        self.session.select()
        (uid,) = self.session.uid("SEARCH", "HEADER", "Message-ID", self.ident)[1][0].split()
        self.session.uid("STORE", uid.decode(), "+FLAGS.SILENT", "(\\Deleted)")
        self.session.uid("EXPUNGE", uid.decode())

    def verdict(self) -> Verdict:
        return judge(self.journal, reader.read(self.master, [self.user]), set(), {}, ())


def test_the_checker_finds_a_planted_loss() -> None:
    planted = Planted()
    assert planted.verdict() == Verdict()
    planted.expunge()
    assert len(planted.verdict().lost) == 1


def test_the_checker_finds_a_planted_duplicate() -> None:
    planted = Planted()
    planted.append()
    assert len(planted.verdict().duplicated) == 1


def test_the_checker_finds_a_planted_resurrection() -> None:
    planted = Planted()
    planted.expunge()
    planted.journal.asks_to_expunge(planted.ident)
    planted.journal.expunge(planted.ident)
    assert planted.verdict() == Verdict()
    planted.append()
    assert len(planted.verdict().resurrected) == 1


@lab.only_long
def test_without_a_failover_mail_is_lost(tmp_path: Path) -> None:
    plainly = Ways(plain.failover, plain.rejoin)
    (outcome,) = exam.rounds(Goal(1, ["power"]), Record(tmp_path / "plain"), SEED, plainly)
    print(line(outcome))
    assert outcome.failures()


def test_nothing_is_lost(tmp_path: Path) -> None:
    record, begun = Record(tmp_path / "rounds"), time.monotonic()
    for outcome in exam.rounds(Goal(100, FAULTS), record, SEED, Ways()):
        print(line(outcome))
        assert not outcome.failures(), outcome.failures()
        if time.monotonic() - begun > SECONDS:
            break
    print(f"seed={SEED}", last_line(record.outcomes), sep="\n")
    assert any(outcome.counts for outcome in record.outcomes)
