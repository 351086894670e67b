# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What becomes of the messages of one mailbox of the new master. Pure.

A message is the same on two sides where its UID and its content are. One that the base does not
have came after it: those are counted by their content, so that two equal ones stay two, and one
that was copied back and then expunged by its user is not copied again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import _uidset
from ._draft import Draft, live
from ._model import Message
from ._plan import NEW, OLD, AddMessages, Expunge, SetAnnotation, SetFlags
from ._survey import Box
from ._threeway import three_way

# Of each server's own making, though they are sent like annotations.
_BOOKKEEPING = {
    f"/vendor/cmu/cyrus-imapd/{name}"
    for name in ("thrid", "basethrid", "savedate", "createdmodseq")
}


@dataclass(frozen=True)
class Source:
    """A mailbox of the old side, and what the base has of it."""

    box: Box
    base: Box | None


@dataclass(frozen=True)
class Target:
    """A mailbox of the new side, its name after all renames, and what the base has of it."""

    box: Box
    name: str
    base: Box | None

    @property
    def uniqueid(self) -> str:
        return self.box.head.uniqueid


def merge_contents(draft: Draft, target: Target, sources: Sequence[Source]) -> None:
    """The messages of all old mailboxes that end up in one of the new side."""
    for source in sources:
        if source.box.head.uniqueid == target.uniqueid:
            _Known(draft, target, source).merge()
            _report_taken_uids(draft, target, source)
        else:
            save_gone(draft, source)
    _merge_arrivals(draft, target, sources)


def touched(was: Message, now: Message) -> bool:
    """Whether somebody did more to a live message than to read it or to mark it for deletion."""
    ignored = {"\\seen"} | ({"\\deleted"} if "\\deleted" in now.flags else set())
    return bool((was.flags ^ now.flags) - ignored) or _annotations(was) != _annotations(now)


def arrivals(box: Box, base: Box | None) -> list[Message]:
    """The messages that the base does not have, in the order of their UIDs."""
    known = base.messages if base else {}
    return [
        message
        for uid, message in sorted(box.messages.items())
        if _same(known.get(uid), message) is None
    ]


def known(box: Box, base: Box | None) -> list[tuple[Message, Message]]:
    """The live messages that the base has as live ones too: as they were, and as they are."""
    if base is None:
        return []
    pairs = ((_same(base.messages.get(m.uid), m), m) for m in live(box.messages.values()))
    return [(was, now) for was, now in pairs if was is not None and not was.expunged]


def save_gone(draft: Draft, source: Source) -> None:
    """Of a mailbox that the new side has no more: what the base has stays away, and is archived."""
    arrived = {message.uid for message in arrivals(source.box, source.base)}
    for message in live(source.box.messages.values()):
        if message.uid not in arrived:
            draft.save(OLD, source.box, message, "the new master has its mailbox no more")


def content(message: Message) -> str:
    """What tells that two messages are equal: the hash; very old indexes have none."""
    if message.guid.strip("0"):
        return message.guid
    return f"{message.uid} {message.internaldate} {message.size}"


def _same(one: Message | None, other: Message) -> Message | None:
    return one if one is not None and content(one) == content(other) else None


def _annotations(message: Message) -> dict[tuple[str, str], str]:
    return {
        (entry, userid): value
        for entry, userid, value in message.annotations
        if entry not in _BOOKKEEPING
    }


class _Known:
    """The rules for a message that the base has, in a mailbox that all three have."""

    def __init__(self, draft: Draft, target: Target, source: Source) -> None:
        self._draft = draft
        self._target = target
        self._old = source.box
        self._base = source.base
        # Without a tombstone: on the old side, on the new side.
        self._lost: dict[str, list[int]] = {OLD: [], NEW: []}

    def merge(self) -> None:
        for uid, was in sorted(self._base.messages.items()) if self._base else ():
            theirs = self._found(self._old, was)
            ours = self._found(self._target.box, was)
            if theirs is not None and not theirs.expunged:
                if ours is not None and not ours.expunged:
                    self._on_both(was, theirs, ours)
                else:
                    self._gone_on_new(was, theirs, ours)
            elif ours is not None and not ours.expunged and not was.expunged:
                if theirs is not None:
                    self._expunged_on_old(was, ours)
                else:
                    self._lost[OLD].append(uid)
        self._report_lost()

    @staticmethod
    def _found(box: Box, was: Message) -> Message | None:
        now = box.messages.get(was.uid)
        return now if now is not None and _same(was, now) else None

    def _on_both(self, was: Message, theirs: Message, ours: Message) -> None:
        """Each flag by itself: so both sides' changes are kept, and nothing is a conflict."""
        add = (theirs.flags - was.flags) - ours.flags
        remove = (was.flags - theirs.flags) & ours.flags
        if add or remove:
            self._draft.step(SetFlags(*self._at, was.uid, was.guid, add, remove))
        changes, clashes = three_way(_annotations(was), _annotations(theirs), _annotations(ours))
        for (entry, userid), value in changes.items():
            self._draft.step(SetAnnotation(*self._at, was.uid, was.guid, entry, userid, value))
        for entry, userid in clashes:
            value = _annotations(theirs).get((entry, userid))
            self._conflict(
                "message_annotation",
                was.uid,
                f"{entry} of {userid or 'all'} was changed on both sides, on the old one to "
                f"{value!r}",
                "the new master's value stands",
                "report",
            )

    def _gone_on_new(self, was: Message, theirs: Message, ours: Message | None) -> None:
        """What was expunged since then stays away, and is archived all the same."""
        self._draft.save(OLD, self._old, theirs, "it is expunged on the new master")
        if ours is None:
            self._lost[NEW].append(was.uid)
        elif touched(was, theirs):
            self._conflict(
                "message_expunged",
                was.uid,
                "it was changed on the old master and expunged on the new one",
                "it stays expunged",
                "archive",
            )

    def _expunged_on_old(self, was: Message, ours: Message) -> None:
        if touched(was, ours):
            self._conflict(
                "message_expunged",
                was.uid,
                "it was expunged on the old master and changed on the new one",
                "it stays",
                "nowhere",
            )
            return
        self._draft.save(NEW, self._target.box, ours, "it was expunged on the old master")
        self._draft.step(Expunge(*self._at, was.uid, was.guid))

    def _report_lost(self) -> None:
        """Nobody can tell whether these were expunged or lost."""
        if self._lost[OLD]:
            self._conflict(
                "message",
                None,
                "the old master has no trace of the UIDs " + _uids(self._lost[OLD]),
                "they stay",
                "nowhere",
            )
        if self._lost[NEW]:
            self._conflict(
                "message",
                None,
                "the new master has no trace of the UIDs " + _uids(self._lost[NEW]),
                "they stay away, as if expunged",
                "archive",
            )

    @property
    def _at(self) -> tuple[str | None, str, str]:
        return self._draft.owner, self._target.name, self._target.uniqueid

    def _conflict(self, kind: str, uid: int | None, found: str, done: str, kept: str) -> None:
        self._draft.conflict(kind, found, done, kept, self._target.name, uid)


def _report_taken_uids(draft: Draft, target: Target, source: Source) -> None:
    for uid, theirs in sorted(source.box.messages.items()):
        ours = target.box.messages.get(uid)
        if ours is None or _same(ours, theirs) or theirs.expunged:
            continue
        draft.conflict(
            "message_guid",
            "the UID has another message on the old master",
            "that one is merged like any that is new there, under a new UID",
            "archive",
            target.name,
            uid,
        )


def _merge_arrivals(draft: Draft, target: Target, sources: Sequence[Source]) -> None:
    """As many of each content as the old side got more than the new one since the base."""
    arrived = arrivals(target.box, target.base)
    there = Counter(content(message) for message in arrived if not message.expunged)
    expunged = Counter(content(message) for message in arrived if message.expunged)
    for source in sources:
        missing = tuple(_missing(draft, source, there, expunged))
        if missing:
            draft.step(
                AddMessages(
                    draft.owner, target.name, target.uniqueid, source.box.head, messages=missing
                )
            )


def _missing(
    draft: Draft, source: Source, there: Counter[str], expunged: Counter[str]
) -> Iterator[Message]:
    """What has to be added; takes from the counts what it finds there."""
    for message in arrivals(source.box, source.base):
        what = content(message)
        if message.expunged:
            draft.save(OLD, source.box, message, "it came and was expunged on the old master alone")
        elif there[what]:
            there[what] -= 1
        elif expunged[what]:
            expunged[what] -= 1
            draft.save(OLD, source.box, message, "an equal one was expunged on the new master")
        else:
            draft.save(OLD, source.box, message, "it came to the old master alone")
            yield message


def _uids(uids: Sequence[int]) -> str:
    return f"{_uidset.text_of_uids(uids)} ({len(uids)} messages)"
