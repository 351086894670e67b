# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from tests.chaos.checker import Found, Verdict, judge
from tests.chaos.journal import Journal, Place
from tests.integration.load import Turn

HOST = "imap1"
ONE_AT_A_TIME = (Turn("imap1", 1.0, 1.1, 2.0), Turn("imap2", 3.0, 3.1, 4.0))


def place(uid: int, user: str = "anna", mailbox: str = "INBOX") -> Place:
    return Place(user, mailbox, 17, uid)


class Store:
    """A journal, and a server that has everything as clients were told."""

    def __init__(self) -> None:
        self.journal = Journal()
        self.found: list[Found] = []
        self.archived: set[str] = set()

    def accepted(self, user: str = "anna") -> str:
        ident = self.journal.ledger.new_ident()
        self.journal.ledger.accept(ident, user, "imap", HOST)
        self.found.append(Found(place(len(self.found) + 1, user), ident))
        return ident

    def without(self, ident: str) -> None:
        self.found = [one for one in self.found if one.ident != ident]

    def verdict(
        self, resent: Mapping[str, int] | None = None, turns: Sequence[Turn] = ONE_AT_A_TIME
    ) -> Verdict:
        return judge(self.journal, self.found, self.archived, resent or {}, turns)


@pytest.fixture
def store() -> Store:
    made = Store()
    made.accepted("ben")
    return made


def test_all_is_well(store: Store) -> None:
    assert store.verdict() == Verdict()


def test_a_planted_loss_is_found(store: Store) -> None:
    ident = store.accepted()
    store.without(ident)
    store.archived.add(ident)
    (sentence,) = store.verdict().lost
    assert sentence == f"{ident} to anna by imap at imap1"


def test_what_another_user_has_got_is_lost_to_its_own(store: Store) -> None:
    ident = store.accepted()
    store.without(ident)
    store.found.append(Found(place(9, "ben"), ident))
    assert len(store.verdict().lost) == 1


def test_a_planted_duplicate_is_found(store: Store) -> None:
    ident = store.accepted()
    store.found.append(Found(place(9), ident))
    verdict = store.verdict()
    assert verdict.duplicated == [f"{ident} is there 2 times"]
    assert len(verdict.failures()) == 1


def test_a_duplicate_of_what_nobody_was_answered_for_is_one_too(store: Store) -> None:
    ident = store.journal.ledger.new_ident()
    store.found += [Found(place(8), ident), Found(place(9), ident)]
    assert len(store.verdict().duplicated) == 1


def test_a_retry_after_a_lost_answer_is_counted_apart(store: Store) -> None:
    ident = store.accepted()
    store.found.append(Found(place(9), ident))
    verdict = store.verdict(resent={ident: 1})
    assert verdict.retried == [ident]
    assert not verdict.failures()
    store.found.append(Found(place(10), ident))
    assert store.verdict(resent={ident: 1}).failures()


def test_a_planted_resurrection_is_found(store: Store) -> None:
    ident = store.accepted()
    store.journal.asks_to_expunge(ident)
    store.journal.expunge(ident)
    assert store.verdict().resurrected == [ident]
    store.without(ident)
    assert not store.verdict().failures()


def test_without_an_answer_it_may_be_there_or_not(store: Store) -> None:
    ident = store.accepted()
    store.journal.asks_to_expunge(ident)
    assert not store.verdict().failures()
    store.without(ident)
    assert not store.verdict().failures()


def test_what_its_user_has_deleted_unseen_is_in_the_archive_only(store: Store) -> None:
    ident = store.accepted()
    store.journal.drop({ident})
    assert store.verdict().resurrected == [ident]
    assert len(store.verdict().lost) == 1
    store.without(ident)
    store.archived.add(ident)
    assert not store.verdict().failures()


def test_a_planted_double_write_is_found(store: Store) -> None:
    turns = (Turn("imap1", 1.0, 1.1, 2.0), Turn("imap2", 1.9, 2.1, 4.0))
    (sentence,) = store.verdict(turns=turns).dual_writers
    assert "imap2 took one at 1.900, imap1 until 2.000" in sentence


def test_a_uid_that_is_used_again_is_found(store: Store) -> None:
    ident = store.accepted()
    (mine,) = (one.place for one in store.found if one.ident == ident)
    store.journal.saw(mine, ident)
    assert not store.verdict().failures()
    store.without(ident)
    store.found.append(Found(place(99), ident))
    store.found.append(Found(mine, "<another@example.com>"))
    assert len(store.verdict().reused) == 1


def test_a_client_that_sees_it_itself_remembers(store: Store) -> None:
    store.journal.saw(place(7), "<one@example.com>")
    store.journal.saw(place(7), "<two@example.com>")
    assert len(store.verdict().reused) == 1


def test_a_flag_that_is_gone_is_found(store: Store) -> None:
    ident = store.accepted()
    store.journal.flag(ident, "\\Flagged")
    assert store.verdict().unflagged == [f"{ident}: \\Flagged"]
    store.without(ident)
    store.found.append(Found(place(9), ident, frozenset({"\\Seen", "\\Flagged"})))
    assert not store.verdict().failures()
