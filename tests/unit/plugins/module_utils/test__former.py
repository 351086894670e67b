# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a former replica has beyond a base that is no ancestor of it."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._former import (
    Former,
    only_added,
    only_new,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._merge import merge, merge_all
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Quota, Script, Seen
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import (
    AddMailbox,
    AddMessages,
    DeleteMailbox,
    Expunge,
    Plan,
    PutScript,
    RemoveScript,
    Save,
    SaveScript,
    SetAcl,
    SetFlags,
    Subscribe,
    Unsubscribe,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Holding

from .worlds import World

INBOX, A, SIEVE = "user.anna", "user.anna.A", "user.anna.#sieve"


class Store:
    """Two replicas of one master, and what the master did."""

    def __init__(self) -> None:
        self.master = World()
        for name in (INBOX, A):
            self.master.make(name)
            self.master.deliver(name, f"first of {name}")
        self.master.make(SIEVE)
        self.master.script("s", "g1", active=True)
        self.master.subscribe(A)
        self.base, self.third = self.seen(), self.seen()
        self.known: Holding | None = None

    def seen(self) -> World:
        """The master as a replica has it now."""
        return copy.deepcopy(self.master)

    def touch(self, name: str, step: int = 1) -> None:
        head = self.master.box(name).head
        self.master.change(name, highestmodseq=head.highestmodseq + step)

    def plan(self, new: World | None = None) -> Plan:
        former = Former()
        base = self.base.holding
        beyond = former.beyond([base], [self.third.holding])
        plans = merge_all([base], beyond, [(new or self.base).holding], {})
        plans = [former.corrected(plan) for plan in plans]
        (plan,) = plans if self.known is None else only_new(plans, [self.known])
        return plan


@pytest.fixture
def store() -> Store:
    return Store()


def test_equal_ones_need_nothing(store: Store) -> None:
    assert store.plan() == Plan("anna", False)


def change_everything(store: Store) -> None:
    master = store.master
    master.deliver(INBOX, "late")
    master.flag(INBOX, 1, "\\flagged")
    for name in (INBOX, A, SIEVE):
        store.touch(name)
    master.expunge(A, 1)
    master.change(A, acl="anna\tlrs\tben\tlr\t")
    master.rename(A, "user.anna.B")
    master.make("user.anna.C")
    master.script("s", "g2", active=True)
    master.holding.quotas["user.anna"] = Quota("user.anna", (("STORAGE", "1"),))
    master.holding.seen["x"] = Seen("x", 1, 1, 5, "1")
    master.holding.annotations = (("/comment", "", "x"),)


def test_what_is_behind_turns_nothing_back(store: Store) -> None:
    store.third = store.seen()
    change_everything(store)
    store.base = store.seen()
    assert store.plan() == Plan("anna", False)


def test_another_message_under_a_uid_of_the_base_is_kept(store: Store) -> None:
    store.third = store.seen()
    store.third.deliver(A, "there alone")
    store.master.deliver(A, "of the base")
    store.touch(A)
    store.base = store.seen()
    new = copy.deepcopy(store.base)
    new.delete(A)
    saved = [save.message for save in store.plan(new).saves if isinstance(save, Save)]
    alone = store.third.box(A).messages[2]
    assert alone.guid in [message.guid for message in saved]


def test_what_is_behind_is_not_asked_for_what_it_has_not(store: Store) -> None:
    store.third = store.seen()
    store.third.holding.scripts.clear()
    store.master.deliver(INBOX, "late")
    store.base = store.seen()
    new = copy.deepcopy(store.base)
    new.expunge(INBOX, 1)
    new.expunge(INBOX, 2)
    new.script("s", "g3", active=True)
    plan = store.plan(new)
    assert (plan.steps, plan.touched_on_old, plan.conflicts) == ((), False, ())
    (save,) = plan.saves
    assert isinstance(save, Save)
    assert save.message.uid == 1


def test_what_is_ahead_is_merged(store: Store) -> None:
    change_everything(store)
    store.third = store.seen()
    plan = store.plan()
    kinds = {type(step) for step in plan.steps}
    assert {AddMessages, SetFlags, Expunge, SetAcl, AddMailbox, PutScript} <= kinds
    assert plan.touched_on_old


def test_rights_alone_are_told_by_the_foldermodseq(store: Store) -> None:
    store.third = store.seen()
    store.third.change(A, acl="anna\tlrs\tben\tlr\t")
    assert store.plan() == Plan("anna", False)
    store.third.change(A, foldermodseq=9)
    (step,) = store.plan().steps
    assert isinstance(step, SetAcl)


def test_one_mailbox_ahead_and_one_behind(store: Store) -> None:
    third = store.seen()
    store.master.flag(A, 1, "\\flagged")
    store.touch(A)
    store.base = store.seen()
    third.deliver(INBOX, "ahead")
    store.third = third
    (step,) = store.plan().steps
    assert isinstance(step, AddMessages)
    assert [message.guid for message in step.messages] == ["ahead"]


def test_what_an_older_state_has_and_nobody_knows_is_kept(store: Store) -> None:
    store.third = store.seen()
    store.touch(INBOX, 5)
    store.base = store.seen()
    store.third.deliver(INBOX, "stray")
    plan = store.plan()
    (step,) = plan.steps
    assert isinstance(step, AddMessages)
    assert plan.touched_on_old


def test_what_the_base_has_under_another_uid_is_dropped_and_not_brought_again(store: Store) -> None:
    store.third.deliver(INBOX, "again")
    store.base.deliver(INBOX, "between")
    store.base.deliver(INBOX, "again")
    store.base.change(INBOX, highestmodseq=100)
    plan = store.plan()
    assert plan.steps == ()
    assert plan.touched_on_old


@pytest.mark.parametrize("flag", ["\\flagged", "\\expunged"])
def test_what_replication_would_bring_is_dropped(store: Store, flag: str) -> None:
    store.base.change(INBOX, highestmodseq=100)
    store.third.flag(INBOX, 1, flag)
    messages = store.third.box(INBOX).messages
    assert not store.plan().touched_on_old
    messages[1] = replace(messages[1], modseq=50)
    plan = store.plan()
    assert plan.steps == ()
    assert plan.touched_on_old


def test_deleted_before_or_after(store: Store) -> None:
    third = store.seen()
    store.master.delete(A)
    store.base, store.third = store.seen(), third
    assert store.plan() == Plan("anna", False)
    store.base, store.third = third, store.seen()
    (step,) = store.plan().steps
    assert isinstance(step, DeleteMailbox)


def test_deleted_before_others_went_on_with_it(store: Store) -> None:
    store.third = store.seen()
    store.third.delete(A)
    store.third.delete(INBOX)
    for name in (A, INBOX):
        for number in (1, 2, 3):
            store.master.deliver(name, f"later {number} to {name}")
    store.base = store.seen()
    assert store.plan().steps == ()


def test_by_a_base_of_one_that_was_superseded_nothing_is_taken_away(store: Store) -> None:
    """The old master never had what the one before it took in its last moments."""
    old = store.seen()
    base = store.master
    base.make("user.anna.F")
    base.deliver("user.anna.F", "late")
    base.script("vacation", "g9")
    base.subscribe(A, "user.anna.F")
    base.flag(INBOX, 1, "\\flagged")
    old.deliver(INBOX, "later")
    old.delete(A)
    plan = merge(base.holding, old.holding, base.holding)
    taken = {type(step) for step in plan.steps}
    assert {DeleteMailbox, Unsubscribe, RemoveScript} <= taken
    found = only_added(plan)
    assert {type(step) for step in found.steps} == {AddMessages}
    kinds = {conflict.kind for conflict in found.conflicts}
    assert {"mailbox", "subscription", "sieve_script", "message_flags"} <= kinds
    (step,) = (s for s in found.steps if isinstance(s, AddMessages))
    assert len(step.messages) == 1


def test_what_has_no_modseq_only_adds(store: Store) -> None:
    third = store.third = store.seen()
    third.subscribe("user.anna.New")
    third.holding.quotas["user.anna"] = Quota("user.anna", (("STORAGE", "1"),))
    store.base = store.seen()
    store.base.holding.quotas["user.anna"] = Quota("user.anna", (("STORAGE", "2"),))
    (step,) = store.plan().steps
    assert isinstance(step, Subscribe)


def test_scripts_of_versions_without_a_mailbox_for_them(store: Store) -> None:
    for world in (store.base, store.third):
        world.lose(SIEVE)
    store.third.script("s", "g2", active=True)
    store.third.script("t", "g3")
    plan = store.plan()
    assert [step.name for step in plan.steps if isinstance(step, PutScript)] == ["t"]
    assert [save.name for save in plan.saves if isinstance(save, SaveScript)] == ["t"]


def test_a_user_on_one_side_only(store: Store) -> None:
    former = Former()
    anna, ben = store.base.holding, World("ben").holding
    assert list(former.beyond([anna], [ben])) == [anna, ben]


def test_what_the_old_master_knew_of_is_not_brought_again(store: Store) -> None:
    store.master.deliver(INBOX, "passing")
    store.master.deliver(INBOX, "stays")
    store.master.make("user.anna.C")
    store.third = store.seen()
    store.master.expunge(INBOX, 2)
    store.master.delete("user.anna.C")
    store.known = store.seen().holding
    new = copy.deepcopy(store.base)
    new.deliver(INBOX, "stays")
    plan = store.plan(new)
    assert plan.steps == ()
    assert [save.message.guid for save in plan.saves if isinstance(save, Save)] == ["passing"]
    assert plan.touched_on_old
    store.third.deliver(INBOX, "stray")
    (step,) = store.plan(new).steps
    assert isinstance(step, AddMessages)
    assert [message.guid for message in step.messages] == ["stray"]


def test_what_the_old_master_has_lost_is_brought(store: Store) -> None:
    store.third.make("user.anna.C")
    store.third.deliver("user.anna.C", "lone")
    store.known = replace(Holding("anna"), scripts={"s": Script("s", "g1", True)})
    (step,) = store.plan().steps
    assert isinstance(step, AddMailbox)
    assert [message.guid for message in step.messages] == ["lone"]
