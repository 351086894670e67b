# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Two states of the same thing in, the differences out. Pure.

What is compared is what replication carries: bookkeeping that Cyrus itself does not replicate on
its own (recent, last append, last POP login) is left out, and so is what only one of two versions
knows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import TypeVar, Union

from . import _names
from ._dlist import FormatError
from ._model import Annotations, Mailbox, Message, Quota, State

Scalar = Union[None, bool, int, str]
T = TypeVar("T")

# More than these of one mailbox say nothing new, and would be held in memory.
MAX_PER_MAILBOX = 1000


@dataclass(frozen=True)
class Difference:
    """One thing that is not the same; `master` or `replica` is None where it is absent."""

    kind: str
    user: str | None
    mailbox: str | None
    uid: int | None
    field: str
    master: Scalar
    replica: Scalar


@dataclass
class Tally:
    """What was compared."""

    users: int = 0
    mailboxes: int = 0
    messages: int = 0


def compare_user(user: str | None, master: State, replica: State) -> Iterator[Difference]:
    """A user's mailboxes, subscriptions, seen state and scripts; or shared mailboxes."""
    ours, theirs = master.mailboxes, replica.mailboxes
    if user is not None:
        have, other = _lives(ours), _lives(theirs)
        if have != other:
            yield Difference("user", user, None, None, "user", *_sides(have, user, other, user))
            # One difference, not one for each thing in it; what was deleted stays to be compared.
            ours, theirs = _deleted(ours), _deleted(theirs)
            master, replica = State(mailboxes=ours), State(mailboxes=theirs)
    for name, mine, copy in _pairs(ours, theirs):
        if mine is None and _names.is_deleted(name):
            # The master's cyr_expire has removed it, which is not replicated.
            continue
        if mine is None or copy is None:
            yield Difference("mailbox", user, name, None, "mailbox", _id(mine), _id(copy))
        elif mine != copy:
            yield from compare_mailbox(user, mine, copy)
    if user is not None:
        yield from _compare_meta(user, master, replica)


def _lives(mailboxes: Iterable[str]) -> bool:
    return any(not _names.is_deleted(name) for name in mailboxes)


def _deleted(mailboxes: dict[str, Mailbox]) -> dict[str, Mailbox]:
    return {name: box for name, box in mailboxes.items() if _names.is_deleted(name)}


def _sides(have: bool, mine: Scalar, other: bool, copy: Scalar) -> tuple[Scalar, Scalar]:
    return mine if have else None, copy if other else None


def _id(mailbox: Mailbox | None) -> str | None:
    return mailbox.uniqueid if mailbox else None


def _pairs(ours: dict[str, T], theirs: dict[str, T]) -> Iterator[tuple[str, T | None, T | None]]:
    for key in sorted(ours.keys() | theirs.keys()):
        yield key, ours.get(key), theirs.get(key)


def compare_mailbox(user: str | None, mine: Mailbox, copy: Mailbox) -> Iterator[Difference]:
    """Two headers of the same name, but for the CRCs: those are for `compare_records`."""

    def differ(kind: str, field: str, master: Scalar, replica: Scalar) -> Iterator[Difference]:
        if master != replica:
            yield Difference(kind, user, mine.name, None, field, master, replica)

    yield from differ("mailbox_uniqueid", "uniqueid", mine.uniqueid, copy.uniqueid)
    yield from differ("uidvalidity", "uidvalidity", mine.uidvalidity, copy.uidvalidity)
    yield from differ("last_uid", "last_uid", mine.last_uid, copy.last_uid)
    yield from differ("highestmodseq", "highestmodseq", mine.highestmodseq, copy.highestmodseq)
    if mine.acl_rights() != copy.acl_rights():
        yield from differ("acl", "acl", mine.acl, copy.acl)
    yield from differ("partition", "partition", mine.partition, copy.partition)
    yield from differ("options", "options", mine.options, copy.options)
    yield from differ("options", "mboxtype", mine.mboxtype, copy.mboxtype)
    yield from differ("options", "pop3_show_after", mine.pop3_show_after, copy.pop3_show_after)
    yield from differ("quota_root", "quota_root", mine.quota_root, copy.quota_root)
    for entry, master, replica in _annotation_pairs(mine.annotations, copy.annotations):
        yield from differ("mailbox_annotation", entry, master, replica)
    if mine.user_flags is not None and copy.user_flags is not None:
        for flag in sorted(mine.user_flags ^ copy.user_flags):
            sides = _sides(flag in mine.user_flags, flag, flag in copy.user_flags, flag)
            yield from differ("user_flag", flag, *sides)


def _annotation_pairs(
    mine: Annotations, copy: Annotations
) -> Iterator[tuple[str, str | None, str | None]]:
    """The field of a private annotation is ``entry (userid)``."""

    def keyed(annotations: Annotations) -> dict[str, str]:
        return {
            f"{entry} ({userid})" if userid else entry: value
            for entry, userid, value in annotations
        }

    for entry, master, replica in _pairs(keyed(mine), keyed(copy)):
        if master != replica:
            yield entry, master, replica


def must_open(mine: Mailbox, copy: Mailbox) -> bool:
    """Whether the records have to be looked at, because the CRCs differ or say nothing."""
    if not (mine.crc_tells and copy.crc_tells) or mine.sync_crc != copy.sync_crc:
        return True
    known = mine.sync_crc_annot is not None and copy.sync_crc_annot is not None
    return known and mine.sync_crc_annot != copy.sync_crc_annot


def _compare_meta(user: str, master: State, replica: State) -> Iterator[Difference]:
    for name in sorted(master.subscriptions ^ replica.subscriptions):
        sides = _sides(name in master.subscriptions, name, name in replica.subscriptions, name)
        yield Difference("subscription", user, name, None, "subscription", *sides)
    for uniqueid, mine, copy in _pairs(master.seen, replica.seen):
        if mine is None or copy is None:
            uids = mine.seen_uids if mine else None, copy.seen_uids if copy else None
            yield Difference("seen", user, None, None, uniqueid, *uids)
            continue
        for field in ("seen_uids", "last_uid", "last_read", "last_change"):
            values = getattr(mine, field), getattr(copy, field)
            if values[0] != values[1]:
                yield Difference("seen", user, None, None, f"{field} of {uniqueid}", *values)
    for name, ours, theirs in _pairs(master.scripts, replica.scripts):
        guids = ours.guid if ours else None, theirs.guid if theirs else None
        if guids[0] != guids[1]:
            yield Difference("sieve_script", user, None, None, name, *guids)
    active = _active(master), _active(replica)
    if active[0] != active[1]:
        yield Difference("sieve_active", user, None, None, "active", *active)


def _active(state: State) -> str | None:
    return next((script.name for script in state.scripts.values() if script.active), None)


def compare_quota(root: str, master: Quota | None, replica: Quota | None) -> Iterator[Difference]:
    """The limits of a quota root that at least one side has."""
    user = _names.owner(root)
    ours = dict(master.limits) if master else {}
    theirs = dict(replica.limits) if replica else {}
    for resource, mine, copy in _pairs(ours, theirs):
        if mine != copy:
            yield Difference("quota_limit", user, root, None, resource, mine, copy)


def compare_server_annotations(mine: Annotations, copy: Annotations) -> Iterator[Difference]:
    for entry, master, replica in _annotation_pairs(mine, copy):
        yield Difference("server_annotation", None, None, None, entry, master, replica)


def compare_records(
    user: str | None,
    mailbox: str,
    master: Iterable[bytes],
    replica: Iterable[bytes],
    count: Callable[[], None],
) -> Iterator[Difference]:
    """Two streams of raw records, in the order of UIDs, side by side.

    Records that are equal byte for byte are not looked into. `count` is called once a record.
    """
    ours, theirs = iter(master), iter(replica)
    raw_mine, raw_copy = next(ours, None), next(theirs, None)
    last_mine = last_copy = 0
    while raw_mine is not None or raw_copy is not None:
        if raw_mine == raw_copy:
            count()
            raw_mine, raw_copy = next(ours, None), next(theirs, None)
            continue
        mine = Message.parse(raw_mine) if raw_mine is not None else None
        copy = Message.parse(raw_copy) if raw_copy is not None else None
        count()
        if mine is not None and (copy is None or mine.uid < copy.uid):
            last_mine = _ascending(mine, last_mine)
            yield from _lone(user, mailbox, mine, None)
            raw_mine = next(ours, None)
        elif copy is not None and (mine is None or copy.uid < mine.uid):
            last_copy = _ascending(copy, last_copy)
            yield from _lone(user, mailbox, None, copy)
            raw_copy = next(theirs, None)
        elif mine is not None and copy is not None:
            last_mine, last_copy = _ascending(mine, last_mine), _ascending(copy, last_copy)
            yield from compare_message(user, mailbox, mine, copy)
            raw_mine, raw_copy = next(ours, None), next(theirs, None)


def _ascending(message: Message, last: int) -> int:
    if message.uid <= last:
        raise FormatError("the records are not in the order of their UIDs")
    return message.uid


def _lone(
    user: str | None, mailbox: str, mine: Message | None, copy: Message | None
) -> Iterator[Difference]:
    """A record that only one side has. What is expunged may be cleaned up on one side first."""
    message = mine or copy
    if message is not None and not message.expunged:
        yield Difference(
            "message",
            user,
            mailbox,
            message.uid,
            "guid",
            mine.guid if mine else None,
            copy.guid if copy else None,
        )


def compare_message(
    user: str | None, mailbox: str, mine: Message, copy: Message
) -> Iterator[Difference]:
    """Two records of the same UID."""

    def differ(kind: str, field: str, master: Scalar, replica: Scalar) -> Iterator[Difference]:
        if master != replica:
            yield Difference(kind, user, mailbox, mine.uid, field, master, replica)

    if mine.expunged and copy.expunged:
        return
    yield from differ("message_guid", "guid", mine.guid, copy.guid)
    yield from differ("message_expunged", "expunged", mine.expunged, copy.expunged)
    for flag in sorted((mine.flags ^ copy.flags) - {"\\expunged"}):
        yield from differ("message_flags", flag, flag in mine.flags, flag in copy.flags)
    yield from differ("message_internaldate", "internaldate", mine.internaldate, copy.internaldate)
    yield from differ("message_modseq", "modseq", mine.modseq, copy.modseq)
    yield from differ("message_modseq", "last_updated", mine.last_updated, copy.last_updated)
    yield from differ("message_size", "size", mine.size, copy.size)
    for entry, master, replica in _annotation_pairs(mine.annotations, copy.annotations):
        yield from differ("message_annotation", entry, master, replica)


def stale_crc(user: str | None, mine: Mailbox, copy: Mailbox) -> Iterator[Difference]:
    """For headers whose records turned out equal: a stored CRC that fits them on one side only."""
    if mine.sync_crc != copy.sync_crc:
        yield Difference("crc", user, mine.name, None, "sync_crc", mine.sync_crc, copy.sync_crc)
    annot = mine.sync_crc_annot, copy.sync_crc_annot
    if None not in annot and annot[0] != annot[1]:
        yield Difference("crc", user, mine.name, None, "sync_crc_annot", *annot)


def pair_renames(differences: Iterable[Difference]) -> list[Difference]:
    """Two mailboxes on one side only that have the same id are one mailbox with two names.

    Not so where one of them is deleted: a delayed delete renames a mailbox as well.
    """
    found = list(differences)
    gone = {_lone_mailbox(d, d.master): d for d in found if d.kind == "mailbox" and d.master}
    new = {_lone_mailbox(d, d.replica): d for d in found if d.kind == "mailbox" and d.replica}
    renamed = {gone[key]: new[key] for key in gone.keys() & new.keys()}
    other_names = set(renamed.values())
    return [
        _renamed(difference, renamed[difference]) if difference in renamed else difference
        for difference in found
        if difference not in other_names
    ]


def _lone_mailbox(difference: Difference, uniqueid: Scalar) -> tuple[Scalar, bool]:
    return uniqueid, _names.is_deleted(difference.mailbox or "")


def _renamed(master: Difference, replica: Difference) -> Difference:
    return replace(
        master, kind="mailbox_name", field="name", master=master.mailbox, replica=replica.mailbox
    )
