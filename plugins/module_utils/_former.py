# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a host that was a replica has beyond the merge base. Pure.

The base is no ancestor of what such a host has: of one mailbox it may have a newer state than the
host that took over, of another an older one, in which nothing is a change. Both are states of one
history, their former master's, so a mailbox's MODSEQ tells which it is. Of what has no MODSEQ only
that counts which the base lacks.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from . import _names
from ._contents import content
from ._draft import live
from ._model import Message, Script
from ._plan import (
    OLD,
    AddMailbox,
    AddMessages,
    Conflict,
    DeleteMailbox,
    Plan,
    RemoveScript,
    RenameMailbox,
    Save,
    SaveScript,
    SetAcl,
    SetFlags,
    SetQuota,
    Step,
    Unsubscribe,
)
from ._survey import Box, Holding, side_by_side

_ALWAYS_TAKE = (DeleteMailbox, RenameMailbox, RemoveScript, Unsubscribe)
# What takes away or may, and what it is about.
_TAKEN = {
    DeleteMailbox: "mailbox",
    RenameMailbox: "mailbox_name",
    RemoveScript: "sieve_script",
    Unsubscribe: "subscription",
    SetFlags: "message_flags",
    SetAcl: "acl",
    SetQuota: "quota_root",
}


class Former:
    """One comparison with such a host."""

    def __init__(self) -> None:
        # What stands in its holdings by the base's word alone, so that nobody can read it there.
        self._lacking: set[tuple[str | None, str, int | str, str | None]] = set()
        # Owners with a record that replication would bring to the new master.
        self._astray: set[str | None] = set()

    def beyond(self, base: Iterable[Holding], copy: Iterable[Holding]) -> Iterator[Holding]:
        """The host's holdings, as the base has them where the host is no further."""
        for was, found in side_by_side(base, copy):
            if was is not None:
                yield self._told(was, found or Holding(was.owner))
            elif found is not None:
                yield found

    def corrected(self, plan: Plan) -> Plan:
        """The plan of one owner by what the host itself has."""
        saves = (save for save in plan.saves if self._key(save) not in self._lacking)
        touched = plan.touched_on_old or plan.owner in self._astray
        return replace(plan, saves=tuple(saves), touched_on_old=touched)

    @staticmethod
    def _key(save: object) -> tuple[str | None, str, int | str, str | None] | None:
        if isinstance(save, Save) and save.side == OLD:
            return save.owner, save.uniqueid, save.message.uid, content(save.message)
        if isinstance(save, SaveScript) and save.side == OLD:
            return save.owner, save.guid, save.name, None
        return None

    def _told(self, base: Holding, copy: Holding) -> Holding:
        seen = {
            uniqueid: state
            for uniqueid, state in copy.seen.items()
            if uniqueid not in base.seen or state.last_change > base.seen[uniqueid].last_change
        }
        return replace(
            copy,
            boxes=self._boxes(base, copy),
            subscriptions=base.subscriptions | copy.subscriptions,
            seen={**base.seen, **seen},
            scripts=self._scripts(base, copy),
            quotas={**copy.quotas, **base.quotas},
            annotations=base.annotations,
        )

    def _boxes(self, base: Holding, copy: Holding) -> dict[str, Box]:
        found = {}
        for uniqueid, was in base.boxes.items():
            box = copy.boxes.get(uniqueid)
            if box is not None and _is_newer(box, was):
                found[uniqueid] = box
            elif box is not None or not _was_deleted_since(copy, uniqueid, was):
                found[uniqueid] = self._older(copy.owner, was, box)
        lone = copy.boxes.keys() - base.boxes.keys() - base.deleted.keys()
        return {**found, **{uniqueid: copy.boxes[uniqueid] for uniqueid in lone}}

    def _older(self, owner: str | None, was: Box, box: Box | None) -> Box:
        """The base's state, and whatever it has no record of."""
        there = box.messages if box is not None else {}
        for message in live(was.messages.values()):
            if message.uid not in there or content(there[message.uid]) != content(message):
                self._lacking.add((owner, was.head.uniqueid, message.uid, content(message)))
        if any(_is_astray(message, was.messages.get(uid)) for uid, message in there.items()):
            self._astray.add(owner)
        known = {content(message) for message in was.messages.values()}
        lone = {m.uid: m for m in live(there.values()) if content(m) not in known}
        return Box(was.head, {**was.messages, **lone}) if lone else was

    def _scripts(self, base: Holding, copy: Holding) -> dict[str, Script]:
        kept_in = {u: box for u, box in copy.boxes.items() if _names.is_sieve(box.head.name)}
        if any(_is_newer(box, base.boxes.get(uniqueid)) for uniqueid, box in kept_in.items()):
            return copy.scripts
        for name, script in base.scripts.items():
            if script.guid is not None and copy.scripts.get(name) != script:
                self._lacking.add((copy.owner, script.guid, name, None))
        if kept_in:
            return base.scripts
        # Versions without such a mailbox: nobody can tell which is the newer.
        lone = {name: replace(script, active=False) for name, script in copy.scripts.items()}
        return {**lone, **base.scripts}


def _is_astray(message: Message, was: Message | None) -> bool:
    """Whether a record is no earlier state of the base's, as where that one got the same message
    under another UID."""
    if was is None:
        return not message.expunged
    return content(message) != content(was) or message.modseq > was.modseq


def _is_newer(box: Box, was: Box | None) -> bool:
    return was is None or box.head.modseqs() > was.head.modseqs()


def _was_deleted_since(copy: Holding, uniqueid: str, was: Box) -> bool:
    """Not where the base had more of it: then somebody else went on with it after that."""
    return uniqueid in copy.deleted and copy.ended.get(uniqueid, (0, 0)) >= was.head.modseqs()


def only_new(plans: Iterable[Plan], known: Iterable[Holding]) -> list[Plan]:
    """Plans without what the former master has brought back itself; it was ahead of all replicas,
    so it knew better what became of whatever it knew. `known` is what it had."""
    found = {plan.owner: plan for plan in plans}
    for holding in known:
        plan = found.get(holding.owner)
        if plan is not None:
            found[holding.owner] = replace(plan, steps=tuple(_unknown_to(holding, plan.steps)))
    return list(found.values())


def only_added(plan: Plan) -> Plan:
    """A plan by a base of a host that had been superseded: what the old master lacks of it may
    never have come there, so nothing is taken away for that."""
    steps = [_adding(step) for step in plan.steps]
    left = [step for step, adding in zip(plan.steps, steps) if adding is None]
    conflicts = (
        Conflict(
            _TAKEN[type(step)],
            plan.owner,
            getattr(step, "mailbox", None),
            None,
            f"the old master would have {step.verb.replace('_', ' ')}: it may not have had it",
            "it stays",
            "nowhere",
        )
        for step in left
    )
    kept = tuple(step for step in steps if step is not None)
    return replace(plan, steps=kept, conflicts=(*plan.conflicts, *conflicts))


def _adding(step: Step) -> Step | None:
    if isinstance(step, SetFlags):
        return replace(step, remove=frozenset()) if step.add else None
    gone = (isinstance(step, SetAcl) and step.rights is None) or (
        isinstance(step, SetQuota) and step.limits is None
    )
    return None if gone or isinstance(step, _ALWAYS_TAKE) else step


def _unknown_to(holding: Holding, steps: Iterable[Step]) -> Iterator[Step]:
    ever = {content(m) for box in holding.boxes.values() for m in box.messages.values()}
    for step in steps:
        if isinstance(step, (AddMailbox, AddMessages)):
            lone = tuple(message for message in step.messages if content(message) not in ever)
            known = isinstance(step, AddMailbox) and (
                step.uniqueid in holding.boxes or step.uniqueid in holding.deleted
            )
            if not known and (lone or isinstance(step, AddMailbox)):
                yield replace(step, messages=lone)
