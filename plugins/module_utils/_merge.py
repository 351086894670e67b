# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The three-way merge that brings back what only the old master has. Pure.

The base is what the new master had when it took over. So what only the old side has is told from
what was expunged on the new one since. What only the old side changed is done on the new one; what
both changed alike is done already; where both changed the same thing differently, the new side's
version stands and is reported as a conflict. A mailbox is the same where its unique id is.

Whatever is live on the old side and not on the new one is archived, whether or not it is merged,
and so is what a step takes away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import replace

from . import _heartbeat, _names, _parity, _uidset
from ._contents import content
from ._draft import Draft
from ._mailboxes import Mailboxes, for_mail, has_inbox
from ._model import Message, State
from ._personal import merge_personal, save_scripts
from ._plan import OLD, AddMailbox, Conflict, Plan
from ._survey import Box, Holding, side_by_side


def merge_all(
    base: Iterable[Holding] | None,
    old: Iterable[Holding],
    new: Iterable[Holding],
    names: dict[str, str],
) -> list[Plan]:
    """The plan of each owner, from three surveys; `base` is None where there is none at all.

    `names` are those of the new side's mailboxes by unique id, as far as they are known already;
    those of its survey are added.
    """
    plans = []
    for was, theirs, ours in side_by_side(base or (), old, new):
        owner = next(holding.owner for holding in (was, theirs, ours) if holding is not None)
        if ours is not None:
            names.update(ours.deleted)
            names.update({uniqueid: box.head.name for uniqueid, box in ours.boxes.items()})
        plans.append(
            merge(
                None if base is None else was or Holding(owner),
                theirs or Holding(owner),
                ours or Holding(owner),
            )
        )
    return [_without_moved(plan, names) for plan in plans]


def _without_moved(plan: Plan, names: Mapping[str, str]) -> Plan:
    """Without mailboxes that the new side has under another owner: no two may have one id."""
    moved = {
        step.uniqueid: step.mailbox
        for step in plan.steps
        if isinstance(step, AddMailbox) and names.get(step.uniqueid, step.mailbox) != step.mailbox
    }
    if not moved:
        return plan
    conflicts = [
        Conflict(
            "mailbox_name",
            plan.owner,
            name,
            None,
            f"it has this name on the old master, and is {names[uniqueid]} on the new one",
            f"it stays {names[uniqueid]}",
            "archive",
        )
        for uniqueid, name in moved.items()
    ]
    # Who has no INBOX can have nothing else.
    steps = () if any(map(_names.is_inbox, moved.values())) else plan.steps
    return replace(
        plan,
        steps=tuple(s for s in steps if not (isinstance(s, AddMailbox) and s.uniqueid in moved)),
        conflicts=(*plan.conflicts, *conflicts),
    )


def merge(base: Holding | None, old: Holding, new: Holding) -> Plan:
    """One owner's. Who has nothing on a side has an empty holding there; None: there's no base."""
    draft = Draft(new.owner)
    save_scripts(draft, old, new)
    if base is None:
        _merge_without_base(draft, old, new)
        return draft.plan(old != Holding(old.owner), [*old.unknown, *new.unknown])
    Mailboxes(draft, base, old, new).merge()
    unknown = [*base.unknown, *old.unknown, *new.unknown]
    # What is not told can't be known from what is not there.
    if not unknown and _is_on_both(base, old, new):
        merge_personal(draft, base, old, new)
    return draft.plan(_has_changed(base, old), unknown)


def _is_on_both(base: Holding, old: Holding, new: Holding) -> bool:
    """Whether the user is on the old side, and on the new one or about to be."""
    return new.owner is None or (has_inbox(old) and (has_inbox(new) or not has_inbox(base)))


# -- without a base


def _merge_without_base(draft: Draft, old: Holding, new: Holding) -> None:
    """Nobody can tell what is new on one side from what was expunged on the other."""
    mine = for_mail(new)
    names = {box.head.name: box for box in mine.values()}
    for uniqueid, box in for_mail(old).items():
        ours = mine.get(uniqueid) or names.get(box.head.name)
        lacking = _lacking(box, ours)
        for message in lacking:
            draft.save(OLD, box, message, "the new master has it not, and there is no merge base")
        if ours is None:
            draft.conflict(
                "mailbox",
                "only the old master has it, and there is no merge base",
                "it is not made",
                "archive",
                box.head.name,
            )
        elif lacking:
            uids = _uidset.text_of_uids(message.uid for message in lacking)
            draft.conflict(
                "message",
                f"only the old master has the UIDs {uids}, and there is no merge base",
                "they are not merged",
                "archive",
                box.head.name,
            )
    for uniqueid, name in old.deleted.items():
        if uniqueid not in new.deleted:
            draft.save_mailbox(name, uniqueid, "it was deleted on the old master")


def _lacking(theirs: Box, ours: Box | None) -> list[Message]:
    """The messages that the new side has not as live ones; of expunged ones, those it never had."""
    there = Counter(content(m) for m in ours.messages.values() if not m.expunged) if ours else {}
    ever = {content(m) for m in ours.messages.values()} if ours else set()
    found = []
    for message in theirs.messages.values():
        what = content(message)
        if message.expunged:
            if what not in ever:
                found.append(message)
        elif there.get(what, 0):
            there[what] -= 1
        else:
            found.append(message)
    return found


# -- whether the old side's copy can stay


def _has_changed(base: Holding, old: Holding) -> bool:
    """Whether the old side's copy is not what the base says, in anything that is replicated."""
    if old == Holding(old.owner):
        return False
    return (
        bool(old.unknown or old.deleted.keys() - base.deleted.keys())
        or any(_parity.compare_user(old.owner, _state(base), _state(old)))
        or any(_parity.compare_server_annotations(base.annotations, old.annotations))
        or any(_quota_differs(base, old, root) for root in base.quotas.keys() | old.quotas.keys())
        or any(_records_differ(box, base.boxes.get(key)) for key, box in old.boxes.items())
    )


def _state(holding: Holding) -> State:
    heads = (box.head for box in holding.boxes.values())
    return State(
        mailboxes={head.name: head for head in heads if not _heartbeat.is_ours(head.name)},
        seen=holding.seen,
        subscriptions=holding.subscriptions,
        scripts=holding.scripts,
    )


def _quota_differs(base: Holding, old: Holding, root: str) -> bool:
    return any(_parity.compare_quota(root, base.quotas.get(root), old.quotas.get(root)))


def _records_differ(theirs: Box, was: Box | None) -> bool:
    """Tombstones may be cleaned up on one side first."""
    if was is None or _heartbeat.is_ours(theirs.head.name):
        return False
    name = theirs.head.name
    for uid in theirs.messages.keys() | was.messages.keys():
        mine, copy = was.messages.get(uid), theirs.messages.get(uid)
        if mine is None or copy is None:
            lone = mine or copy
            if lone is not None and not lone.expunged:
                return True
        elif any(_parity.compare_message(None, name, mine, copy)):
            return True
    return False
