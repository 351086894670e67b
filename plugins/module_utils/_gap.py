# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The numbers that an old master may have given out unseen are left out by the new one.

A mailbox's LAST_UID and HIGHESTMODSEQ are raised above what they were in the merge base, by the
private IMAP socket, where Cyrus logs each change for the channels. It raises the counters that a
user's mailboxes have in common as well (imap/sync_support.c, mboxname_setmodseq).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice

from . import _dlist, _names
from ._fields import Fields, unless_changed
from ._model import Mailbox
from ._points import reach
from ._session import Session, quoted_list

_MAILBOXES_AT_ONCE = 100
_LARGEST_UID = 2**32 - 2


@dataclass(frozen=True)
class Gap:
    """How many numbers are left out."""

    uids: int
    modseqs: int


@dataclass
class Raised:
    """How many mailboxes were raised, and a sentence for each that could not be."""

    mailboxes: int = 0
    left: list[str] = field(default_factory=list)


def has_gap(mailbox: Mailbox) -> bool:
    """Whether clients see the mailbox's numbers: not those of a name that nobody can open, nor of
    where scripts are kept."""
    return not mailbox.is_intermediate and not _names.is_sieve(mailbox.name)


def targets(base: Mailbox, gap: Gap) -> dict[str, int]:
    """What a mailbox's numbers have to be at least; pure."""
    return {
        "LAST_UID": base.last_uid + gap.uids,
        "HIGHESTMODSEQ": base.highestmodseq + gap.modseqs,
    }


def raised(fields: Fields, wanted: dict[str, int]) -> Fields | None:
    """The mailbox with its numbers raised, to be taken only if it is still as it was; None where
    they are high enough. Pure."""
    numbers = {key: max(int(str(fields[key])), least) for key, least in wanted.items()}
    if all(str(number) == fields[key] for key, number in numbers.items()):
        return None
    return {
        **unless_changed(fields),
        **{key: str(number) for key, number in numbers.items()},
        "RECORD": [],
    }


def leave(session: Session, base: Iterable[Mailbox], gap: Gap, check: bool) -> Raised:
    """Raise the mailboxes of a merge base that are there still; what was raised before stays."""
    found = Raised()
    mailboxes = filter(has_gap, base)
    while some := list(islice(mailboxes, _MAILBOXES_AT_ONCE)):
        _leave(session, {box.name: box for box in some}, gap, check, found)
        reach("raised")
    return found


def _leave(
    session: Session, base: dict[str, Mailbox], gap: Gap, check: bool, found: Raised
) -> None:
    due = dict(_due(session, base, gap))
    if check:
        found.mailboxes += len(due)
        return
    refusals: dict[str, str | None] = {}
    for name, fields in due.items():
        if int(str(fields["LAST_UID"])) > _LARGEST_UID:
            refusals[name] = "it has nearly no UIDs left"
    asked = [name for name in due if name not in refusals]
    refusals.update(zip(asked, session.apply_all(("MAILBOX", due[name]) for name in asked)))
    left = dict(_due(session, {name: base[name] for name in due}, gap))
    found.mailboxes += len(due) - len(left)
    found.left += [
        f"{name} can't be raised: {refusals[name] or 'it has no effect'}" for name in left
    ]


def _due(session: Session, base: dict[str, Mailbox], gap: Gap) -> Iterator[tuple[str, Fields]]:
    """The mailboxes that are not high enough, as they would have to be."""
    if not base:
        return
    for answer in session.ask(["MAILBOXES " + quoted_list(base)]):
        for line in answer.lines:
            kind, fields = _dlist.parse(line)
            if kind != "MAILBOX" or not isinstance(fields, dict):
                continue
            box = base.get(str(fields["MBOXNAME"]))
            if box is None or box.uniqueid != fields["UNIQUEID"]:
                continue
            higher = raised(fields, targets(box, gap))
            if higher is not None:
                yield box.name, higher
