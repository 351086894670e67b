# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A log worked off against a model of Cyrus: its client ends at the first thing that fails."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _bundle, _events
from ansible_collections.mailops.cyrus.plugins.module_utils._batch import Batch
from ansible_collections.mailops.cyrus.plugins.module_utils._client import (
    HASTY,
    HOPELESS,
    Client,
    Outcome,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._ends import AwayError, Ends
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Event, Target
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import WireError
from hypothesis import given
from hypothesis import strategies as st


class Cyrus:
    """Master, replica and client: a target arrives when a line about it is done."""

    def __init__(self, poison: Collection[Target] = ()) -> None:
        self.poison = set(poison)
        self.arrived: set[Target] = set()
        self.runs: list[list[str]] = []
        self.later: set[Target] = set()
        self.exit = 39
        self.connected = True
        self.broken_answers = 0
        self.alive = True
        self.blamed: list[Target] = []

    # -- the client

    def run(self, lines: Iterable[str], talkative: bool, limit: float) -> Outcome:
        self.runs.append(list(lines))
        if not self.connected:
            return Outcome(-1, connected=False)
        for line in self.runs[-1]:
            for target in self._parts(_events.targets(_events.read(line))):
                if target in self.poison:
                    return Outcome(self.exit)
                self.arrived.add(target)
        return Outcome(0)

    # -- the ends

    def proof(self) -> Cyrus:
        return self

    def before(self, targets: Collection[Target]) -> None:
        self.arrived -= set(self._parts(targets)) & self.later

    def behind(self, targets: Collection[Target], _before: None) -> dict[Target, str]:
        if self.broken_answers:
            self.broken_answers -= 1
            raise WireError("replica: the connection broke")
        late = {t for t in targets if not set(self._parts([t])) <= self.arrived}
        return dict.fromkeys(late, "late")

    def unproven(self, behind: dict[Target, str], _before: None) -> dict[Target, str]:
        return behind

    def live_mailboxes(self, users: Collection[str]) -> dict[str, list[str]]:
        return {user: [f"user.{user}", f"user.{user}.Sent"] for user in users}

    def open(self) -> None:
        if not self.alive:
            raise AwayError("imap2: nothing listens")

    def close(self) -> None:
        pass

    def _parts(self, targets: Iterable[Target]) -> list[Target]:
        found = []
        for target in targets:
            if target.scope == "user":
                names = self.live_mailboxes([target.name])[target.name]
                found += [Target("mailbox", name) for name in names]
            else:
                found.append(target)
        return found

    # -- the batch

    def batch(self) -> Batch:
        def blame(_events: list[Event], unproven: dict[Target, str], _outcome: Outcome) -> None:
            self.blamed += unproven

        return Batch(cast(Client, self), cast(Ends, self), lambda: self.later, blame)


def read(*lines: str) -> list[Event]:
    return [_events.read(line) for line in lines]


def test_what_arrives_costs_one_run() -> None:
    cyrus = Cyrus()
    cyrus.batch().work_off(read(*(f"MAILBOX user.u{i}" for i in range(900)), "USER ann"))
    assert len(cyrus.runs) == 1
    assert cyrus.blamed == []


@pytest.mark.parametrize("place", [0, 1, 99, 198, 199])
def test_one_that_fails_is_found_in_a_few_runs(place: int) -> None:
    poison = Target("mailbox", f"user.u{place}")
    cyrus = Cyrus([poison])
    events = read(*(f"MAILBOX user.u{i}" for i in range(200)))
    cyrus.batch().work_off(events)
    assert cyrus.blamed == [poison]
    assert set(_bundle.targets_of(events)) - cyrus.arrived == {poison}
    assert len(cyrus.runs) <= 2 * 8 + 3


def test_of_a_user_only_the_mailbox_that_fails_is_blamed() -> None:
    poison = Target("mailbox", "user.ann.Sent")
    cyrus = Cyrus([poison])
    cyrus.batch().work_off(read("USER ann", "USER ben"))
    assert cyrus.blamed == [poison]
    assert {Target("mailbox", "user.ann"), Target("meta", "ann")} <= cyrus.arrived


def test_an_exit_code_of_nought_does_not_hide_a_failure() -> None:
    poison = Target("mailbox", "shared.a")
    cyrus = Cyrus([poison])
    cyrus.exit = 0
    cyrus.batch().work_off(read("MAILBOX shared.a", "MAILBOX shared.b"))
    assert cyrus.blamed == [poison]
    assert Target("mailbox", "shared.b") in cyrus.arrived


targets = st.sampled_from(
    [Target("mailbox", name) for name in ("user.a", "user.a.Sent", "user.b", "shared.x")]
    + [Target("meta", "a"), Target("meta", "b"), Target("quota", "user.a")]
)
lines = st.sampled_from(
    [
        "USER a",
        "USER b",
        "META a",
        "SUB b shared.x",
        "MAILBOX user.a",
        "MAILBOX user.a.Sent",
        "DOUBLEMAILBOX user.a user.b",
        "RENAME user.a.Sent user.b.Sent",
        "MAILBOX shared.x",
        "QUOTA user.a",
        "junk",
    ]
)


@given(st.lists(lines, max_size=12), st.sets(targets, max_size=3))
def test_all_that_can_arrive_does_and_the_rest_is_blamed(
    logged: list[str], poison: set[Target]
) -> None:
    cyrus = Cyrus(poison)
    events = read(*logged)
    cyrus.batch().work_off(events)
    wanted = set(cyrus._parts(_bundle.targets_of(events)))
    missing = wanted - cyrus.arrived
    # Only a mailbox that one line moves together with a failing one shares its fate.
    assert missing <= poison | (
        {Target("mailbox", "user.a.Sent"), Target("mailbox", "user.b.Sent")}
    )
    assert missing <= set(cyrus.blamed)
    assert poison & wanted <= set(cyrus.blamed)


def test_what_has_changed_again_is_left_to_its_next_event() -> None:
    cyrus = Cyrus()
    moving = Target("mailbox", "user.a")
    cyrus.later = {moving}
    cyrus.run = lambda lines, talkative, limit: Outcome(0)  # type: ignore[method-assign]
    cyrus.batch().work_off(read("MAILBOX user.a"))
    assert cyrus.blamed == []


def test_but_not_for_ever() -> None:
    cyrus = Cyrus()
    cyrus.later = {Target("mailbox", "user.a")}
    cyrus.run = lambda lines, talkative, limit: Outcome(0)  # type: ignore[method-assign]
    batch = cyrus.batch()
    for _turn in range(11):
        batch.work_off(read("MAILBOX user.a"))
    assert cyrus.blamed == [Target("mailbox", "user.a")]


def test_a_client_that_cannot_connect_blames_nobody() -> None:
    cyrus = Cyrus()
    cyrus.connected = False
    with pytest.raises(AwayError):
        cyrus.batch().work_off(read("MAILBOX user.a"))
    assert cyrus.blamed == []


def test_a_replica_that_goes_away_during_the_proof_blames_nobody() -> None:
    cyrus = Cyrus()
    cyrus.broken_answers, cyrus.alive = 1, False
    with pytest.raises(AwayError):
        cyrus.batch().work_off(read("MAILBOX user.a"))
    assert cyrus.blamed == []


def test_a_broken_answer_of_a_replica_that_lives_is_asked_for_again() -> None:
    cyrus = Cyrus()
    cyrus.broken_answers = 1
    cyrus.batch().work_off(read("MAILBOX user.a"))
    assert cyrus.blamed == []


def test_what_ends_the_process_that_is_asked_about_it_is_unproven() -> None:
    cyrus = Cyrus()
    cyrus.broken_answers = 1000
    cyrus.batch().work_off(read("MAILBOX user.a"))
    assert cyrus.blamed == [Target("mailbox", "user.a")]


def test_after_one_that_stood_still_there_is_less_patience() -> None:
    limits = []

    def run(lines: Iterable[str], talkative: bool, limit: float) -> Outcome:
        limits.append(limit)
        return Outcome(-1, stuck=True)

    cyrus = Cyrus()
    cyrus.run = run  # type: ignore[method-assign]
    cyrus.batch().work_off(read("MAILBOX user.a", "MAILBOX user.b"))
    assert limits[0] == HOPELESS
    assert set(limits[1:]) == {HASTY}
