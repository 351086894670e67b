# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What becomes of the mailboxes of one owner: which are deleted, renamed, added, and where the
messages of each mailbox of the old master go. Pure."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import _heartbeat, _names
from ._contents import Source, Target, arrivals, known, merge_contents, touched
from ._draft import Draft, live
from ._model import Mailbox
from ._personal import keyed
from ._plan import (
    NEW,
    OLD,
    AddMailbox,
    DeleteMailbox,
    RenameMailbox,
    SetAcl,
    SetAnnotation,
)
from ._survey import Box, Holding
from ._threeway import three_way

# What no step changes, and what a difference is called.
_FIXED: tuple[tuple[str, Callable[[Mailbox], Any]], ...] = (
    ("uidvalidity", lambda head: head.uidvalidity),
    ("partition", lambda head: head.partition),
    ("options", lambda head: (head.mboxtype, head.options, head.pop3_show_after)),
)


def for_mail(holding: Holding) -> dict[str, Box]:
    """The mailboxes that are merged, in the order of their names; scripts are merged as scripts."""
    boxes = sorted(holding.boxes.items(), key=lambda item: item[1].head.name)
    return {
        uniqueid: box
        for uniqueid, box in boxes
        if not box.head.is_intermediate and _is_for_mail(box.head.name)
    }


def has_inbox(holding: Holding) -> bool:
    return any(_names.is_inbox(box.head.name) for box in for_mail(holding).values())


def _is_for_mail(name: str) -> bool:
    whole = name[len("DELETED.") :] if name.startswith("DELETED.") else name
    return not (_names.is_sieve(name) or _heartbeat.is_ours(whole))


class Mailboxes:
    """The rules, each of which leaves to the next what is decided."""

    def __init__(self, draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
        self._draft = draft
        self._base, self._old, self._new = for_mail(base), for_mail(old), for_mail(new)
        self._deleted_before = base.deleted
        self._deleted_on_old, self._deleted_on_new = old.deleted, new.deleted
        self._sure_of_old, self._sure_of_new = not old.unknown, not new.unknown
        self._user_gone = has_inbox(base) and not has_inbox(new) and self._sure_of_new
        # Of the new side, as they are when all that was decided is done.
        self._names = {uniqueid: box.head.name for uniqueid, box in self._new.items()}

    def merge(self) -> None:
        self._delete()
        self._rename()
        self._bring()
        self._save_deleted()

    # -- deleted on the old side

    def _delete(self) -> None:
        if not self._sure_of_new:
            return
        gone = [u for u in self._base if u in self._new and u not in self._old]
        if gone and not self._old and not self._deleted_on_old and self._draft.owner is not None:
            self._keep_user()
            return
        wanted = [uniqueid for uniqueid in gone if self._may_delete(uniqueid)]
        # Without an INBOX there is no user: it goes with all the rest or not at all.
        inbox = next((u for u in wanted if _names.is_inbox(self._names[u])), None)
        if inbox is not None and set(wanted) != self._new.keys():
            wanted.remove(inbox)
            self._stays(inbox, "it was deleted on the old master, the user has mailboxes left here")
        for uniqueid in reversed(wanted):
            box = self._new[uniqueid]
            self._draft.save_live(NEW, box, "its mailbox was deleted on the old master")
            self._draft.step(
                DeleteMailbox(
                    self._draft.owner, self._names.pop(uniqueid), uniqueid, box.head.highestmodseq
                )
            )

    def _keep_user(self) -> None:
        if self._sure_of_old:
            self._draft.conflict(
                "user", "the old master has no trace of this user", "the user stays", "nowhere"
            )

    def _may_delete(self, uniqueid: str) -> bool:
        if uniqueid not in self._deleted_on_old:
            if self._sure_of_old:
                self._stays(uniqueid, "the old master has no trace of it", "nowhere")
            return False
        if not _unchanged(self._base[uniqueid], self._new[uniqueid]):
            self._stays(uniqueid, "it was deleted on the old master and changed on the new one")
            return False
        return True

    def _stays(self, uniqueid: str, found: str, kept: str = "archive") -> None:
        self._draft.conflict("mailbox", found, "it stays", kept, self._names[uniqueid])

    # -- renamed on the old side

    def _rename(self) -> None:
        """A name that is taken may be free when another mailbox has been renamed."""
        waiting = self._renamed() if self._sure_of_new else {}
        while True:
            taken = set(self._names.values())
            free = next((u for u, name in waiting.items() if name not in taken), None)
            if free is None:
                break
            name = waiting.pop(free)
            self._draft.step(RenameMailbox(self._draft.owner, self._names[free], free, name))
            self._names[free] = name
        for uniqueid, name in waiting.items():
            self._keeps_name(uniqueid, f"it was renamed to {name} on the old master: that is taken")

    def _renamed(self) -> dict[str, str]:
        wanted = {}
        for uniqueid in self._base.keys() & self._old.keys() & self._new.keys():
            was, theirs, ours = (
                side[uniqueid].head.name for side in (self._base, self._old, self._new)
            )
            if theirs in (was, ours):
                continue
            if ours == was:
                wanted[uniqueid] = theirs
            else:
                self._keeps_name(uniqueid, f"it was {was}, and is {theirs} on the old master")
        return dict(sorted(wanted.items(), key=lambda item: item[1]))

    def _keeps_name(self, uniqueid: str, found: str) -> None:
        name = self._names[uniqueid]
        self._draft.conflict("mailbox_name", found, f"it stays {name}", "report", name)

    # -- what is in them

    def _bring(self) -> None:
        sources: dict[str, list[Source]] = {}
        for uniqueid, box in self._old.items():
            home = self._home(uniqueid, box)
            if home is not None:
                sources.setdefault(home, []).append(Source(box, self._base.get(uniqueid)))
        for home, boxes in sources.items():
            target = Target(self._new[home], self._names[home], self._base.get(home))
            if home in self._old:
                self._merge_head(target, self._old[home].head)
            merge_contents(self._draft, target, boxes)

    def _home(self, uniqueid: str, box: Box) -> str | None:
        """The mailbox of the new side where the messages go; None where they need none there."""
        name = box.head.name
        if uniqueid in self._new:
            return uniqueid
        same_name = next((u for u, taken in self._names.items() if taken == name), None)
        if uniqueid in self._base:
            if same_name is None:
                self._leave_deleted(uniqueid, box)
            return same_name
        if uniqueid in self._deleted_on_new or self._user_gone:
            self._leave(box, "it is new on the old master, and was deleted on the new one")
        elif same_name is not None:
            self._draft.conflict(
                "mailbox_uniqueid",
                f"the old master has another mailbox of this name, {uniqueid}",
                "its messages go into the new master's",
                "archive",
                name,
            )
            return same_name
        elif self._sure_of_new:
            self._add(uniqueid, box)
        else:
            self._archive(box, "it can't be seen whether the new master has its mailbox")
        return None

    def _leave_deleted(self, uniqueid: str, box: Box) -> None:
        base = self._base[uniqueid]
        if uniqueid not in self._deleted_on_new:
            if self._sure_of_new:
                self._leave(box, "the new master has no trace of it")
            else:
                self._archive(box, "it can't be seen whether the new master has its mailbox")
        elif _unchanged(base, box):
            self._archive(box, "its mailbox was deleted on the new master")
        else:
            self._leave(box, "it was changed on the old master and deleted on the new one")

    def _leave(self, box: Box, found: str) -> None:
        self._draft.conflict("mailbox", found, "it is not made again", "archive", box.head.name)
        self._archive(box, "its mailbox is not on the new master")

    def _add(self, uniqueid: str, box: Box) -> None:
        messages = tuple(live(box.messages.values()))
        name = box.head.name
        self._archive(box, "its mailbox is on the old master alone")
        self._draft.step(AddMailbox(self._draft.owner, name, uniqueid, box.head, messages))

    def _archive(self, box: Box, why: str) -> None:
        """What is live, and what was expunged before anybody else had it."""
        self._draft.save_live(OLD, box, why)
        for message in arrivals(box, self._base.get(box.head.uniqueid)):
            self._draft.save(OLD, box, message, why)

    def _merge_head(self, target: Target, theirs: Mailbox) -> None:
        was, ours = target.base.head if target.base else None, target.box.head
        changes, clashes = three_way(
            was.acl_rights() if was else {}, theirs.acl_rights(), ours.acl_rights()
        )
        at = self._draft.owner, target.name, target.uniqueid
        for identifier, rights in changes.items():
            self._draft.step(SetAcl(*at, identifier, rights))
        for identifier in clashes:
            rights = theirs.acl_rights().get(identifier, "nothing")
            self._differs(target, "acl", f"{identifier} has {rights} on the old master")
        wanted, unwanted = three_way(
            keyed(was.annotations if was else ()),
            keyed(theirs.annotations),
            keyed(ours.annotations),
        )
        for (entry, userid), value in wanted.items():
            self._draft.step(SetAnnotation(*at, None, None, entry, userid, value))
        for entry, userid in unwanted:
            value = keyed(theirs.annotations).get((entry, userid))
            found = f"{entry} of {userid or 'all'} is {value!r} on the old master"
            self._differs(target, "mailbox_annotation", found)
        for kind, value_of in _FIXED:
            if value_of(theirs) not in (value_of(was or ours), value_of(ours)):
                self._differs(target, kind, f"it is {value_of(theirs)} on the old master")

    def _differs(self, target: Target, kind: str, found: str) -> None:
        self._draft.conflict(kind, found, "the new master's stands", "report", target.name)

    # -- deleted before anybody else had it

    def _save_deleted(self) -> None:
        for uniqueid, name in self._deleted_on_old.items():
            if uniqueid not in self._deleted_before and _is_for_mail(name):
                self._draft.save_mailbox(name, uniqueid, "it was deleted on the old master")


def _unchanged(was: Box, now: Box) -> bool:
    """Whether nobody did more to a mailbox than to read and expunge what was in it."""
    return (
        was.head.name == now.head.name
        and was.head.acl_rights() == now.head.acl_rights()
        and was.head.annotations == now.head.annotations
        and not live(arrivals(now, was))
        and not any(touched(before, after) for before, after in known(now, was))
    )
