# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whatever happens on both sides: nothing is lost, nothing comes back, twice is once."""

from __future__ import annotations

import copy
from collections import Counter

from ansible_collections.mailops.cyrus.plugins.module_utils import _plan
from ansible_collections.mailops.cyrus.plugins.module_utils._merge import merge
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import NEW, OLD, Plan, Save
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Box
from hypothesis import given, settings
from hypothesis import strategies as st

from .worlds import World

NAMES = ("user.anna", "user.anna.A", "user.anna.B", "user.anna.C")
FLAGS = ("\\seen", "\\deleted", "\\flagged", "x")

# Content is drawn from few, so that there are equal messages.
ACTIONS = st.tuples(
    st.sampled_from(
        ["deliver"] * 6
        + ["expunge"] * 3
        + ["flag"] * 3
        + ["rename"] * 3
        + ["unflag", "forget", "make", "delete", "lose"]
        + ["subscribe", "put", "activate", "remove", "acl", "move"]
    ),
    st.sampled_from(NAMES),
    st.integers(0, 5),
    st.sampled_from(NAMES),
)
HISTORY = st.lists(ACTIONS, min_size=5, max_size=20)


def act(world: World, history: list[tuple[str, str, int, str]]) -> None:
    """What can't be done as things stand is passed over."""
    for verb, name, number, other in history:
        box = world.find(name)
        if verb == "make" and box is None:
            world.make(name)
        elif verb == "subscribe":
            world.holding.subscriptions ^= {name}
        elif verb in ("put", "activate", "remove"):
            _act_on_script(world, verb, "abc"[number % 3], f"s{number}")
        elif box is not None:
            _act_on_mailbox(world, box, verb, number, other)


def _act_on_script(world: World, verb: str, name: str, guid: str) -> None:
    scripts = world.holding.scripts
    if verb == "put":
        world.script(name, guid, name in scripts and scripts[name].active)
    elif name in scripts and verb == "activate":
        for other, script in list(scripts.items()):
            world.script(other, script.guid or "", other == name)
    elif name in scripts and not scripts[name].active:
        del scripts[name]


def _act_on_mailbox(world: World, box: Box, verb: str, number: int, other: str) -> None:
    name, inbox = box.head.name, box.head.name == NAMES[0]
    uids = [uid for uid, _content in world.live(name)]
    uid = uids[number % len(uids)] if uids else None
    if verb == "deliver":
        world.deliver(name, f"c{number}")
    elif verb == "acl":
        world.change(name, acl=f"anna\tlrs\tben\t{'lrswi'[:number]}\t")
    elif verb == "rename" and not inbox and other != NAMES[0] and world.find(other) is None:
        world.rename(name, other)
    elif verb == "delete" and (not inbox or len(world.holding.boxes) == 1):
        world.delete(name)
    elif verb == "lose" and not inbox:
        world.lose(name)
    elif uid is not None and verb in ("flag", "unflag"):
        getattr(world, verb)(name, uid, FLAGS[number % len(FLAGS)])
    elif uid is not None and verb == "expunge":
        world.expunge(name, uid)
    elif uid is not None and verb == "forget":
        del box.messages[uid]
    elif uid is not None and verb == "move" and world.find(other) is not None:
        world.deliver(other, box.messages[uid].guid)
        world.expunge(name, uid)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[World, World, World]:
    base = World()
    if draw(st.integers(0, 5)):
        for name in NAMES[:3]:
            base.make(name)
            for number in range(4):
                base.deliver(name, f"c{number}")
        for script in "ab":
            base.script(script, "s0")
        act(base, draw(st.lists(ACTIONS, max_size=5)))
    old, new = base.split()
    act(old, draw(HISTORY))
    act(new, draw(HISTORY))
    return base, old, new


def merged(base: World, old: World, new: World) -> Plan:
    before = copy.deepcopy((base.holding, old.holding, new.holding))
    plan = merge(base.holding, old.holding, new.holding)
    assert before == (base.holding, old.holding, new.holding)
    return plan


def saved(plan: Plan, side: str) -> set[tuple[str, int]]:
    saves = (save for save in plan.saves if isinstance(save, Save) and save.side == side)
    return {(save.uniqueid, save.message.uid) for save in saves}


def contents(box: Box | None) -> Counter[str]:
    return Counter(m.guid for m in box.messages.values() if not m.expunged) if box else Counter()


@settings(max_examples=150)
@given(worlds())
def test_whatever_is_live_on_the_old_side_is_on_the_new_one_or_archived(
    sides: tuple[World, World, World],
) -> None:
    base, old, new = sides
    plan = merged(*sides)
    archive = saved(plan, OLD)
    for uniqueid, box in old.holding.boxes.items():
        home = new.holding.boxes.get(uniqueid) or new.find(box.head.name)
        not_archived = Counter(
            m.guid
            for m in box.messages.values()
            if not m.expunged and (uniqueid, m.uid) not in archive
        )
        assert not_archived <= contents(home)
        # What its user expunged before anybody else had it.
        known = base.holding.boxes[uniqueid].messages if uniqueid in base.holding.boxes else {}
        for m in box.messages.values():
            assert m.uid in known or not m.expunged or (uniqueid, m.uid) in archive
    for uniqueid in old.holding.deleted.keys() - base.holding.deleted.keys():
        assert any(isinstance(s, _plan.SaveMailbox) and s.uniqueid == uniqueid for s in plan.saves)


@settings(max_examples=150)
@given(worlds())
def test_merging_twice_is_merging_once(sides: tuple[World, World, World]) -> None:
    base, old, new = sides
    done = new.carry_out(merged(*sides))
    assert merged(base, old, done).steps == ()


@settings(max_examples=150)
@given(worlds())
def test_what_is_new_on_the_old_side_arrives(sides: tuple[World, World, World]) -> None:
    base, old, new = sides
    done = new.carry_out(merged(*sides))
    for uniqueid, box in old.holding.boxes.items():
        there = done.holding.boxes.get(uniqueid)
        if there is None:
            continue
        assert len({b.head.name for b in done.holding.boxes.values()}) == len(done.holding.boxes)
        before = base.holding.boxes.get(uniqueid)
        known = before.messages if before else {}
        arrived = Counter(
            m.guid for m in box.messages.values() if not m.expunged and m.uid not in known
        )
        assert arrived <= Counter(m.guid for m in there.messages.values() if m.uid not in known)


@settings(max_examples=150)
@given(worlds())
def test_nothing_comes_back_and_no_uid_is_used_again(sides: tuple[World, World, World]) -> None:
    base, old, new = sides
    done = new.carry_out(merged(*sides))
    for uniqueid, box in new.holding.boxes.items():
        after = done.holding.boxes.get(uniqueid)
        if after is None:
            continue
        for uid, was in box.messages.items():
            assert after.messages[uid].guid == was.guid
            assert after.messages[uid].expunged >= was.expunged
        seen = set(range(1, box.head.last_uid + 1)) | set(
            old.holding.boxes[uniqueid].messages if uniqueid in old.holding.boxes else ()
        )
        assert not (after.messages.keys() - box.messages.keys()) & seen
    for uniqueid in base.holding.boxes.keys() - new.holding.boxes.keys():
        assert uniqueid not in done.holding.boxes


@settings(max_examples=150)
@given(worlds())
def test_what_is_taken_away_is_archived(sides: tuple[World, World, World]) -> None:
    _base, _old, new = sides
    plan = merged(*sides)
    done, archive = new.carry_out(plan), saved(plan, NEW)
    for uniqueid, box in new.holding.boxes.items():
        after = done.holding.boxes.get(uniqueid)
        for uid, was in box.messages.items():
            if not was.expunged and (after is None or after.messages[uid].expunged):
                assert (uniqueid, uid) in archive
    texts = {s.guid for s in plan.saves if isinstance(s, _plan.SaveScript)}
    kept = {script.guid for script in done.holding.scripts.values()}
    assert {script.guid for script in new.holding.scripts.values()} <= texts | kept


@settings(max_examples=100)
@given(worlds(), st.lists(ACTIONS.filter(lambda a: a[0] in ("expunge", "flag")), max_size=8))
def test_what_was_copied_back_and_then_expunged_is_not_copied_again(
    sides: tuple[World, World, World], history: list[tuple[str, str, int, str]]
) -> None:
    base, old, new = sides
    done = new.carry_out(merged(*sides))
    act(done, history)
    again = merged(base, old, done).steps
    assert not [s for s in again if isinstance(s, (_plan.AddMessages, _plan.AddMailbox))]


@settings(max_examples=100)
@given(worlds())
def test_without_a_base_nothing_is_done_and_all_is_archived(
    sides: tuple[World, World, World],
) -> None:
    _base, old, new = sides
    plan = merge(None, old.holding, new.holding)
    assert plan.steps == ()
    archive = saved(plan, OLD)
    for uniqueid, box in old.holding.boxes.items():
        home = new.holding.boxes.get(uniqueid) or new.find(box.head.name)
        rest = Counter(
            m.guid
            for m in box.messages.values()
            if not m.expunged and (uniqueid, m.uid) not in archive
        )
        assert rest <= contents(home)


@settings(max_examples=100)
@given(worlds(), st.sampled_from(["base", "old", "new"]))
def test_what_is_unknown_takes_nothing_away(sides: tuple[World, World, World], side: str) -> None:
    """A survey that could not read everything: what it lacks is not taken for gone."""
    base, old, new = copy.deepcopy(sides)
    holding = {"base": base, "old": old, "new": new}[side].holding
    holding.unknown.append("it could not be read")
    holding.boxes.pop(next(iter(holding.boxes), ""), None)
    plan = merged(base, old, new)
    allowed = (_plan.AddMessages, _plan.SetFlags, _plan.Expunge, _plan.SetAcl, _plan.AddMailbox)
    structure = () if side == "new" else (_plan.DeleteMailbox, _plan.RenameMailbox)
    assert all(isinstance(step, allowed + structure) for step in plan.steps)
    assert plan.unknown == ("it could not be read",)
    if side == "old":
        assert plan.touched_on_old
    if side == "new":
        assert not any(isinstance(step, _plan.AddMailbox) for step in plan.steps)


@settings(max_examples=100)
@given(worlds())
def test_an_old_side_that_is_as_the_base_says_needs_nothing(
    sides: tuple[World, World, World],
) -> None:
    base, _old, new = sides
    plan = merged(base, copy.deepcopy(base), new)
    assert plan.steps == ()
    assert not plan.touched_on_old
