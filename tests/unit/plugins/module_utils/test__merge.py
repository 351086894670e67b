# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Each rule of the merge by itself."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._merge import merge, merge_all
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Quota, Seen
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import (
    NEW,
    OLD,
    ActivateScript,
    AddMailbox,
    AddMessages,
    DeleteMailbox,
    Expunge,
    Plan,
    PutScript,
    RemoveScript,
    RenameMailbox,
    Save,
    SaveMailbox,
    SaveScript,
    SetAcl,
    SetAnnotation,
    SetFlags,
    SetQuota,
    SetSeen,
    Subscribe,
    Unsubscribe,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Box, Holding

from .worlds import World, head

INBOX, A, B = "user.anna", "user.anna.A", "user.anna.B"


class Split:
    """Anna has the INBOX b1 and the mailbox A, b2, with a message 1 of each on both sides."""

    def __init__(self) -> None:
        self.base = World()
        for name in (INBOX, A):
            self.base.make(name)
            self.base.deliver(name, f"first of {name}")
        self.base.script("s", "g1", active=True)
        self.base.subscribe(A)
        self.part()

    def part(self) -> None:
        self.old, self.new = self.base.split()

    def plan(self) -> Plan:
        return merge(self.base.holding, self.old.holding, self.new.holding)


@pytest.fixture
def split() -> Split:
    return Split()


def saved(plan: Plan) -> list[tuple[str, str, int]]:
    saves = (save for save in plan.saves if isinstance(save, Save))
    return [(save.side, save.mailbox, save.message.uid) for save in saves]


def kinds(plan: Plan) -> list[tuple[str, str | None, int | None, str]]:
    return [(c.kind, c.mailbox, c.uid, c.kept) for c in plan.conflicts]


def test_equal_sides_need_nothing(split: Split) -> None:
    assert split.plan() == Plan("anna", False)


def test_what_only_the_new_side_did_stays(split: Split) -> None:
    split.new.deliver(INBOX, "new")
    split.new.flag(INBOX, 1, "\\flagged")
    split.new.rename(A, B)
    split.new.subscribe(B)
    split.new.script("t", "g2")
    assert split.plan() == Plan("anna", False)


# -- messages


def test_a_message_only_on_the_old_side_is_added_and_archived(split: Split) -> None:
    uid = split.old.deliver(INBOX, "lone", "\\seen")
    plan = split.plan()
    (step,) = plan.steps
    assert isinstance(step, AddMessages)
    assert (step.mailbox, step.uniqueid, step.source.name) == (INBOX, "b1", INBOX)
    assert [(m.uid, m.guid, m.flags) for m in step.messages] == [
        (uid, "lone", frozenset({"\\seen"}))
    ]
    assert saved(plan) == [(OLD, INBOX, uid)]
    assert plan.touched_on_old
    assert plan.conflicts == ()


def test_two_equal_messages_stay_two(split: Split) -> None:
    first, second = split.old.deliver(INBOX, "twin"), split.old.deliver(INBOX, "twin")
    (step,) = split.plan().steps
    assert isinstance(step, AddMessages)
    assert [m.uid for m in step.messages] == [first, second]


def test_what_the_new_side_got_as_well_is_not_added_twice(split: Split) -> None:
    split.new.deliver(INBOX, "twin")
    split.old.deliver(INBOX, "twin")
    second = split.old.deliver(INBOX, "twin")
    (step,) = split.plan().steps
    assert isinstance(step, AddMessages)
    assert [m.uid for m in step.messages] == [second]


def test_a_copy_that_the_user_has_expunged_does_not_come_back(split: Split) -> None:
    uid = split.old.deliver(INBOX, "lone")
    done = split.new.carry_out(split.plan())
    (_first, (copied, _guid)) = done.live(INBOX)
    done.expunge(INBOX, copied)
    plan = merge(split.base.holding, split.old.holding, done.holding)
    assert plan.steps == ()
    assert saved(plan) == [(OLD, INBOX, uid)]


def test_messages_without_a_hash_are_never_equal(split: Split) -> None:
    split.old.deliver(INBOX, "0" * 40)
    split.new.deliver(INBOX, "0" * 40)
    (step,) = split.plan().steps
    assert isinstance(step, AddMessages)


def test_what_came_and_went_on_the_old_side_is_only_archived(split: Split) -> None:
    uid = split.old.deliver(INBOX, "short")
    split.old.expunge(INBOX, uid)
    plan = split.plan()
    assert plan.steps == ()
    assert saved(plan) == [(OLD, INBOX, uid)]


def test_what_was_expunged_on_the_old_side_is_expunged(split: Split) -> None:
    split.old.expunge(INBOX, 1)
    split.new.flag(INBOX, 1, "\\seen", "\\deleted")
    plan = split.plan()
    assert plan.steps == (Expunge("anna", INBOX, "b1", 1, "first of user.anna"),)
    assert saved(plan) == [(NEW, INBOX, 1)]


def test_what_was_expunged_on_the_old_side_and_changed_on_the_new_one_stays(split: Split) -> None:
    split.old.expunge(INBOX, 1)
    split.new.flag(INBOX, 1, "\\answered")
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("message_expunged", INBOX, 1, "nowhere")]


def test_a_mark_for_deletion_that_was_taken_away_is_a_change(split: Split) -> None:
    split.base.flag(INBOX, 1, "\\deleted")
    split.part()
    split.old.expunge(INBOX, 1)
    split.new.unflag(INBOX, 1, "\\deleted")
    assert kinds(split.plan()) == [("message_expunged", INBOX, 1, "nowhere")]


def test_what_has_no_tombstone_on_the_old_side_stays(split: Split) -> None:
    split.base.deliver(INBOX, "second")
    split.part()
    split.old.box(INBOX).messages.clear()
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("message", INBOX, None, "nowhere")]
    assert "1:2 (2 messages)" in plan.conflicts[0].found


def test_what_was_expunged_on_the_new_side_stays_away(split: Split) -> None:
    split.new.expunge(INBOX, 1)
    plan = split.plan()
    assert (plan.steps, plan.conflicts) == ((), ())
    assert saved(plan) == [(OLD, INBOX, 1)]


def test_what_was_changed_on_the_old_side_and_expunged_on_the_new_one_is_told(split: Split) -> None:
    split.new.expunge(INBOX, 1)
    split.old.flag(INBOX, 1, "\\flagged")
    plan = split.plan()
    assert plan.steps == ()
    assert saved(plan) == [(OLD, INBOX, 1)]
    assert kinds(plan) == [("message_expunged", INBOX, 1, "archive")]


def test_what_has_no_tombstone_on_the_new_side_is_told(split: Split) -> None:
    split.new.box(INBOX).messages.clear()
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("message", INBOX, None, "archive")]


def test_each_flag_is_merged_by_itself(split: Split) -> None:
    split.base.flag(INBOX, 1, "a", "b")
    split.part()
    split.old.flag(INBOX, 1, "old", "both")
    split.old.unflag(INBOX, 1, "a")
    split.new.flag(INBOX, 1, "new", "both")
    split.new.unflag(INBOX, 1, "b")
    plan = split.plan()
    step = SetFlags(
        "anna", INBOX, "b1", 1, "first of user.anna", frozenset({"old"}), frozenset({"a"})
    )
    assert plan.steps == (step,)
    assert plan.conflicts == ()


def test_annotations_of_a_message(split: Split) -> None:
    bookkeeping = ("/vendor/cmu/cyrus-imapd/thrid", "", "77")
    split.old.annotate(INBOX, 1, (("/comment", "anna", "old"), ("/altsubject", "", "x")))
    split.new.annotate(INBOX, 1, (("/altsubject", "", "y"), bookkeeping))
    plan = split.plan()
    at = ("anna", INBOX, "b1", 1, "first of user.anna")
    assert plan.steps == (SetAnnotation(*at, "/comment", "anna", "old"),)
    assert kinds(plan) == [("message_annotation", INBOX, 1, "report")]


def test_a_uid_of_two_messages_keeps_both(split: Split) -> None:
    uid = split.old.deliver(INBOX, "old")
    split.new.change(INBOX, last_uid=uid - 1)
    split.new.deliver(INBOX, "new")
    plan = split.plan()
    (step,) = plan.steps
    assert isinstance(step, AddMessages)
    assert kinds(plan) == [("message_guid", INBOX, uid, "archive")]


# -- mailboxes


def test_a_mailbox_only_on_the_old_side_is_made_with_its_ids(split: Split) -> None:
    split.old.make(B)
    split.old.deliver(B, "kept")
    gone = split.old.deliver(B, "gone")
    split.old.expunge(B, gone)
    plan = split.plan()
    (step,) = plan.steps
    assert isinstance(step, AddMailbox)
    assert (step.mailbox, step.uniqueid, step.head.last_uid) == (B, "o3", 2)
    assert [(m.uid, m.guid) for m in step.messages] == [(1, "kept")]
    assert saved(plan) == [(OLD, B, 1), (OLD, B, 2)]


def test_a_mailbox_that_was_made_half_gets_the_rest(split: Split) -> None:
    split.old.make(B)
    split.old.deliver(B, "one")
    split.old.deliver(B, "two")
    done = split.new.carry_out(split.plan())
    del done.box(B).messages[2]
    (step,) = merge(split.base.holding, split.old.holding, done.holding).steps
    assert isinstance(step, AddMessages)
    assert [m.guid for m in step.messages] == ["two"]


def test_a_mailbox_that_was_brought_back_and_then_deleted_stays_deleted(split: Split) -> None:
    split.old.make(B)
    split.old.deliver(B, "one")
    done = split.new.carry_out(split.plan())
    done.delete(B)
    plan = merge(split.base.holding, split.old.holding, done.holding)
    assert plan.steps == ()
    assert kinds(plan) == [("mailbox", B, None, "archive")]


def test_the_same_name_made_on_both_sides_is_one_mailbox(split: Split) -> None:
    split.old.make(B)
    split.old.deliver(B, "old")
    split.new.make(B)
    split.new.deliver(B, "new")
    plan = split.plan()
    (step,) = plan.steps
    assert isinstance(step, AddMessages)
    assert (step.uniqueid, step.source.uniqueid) == ("n3", "o3")
    assert kinds(plan) == [("mailbox_uniqueid", B, None, "archive")]


def test_two_old_mailboxes_in_one_are_counted_together(split: Split) -> None:
    """A was renamed to B and made anew on the old side; the new one has another B."""
    split.old.rename(A, B)
    split.old.deliver(B, "twin")
    split.old.make(A)
    split.old.deliver(A, "twin")
    split.new.make(B)
    plan = split.plan()
    added = [step for step in plan.steps if isinstance(step, AddMessages)]
    assert [(step.uniqueid, step.source.uniqueid) for step in added] == [("b2", "o3"), ("b2", "b2")]
    assert kinds(plan) == [
        ("mailbox_name", A, None, "report"),
        ("mailbox_uniqueid", A, None, "archive"),
    ]


def test_what_is_new_in_a_mailbox_deleted_on_the_new_side_is_archived(split: Split) -> None:
    uid = split.old.deliver(A, "lone")
    split.new.delete(A)
    plan = split.plan()
    assert plan.steps == ()
    assert saved(plan) == [(OLD, A, 1), (OLD, A, uid)]
    assert kinds(plan) == [("mailbox", A, None, "archive")]


def test_a_mailbox_deleted_on_the_new_side_alone_is_no_conflict(split: Split) -> None:
    split.new.delete(A)
    plan = split.plan()
    assert (plan.steps, plan.conflicts) == ((), ())
    assert saved(plan) == [(OLD, A, 1)]


def test_a_mailbox_that_is_nowhere_on_the_new_side_is_told(split: Split) -> None:
    split.new.lose(A)
    assert kinds(split.plan()) == [("mailbox", A, None, "archive")]


def test_what_is_new_goes_to_a_mailbox_deleted_and_made_again(split: Split) -> None:
    split.old.deliver(A, "lone")
    split.new.delete(A)
    split.new.make(A)
    plan = split.plan()
    (step,) = plan.steps
    assert isinstance(step, AddMessages)
    assert step.uniqueid == "n3"
    assert [m.guid for m in step.messages] == ["lone"]
    assert saved(plan) == [(OLD, A, 1), (OLD, A, 2)]


def test_a_mailbox_deleted_on_the_old_side_is_deleted(split: Split) -> None:
    split.old.delete(A)
    split.new.flag(A, 1, "\\seen")
    plan = split.plan()
    (step,) = plan.steps
    assert isinstance(step, DeleteMailbox)
    assert (step.mailbox, step.uniqueid) == (A, "b2")
    assert saved(plan) == [(NEW, A, 1)]
    (whole,) = (save for save in plan.saves if isinstance(save, SaveMailbox))
    assert (whole.mailbox, whole.uniqueid) == ("DELETED.user.anna.A.5f3a9c12", "b2")
    assert plan.touched_on_old


@pytest.mark.parametrize(
    "change",
    [
        lambda new: new.deliver(A, "new"),
        lambda new: new.flag(A, 1, "\\flagged"),
        lambda new: new.rename(A, B),
        lambda new: new.change(A, acl="ben\tlr\t"),
    ],
)
def test_a_mailbox_deleted_on_one_side_and_changed_on_the_other_stays(
    split: Split, change: Callable[[World], object]
) -> None:
    split.old.delete(A)
    change(split.new)
    plan = split.plan()
    assert plan.steps == ()
    assert [kind for kind, *_rest in kinds(plan)] == ["mailbox"]


def test_a_mailbox_that_is_nowhere_on_the_old_side_stays(split: Split) -> None:
    split.old.lose(A)
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("mailbox", A, None, "nowhere")]


def test_renamed_on_the_old_side_with_news_in_it(split: Split) -> None:
    split.old.rename(A, B)
    split.old.deliver(B, "lone")
    first, second = split.plan().steps
    assert first == RenameMailbox("anna", A, "b2", B)
    assert isinstance(second, AddMessages)
    assert second.mailbox == B


def test_renamed_differently_on_both_sides(split: Split) -> None:
    split.old.rename(A, B)
    split.new.rename(A, "user.anna.C")
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("mailbox_name", "user.anna.C", None, "report")]


def test_names_are_made_free_before_they_are_taken(split: Split) -> None:
    """A became B, B became C, and there is a new A; C was deleted."""
    split.base.make(B)
    split.base.make("user.anna.C")
    split.part()
    split.old.delete("user.anna.C")
    split.old.rename(B, "user.anna.C")
    split.old.rename(A, B)
    split.old.make(A)
    plan = split.plan()
    assert [step.verb for step in plan.steps] == [
        "delete_mailbox",
        "rename_mailbox",
        "rename_mailbox",
        "add_mailbox",
    ]
    assert plan.conflicts == ()
    split.new.carry_out(plan)


def test_two_mailboxes_that_changed_places_keep_their_names(split: Split) -> None:
    split.base.make(B)
    split.part()
    split.old.rename(A, "user.anna.C")
    split.old.rename(B, A)
    split.old.rename("user.anna.C", B)
    plan = split.plan()
    assert plan.steps == ()
    assert [kind for kind, *_rest in kinds(plan)] == ["mailbox_name"] * 2


def test_rights_are_merged_by_identifier(split: Split) -> None:
    split.base.change(A, acl="anna\tlrs\tben\tlr\tcleo\tlr\t")
    split.part()
    split.old.change(A, acl="anna\tlrs\tcleo\tlrs\tdan\tl\t")
    split.new.change(A, acl="anna\tlrs\tben\tlr\tcleo\tl\teve\tl\t")
    plan = split.plan()
    assert set(plan.steps) == {
        SetAcl("anna", A, "b2", "ben", None),
        SetAcl("anna", A, "b2", "dan", "l"),
    }
    assert kinds(plan) == [("acl", A, None, "report")]


def test_annotations_and_what_no_step_sets_of_a_mailbox(split: Split) -> None:
    split.old.change(A, annotations=(("/comment", "", "x"),), options="S", uidvalidity=200)
    plan = split.plan()
    assert plan.steps == (SetAnnotation("anna", A, "b2", None, None, "/comment", "", "x"),)
    assert kinds(plan) == [("uidvalidity", A, None, "report"), ("options", A, None, "report")]


def test_names_without_mail_and_scripts_as_mail_are_left_alone(split: Split) -> None:
    split.old.make("user.anna.above")
    split.old.change("user.anna.above", mboxtype="i")
    split.old.make("user.anna.#sieve")
    split.old.deliver("user.anna.#sieve", "a script")
    plan = split.plan()
    assert (plan.steps, plan.saves, plan.conflicts) == ((), (), ())
    assert plan.touched_on_old


def test_a_mailbox_takes_the_place_of_a_name_without_mail(split: Split) -> None:
    split.old.make(B)
    split.new.make(B)
    split.new.change(B, mboxtype="i")
    (step,) = split.plan().steps
    assert isinstance(step, AddMailbox)


# -- users


def test_a_user_only_on_the_old_side(split: Split) -> None:
    plan = merge(Holding("anna"), split.old.holding, Holding("anna"))
    assert [step.verb for step in plan.steps] == [
        "add_mailbox",
        "add_mailbox",
        "subscribe",
        "put_script",
        "activate_script",
    ]
    assert [step.mailbox for step in plan.steps if isinstance(step, AddMailbox)] == [INBOX, A]
    assert plan.conflicts == ()


def test_a_user_deleted_on_the_new_side_stays_deleted(split: Split) -> None:
    split.old.make(B)
    split.old.deliver(B, "lone")
    split.old.subscribe(B)
    split.new.delete(A)
    split.new.delete(INBOX)
    plan = split.plan()
    assert plan.steps == ()
    assert {(side, name) for side, name, _uid in saved(plan)} == {(OLD, INBOX), (OLD, A), (OLD, B)}
    assert kinds(plan) == [("mailbox", B, None, "archive")]


def test_a_user_deleted_on_the_old_side_goes_as_a_whole(split: Split) -> None:
    split.old.delete(A)
    split.old.delete(INBOX)
    split.old.subscribe()
    plan = split.plan()
    deleted = [step.mailbox for step in plan.steps if isinstance(step, DeleteMailbox)]
    assert deleted == [A, INBOX]
    assert len(plan.steps) == 2


def test_a_user_deleted_on_the_old_side_with_a_mailbox_left_keeps_the_inbox(split: Split) -> None:
    split.old.delete(A)
    split.old.delete(INBOX)
    split.new.deliver(A, "new")
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("mailbox", A, None, "archive"), ("mailbox", INBOX, None, "archive")]


def test_a_user_of_whom_the_old_side_has_no_trace_stays(split: Split) -> None:
    plan = merge(split.base.holding, Holding("anna"), split.new.holding)
    assert plan.steps == ()
    assert kinds(plan) == [("user", None, None, "nowhere")]
    assert not plan.touched_on_old


# -- what is no mail


def test_subscriptions(split: Split) -> None:
    split.old.subscribe(B)
    split.new.subscribe(A, INBOX)
    assert set(split.plan().steps) == {Subscribe("anna", B), Unsubscribe("anna", A)}


def test_seen_state_of_both_sides_is_joined(split: Split) -> None:
    split.base.holding.seen["u9"] = Seen("u9", 1, 2, 1, "1:2")
    split.part()
    split.old.holding.seen["u9"] = Seen("u9", 5, 4, 5, "1:4")
    split.old.holding.seen["u8"] = Seen("u8", 5, 4, 5, "1")
    split.new.holding.seen["u9"] = Seen("u9", 4, 6, 9, "1:2,6")
    assert split.plan().steps == (
        SetSeen("anna", Seen("u8", 5, 4, 5, "1")),
        SetSeen("anna", Seen("u9", 5, 6, 9, "1:4,6")),
    )


def test_scripts_changed_added_and_removed_on_the_old_side(split: Split) -> None:
    split.base.script("r", "g5")
    split.part()
    split.old.script("s", "g2", active=False)
    split.old.script("t", "g3", active=True)
    del split.old.holding.scripts["r"]
    plan = split.plan()
    assert plan.steps == (
        PutScript("anna", "s", "g2"),
        PutScript("anna", "t", "g3"),
        ActivateScript("anna", "t"),
        RemoveScript("anna", "r", "g5"),
    )
    scripts = {(s.side, s.name, s.guid) for s in plan.saves if isinstance(s, SaveScript)}
    assert scripts == {(OLD, "s", "g2"), (OLD, "t", "g3"), (NEW, "s", "g1"), (NEW, "r", "g5")}


def test_a_script_changed_on_both_sides(split: Split) -> None:
    split.old.script("s", "g2", active=True)
    split.new.script("s", "g3", active=True)
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("sieve_script", None, None, "archive")]
    assert [s.guid for s in plan.saves if isinstance(s, SaveScript)] == ["g2"]


def test_a_script_that_is_active_is_not_removed(split: Split) -> None:
    split.base.script("r", "g5")
    split.part()
    del split.old.holding.scripts["r"]
    split.new.script("s", "g1")
    split.new.script("r", "g5", active=True)
    plan = split.plan()
    assert plan.steps == ()
    assert kinds(plan) == [("sieve_script", None, None, "nowhere")]


def test_another_script_made_active_on_each_side(split: Split) -> None:
    for script in "pq":
        split.base.script(script, "g")
    split.part()
    for world, active in ((split.old, "p"), (split.new, "q")):
        world.script("s", "g1")
        world.script(active, "g", active=True)
    assert kinds(split.plan()) == [("sieve_active", None, None, "report")]


def test_quotas(split: Split) -> None:
    split.old.holding.quotas[INBOX] = Quota(INBOX, (("STORAGE", "100"),))
    assert split.plan().steps == (SetQuota("anna", INBOX, (("STORAGE", "100"),)),)
    split.new.holding.quotas[INBOX] = Quota(INBOX, (("STORAGE", "200"),))
    assert kinds(split.plan()) == [("quota_limit", INBOX, None, "report")]


def test_annotations_of_the_server() -> None:
    old = Holding(None, annotations=(("/motd", "", "old"), ("/admin", "", "old")))
    new = Holding(None, annotations=(("/admin", "", "new"),))
    plan = merge(Holding(None), old, new)
    assert plan.steps == (SetAnnotation(None, None, None, None, None, "/motd", "", "old"),)
    assert kinds(plan) == [("server_annotation", None, None, "report")]


def test_heartbeats_are_nobodys() -> None:
    old = World(owner=None)
    old.make("cyrus-heartbeat-imap2")
    old.deliver("cyrus-heartbeat-imap2", "beat")
    plan = merge(Holding(None), old.holding, Holding(None))
    assert plan == Plan(None, False)


# -- what is not known


def test_without_a_base_all_that_the_new_side_lacks_is_archived(split: Split) -> None:
    uid = split.old.deliver(INBOX, "lone")
    split.old.make(B)
    split.old.deliver(B, "lone")
    plan = merge(None, split.old.holding, split.new.holding)
    assert plan.steps == ()
    assert saved(plan) == [(OLD, INBOX, uid), (OLD, B, 1)]
    assert kinds(plan) == [("message", INBOX, None, "archive"), ("mailbox", B, None, "archive")]
    assert plan.touched_on_old


@pytest.mark.parametrize("side", ["base", "old", "new"])
def test_what_could_not_be_read_is_not_taken_for_gone(split: Split, side: str) -> None:
    for each in ("base", "old", "new"):
        holding = getattr(split, each).holding
        holding.subscriptions = frozenset({A} if each != side else set())
    getattr(split, side).holding.unknown.append("META is refused")
    plan = split.plan()
    assert plan.steps == ()
    assert plan.unknown == ("META is refused",)


def test_a_mailbox_unread_on_the_new_side_is_not_made_again(split: Split) -> None:
    split.old.make(B)
    split.old.deliver(B, "lone")
    split.new.holding.unknown.append("user.anna.B can't be opened")
    plan = split.plan()
    assert (plan.steps, plan.conflicts) == ((), ())
    assert saved(plan) == [(OLD, B, 1)]


# -- the whole store


def test_owners_are_merged_side_by_side(split: Split) -> None:
    split.old.deliver(INBOX, "lone")
    ben = Holding("ben", boxes={"x": Box(replace(head("user.ben", "x")))})
    shared = Holding(None)
    plans = list(
        merge_all(
            [shared, split.base.holding],
            [shared, split.old.holding, ben],
            [shared, split.new.holding],
            {},
        )
    )
    assert [(plan.owner, [step.verb for step in plan.steps]) for plan in plans] == [
        (None, []),
        ("anna", ["add_messages"]),
        ("ben", ["add_mailbox"]),
    ]
    without = list(merge_all(None, [copy.deepcopy(ben)], [], {}))
    assert [plan.steps for plan in without] == [()]


def test_a_mailbox_that_another_user_has_on_the_new_side_is_not_made(split: Split) -> None:
    old = World("ben", "b")
    old.make("user.ben")
    old.holding.boxes["b2"] = Box(head("user.ben.A", "b2"))
    old.holding.boxes["x"] = old.holding.boxes.pop("b1")
    old.change("user.ben", uniqueid="x")
    old.deliver("user.ben.A", "lone")
    _anna, ben = merge_all([Holding("ben")], [old.holding], [split.new.holding], {})
    assert [step.mailbox for step in ben.steps if isinstance(step, AddMailbox)] == ["user.ben"]
    assert kinds(ben) == [("mailbox_name", "user.ben.A", None, "archive")]
    assert saved(ben) == [(OLD, "user.ben.A", 1)]


def test_a_user_who_was_renamed_on_the_old_side_stays(split: Split) -> None:
    old = copy.deepcopy(split.old.holding)
    old.owner = "annika"
    for box in old.boxes.values():
        box.head = replace(box.head, name=box.head.name.replace("anna", "annika"))
    names: dict[str, str] = {}
    anna, annika = merge_all([split.base.holding], [old], [split.new.holding], names)
    assert kinds(anna) == [("user", None, None, "nowhere")]
    assert [kind for kind, *_rest in kinds(annika)] == ["mailbox_name"] * 2
    assert anna.steps + annika.steps == ()
    # Looked at again alone.
    (again,) = merge_all([], [old], [], names)
    assert again.steps == ()
