# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The steps of a plan carried out on a master that serves clients meanwhile.

A mailbox is read, changed and handed back with what it was when it was read (SINCE_MODSEQ and
SINCE_CRC, imap/sync_support.c): the server takes that only if nothing has changed in between. So
what clients do at the same time is never undone, and UIDs are given out once. It goes by the
private IMAP socket, where Cyrus logs each change for the channels.
"""

from __future__ import annotations

import itertools
import os
import re
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from functools import singledispatchmethod
from typing import IO, Any

from . import _dlist, _fields, _plan
from ._dlist import Value
from ._errors import StepError
from ._fields import Fields
from ._model import Message
from ._plan import Step
from ._scripts import Scripts, apply
from ._session import Session, quoted

_ATTEMPTS = 50
_CHANGED = "IMAP_SYNC_CHANGED"
# What is uploaded at once; the server keeps it until it is in its mailbox.
_CHUNK = 200
_PIECE = 1 << 20
_UID = re.compile(rb"%\(UID ([0-9]+) ")
_SPARE = 64 << 20


def grouped(steps: Sequence[Step]) -> Iterator[list[Step]]:
    """The steps in their order; those that edit messages of one mailbox together."""

    def key(numbered: tuple[int, Step]) -> object:
        number, step = numbered
        return _edited_mailbox(step) or number

    for _key, group in itertools.groupby(enumerate(steps), key):
        yield [step for _number, step in group]


def _edited_mailbox(step: Step) -> str | None:
    """The uniqueid of the mailbox whose messages a step edits, if it does that."""
    if isinstance(step, _plan.SetAnnotation):
        return step.uniqueid if step.uid is not None else None
    return step.uniqueid if isinstance(step, (_plan.SetFlags, _plan.Expunge)) else None


class Applier:
    """Carries out steps over an admin's IMAP session to the master itself.

    `files` tells where the bytes of a message or a script lie, by their SHA-1; `partitions` are
    the master's, with their directories.
    """

    def __init__(
        self, session: Session, files: Callable[[str], str], partitions: Mapping[str, str]
    ) -> None:
        self._session = session
        self._scripts = Scripts(session)
        self._files = files
        self._partitions = partitions

    def carry_out(self, steps: Sequence[Step]) -> None:
        """One group; raises StepError, or WireError where the session is of no further use."""
        if _edited_mailbox(steps[0]):
            self._edit(steps)
        else:
            self._do(steps[0])

    # -- whole mailboxes

    @singledispatchmethod
    def _do(self, step: Any) -> None:
        raise StepError(f"nobody knows how to do {step.verb}")

    @_do.register
    def _do_delete_mailbox(self, step: _plan.DeleteMailbox) -> None:
        head = self._head(step.mailbox, step.uniqueid)
        if head["HIGHESTMODSEQ"] != str(step.highestmodseq):
            raise StepError(f"{step.mailbox} was changed meanwhile, so it is not deleted")
        # As the server names what a delayed delete has set aside.
        domain, bang, local = step.mailbox.rpartition("!")
        aside = f"{domain}{bang}DELETED.{local}.{int(time.time()):X}"
        self._rename(head, aside)
        after = self._head(aside, step.uniqueid)
        if after["LAST_UID"] != head["LAST_UID"]:
            self._rename(after, step.mailbox)
            raise StepError(f"mail came to {step.mailbox} meanwhile, so it is not deleted")

    @_do.register
    def _do_rename_mailbox(self, step: _plan.RenameMailbox) -> None:
        self._rename(self._head(step.mailbox, step.uniqueid), step.to)

    def _rename(self, head: Fields, to: str) -> None:
        name, uniqueid = str(head["MBOXNAME"]), str(head["UNIQUEID"])
        self._apply(
            f"{name} can't be renamed to {to}",
            "RENAME",
            {
                "OLDMBOXNAME": name,
                "NEWMBOXNAME": to,
                "PARTITION": head.get("PARTITION", "default"),
                "UIDVALIDITY": head.get("UIDVALIDITY", "0"),
            },
        )
        self._head(to, uniqueid)

    @_do.register
    def _do_add_mailbox(self, step: _plan.AddMailbox) -> None:
        head = step.head
        fields = _fields.mailbox_of(head, step.mailbox, self._partition(head.partition))
        if not head.is_intermediate:
            self._upload(str(fields["PARTITION"]), step.messages)
            fields["RECORD"] = [
                _fields.record_of(message, message.uid, message.modseq) for message in step.messages
            ]
        self._apply(f"{step.mailbox} can't be made", "MAILBOX", fields)
        self._session.restart()
        if not head.is_intermediate:
            self._see(step, {(message.uid, message.guid) for message in step.messages})

    @_do.register
    def _do_add_messages(self, step: _plan.AddMessages) -> None:
        given: set[tuple[int, str]] = set()
        for start in range(0, len(step.messages), _CHUNK):
            given |= self._add(step, step.messages[start : start + _CHUNK])
        self._see(step, given)

    def _add(self, step: _plan.AddMessages, messages: Sequence[Message]) -> set[tuple[int, str]]:
        """Under which UIDs they are there."""
        head = self._head(step.mailbox, step.uniqueid)
        self._upload(str(head["PARTITION"]), messages)
        given: set[tuple[int, str]] = set()

        def change() -> Fields:
            head = self._head(step.mailbox, step.uniqueid)
            first, modseq = int(str(head["LAST_UID"])) + 1, _fields.next_modseq(head)
            given.clear()
            given.update((uid, message.guid) for uid, message in enumerate(messages, first))
            records: list[Value] = [
                _fields.record_of(message, uid, modseq)
                for uid, message in enumerate(messages, first)
            ]
            last = str(first + len(messages) - 1)
            return {**head, "LAST_UID": last, "LAST_APPENDDATE": _fields.now(), "RECORD": records}

        self._change(step.mailbox, change)
        self._session.restart()
        return given

    @_do.register
    def _do_set_acl(self, step: _plan.SetAcl) -> None:
        def change() -> Fields:
            head = self._head(step.mailbox, step.uniqueid)
            acl = _fields.with_rights(str(head.get("ACL") or ""), step.identifier, step.rights)
            modseq = str(_fields.next_modseq(head))
            return {**head, "ACL": acl, "FOLDERMODSEQ": modseq, "RECORD": []}

        self._change(step.mailbox, change)
        there = _fields.rights_of(str(self._head(step.mailbox, step.uniqueid).get("ACL") or ""))
        if sorted(there.get(step.identifier, "")) != sorted(step.rights or ""):
            raise StepError(f"{step.mailbox}: the rights of {step.identifier} are not there")

    @_do.register
    def _do_set_annotation(self, step: _plan.SetAnnotation) -> None:
        mailbox, uniqueid = step.mailbox, step.uniqueid
        if mailbox is None or uniqueid is None:
            fields: Fields = {"MBOXNAME": "", "ENTRY": step.entry, "USERID": step.userid}
            what = f"the server's annotation {step.entry} can't be set"
            if step.value is None:
                self._apply(what, "UNANNOTATION", fields)
            else:
                self._apply(what, "ANNOTATION", {**fields, "VALUE": step.value})
            return

        def change() -> Fields:
            head = self._head(mailbox, uniqueid)
            return {**head, "ANNOTATIONS": _fields.annotated(head, step), "RECORD": []}

        self._change(mailbox, change)
        if not _fields.is_annotated(self._head(mailbox, uniqueid), step):
            raise StepError(f"{mailbox}: the annotation {step.entry} is not there")

    # -- messages that are there

    def _edit(self, steps: Sequence[Any]) -> None:
        mailbox, uniqueid = steps[0].mailbox, steps[0].uniqueid
        uids = {step.uid for step in steps}

        def change() -> Fields:
            head, records = self._records(mailbox, uniqueid, uids)
            modseq = str(_fields.next_modseq(head))
            changed: dict[int, Fields] = {}
            for step in steps:
                record = changed.get(step.uid, records.get(step.uid))
                # What its user has expunged meanwhile stays away.
                if record is None or record["GUID"] != step.guid or _fields.is_expunged(record):
                    continue
                changed[step.uid] = {
                    **_fields.edited(record, step),
                    "MODSEQ": modseq,
                    "LAST_UPDATED": _fields.now(),
                }
            return {**head, "RECORD": [changed[uid] for uid in sorted(changed)]}

        self._change(mailbox, change)
        _head, records = self._records(mailbox, uniqueid, uids)
        for step in steps:
            record = records.get(step.uid)
            if record is not None and record["GUID"] == step.guid and not _fields.has(record, step):
                raise StepError(f"{mailbox} UID {step.uid}: {step.verb} has had no effect")

    # -- users

    @_do.register
    def _do_subscribe(self, step: _plan.Subscribe) -> None:
        self._subscription("SUB", step.owner, step.mailbox)

    @_do.register
    def _do_unsubscribe(self, step: _plan.Unsubscribe) -> None:
        self._subscription("UNSUB", step.owner, step.mailbox)

    def _subscription(self, verb: str, owner: str | None, mailbox: str) -> None:
        self._apply(
            f"the subscription of {owner} to {mailbox} can't be changed",
            verb,
            {"USERID": owner, "MBOXNAME": mailbox},
        )

    @_do.register
    def _do_set_seen(self, step: _plan.SetSeen) -> None:
        seen = step.seen
        self._apply(
            f"what {step.owner} has seen can't be kept",
            "SEEN",
            {
                "USERID": step.owner,
                "UNIQUEID": seen.uniqueid,
                "LASTREAD": str(seen.last_read),
                "LASTUID": str(seen.last_uid),
                "LASTCHANGE": str(seen.last_change),
                "SEENUIDS": seen.seen_uids,
            },
        )

    @_do.register
    def _do_set_quota(self, step: _plan.SetQuota) -> None:
        what = f"the limits of {step.root} can't be set"
        if step.limits is None:
            self._apply(what, "UNQUOTA", step.root)
        else:
            self._apply(what, "QUOTA", {"ROOT": step.root, **dict(step.limits)})

    @_do.register
    def _do_put_script(self, step: _plan.PutScript) -> None:
        with open(self._files(step.guid), "rb") as file:
            self._scripts.put(step, file.read())

    @_do.register
    def _do_remove_script(self, step: _plan.RemoveScript) -> None:
        self._scripts.remove(step)

    @_do.register
    def _do_activate_script(self, step: _plan.ActivateScript) -> None:
        self._scripts.activate(step)

    # -- the server

    def _head(self, mailbox: str, uniqueid: str) -> Fields:
        """A mailbox's fields, if it is still that mailbox."""
        answer = next(self._session.ask([f"MAILBOXES ({quoted(mailbox)})"]))
        for line in answer.lines:
            kind, fields = _dlist.parse(line)
            if kind == "MAILBOX" and isinstance(fields, dict) and fields["UNIQUEID"] == uniqueid:
                return fields
        raise StepError(f"{mailbox} was deleted, renamed or made again meanwhile: run it again")

    def _records(
        self, mailbox: str, uniqueid: str, uids: Collection[int]
    ) -> tuple[Fields, dict[int, Fields]]:
        """Its fields and some of its records. The others are not taken apart: a mailbox that many
        change would be another one by then."""
        (told,) = self._session.full_mailboxes([mailbox])
        wanted = [record for record in told.records if _uid(record) in uids]
        if told.refusal is not None or told.head["UNIQUEID"] != uniqueid:
            raise StepError(f"{mailbox} was deleted, renamed or made again meanwhile: run it again")
        records = (_dlist.parse(record)[0] for record in wanted)
        return told.head, {
            int(str(record["UID"])): record for record in records if isinstance(record, dict)
        }

    def _change(self, mailbox: str, change: Callable[[], Fields]) -> None:
        """Hands back what `change` makes of the mailbox, until nobody came in between."""
        for _attempt in range(_ATTEMPTS):
            fields = change()
            refusal = self._session.apply(("MAILBOX", _fields.handed_back(fields)))
            if refusal is None:
                return
            if not refusal.startswith(_CHANGED):
                raise StepError(f"{mailbox} can't be changed: {refusal}")
        raise StepError(f"{mailbox} is changed by others all the time: run it again")

    def _apply(self, what: str, verb: str, value: Value) -> None:
        apply(self._session, what, verb, value)

    def _upload(self, partition: str, messages: Sequence[Message]) -> None:
        """Hands over the files. A server without room takes their lines for commands, so room is
        looked for before."""
        by_guid = {message.guid: self._files(message.guid) for message in messages}
        sizes = {guid: os.path.getsize(path) for guid, path in by_guid.items()}
        told = os.statvfs(self._partitions[partition])
        if told.f_bavail * told.f_frsize < 2 * sum(sizes.values()) + _SPARE:
            raise StepError(f"{self._partitions[partition]} has no room: make room, run it again")
        for guid, path in by_guid.items():
            with open(path, "rb") as file:
                refusal = self._session.upload(partition, guid, sizes[guid], _pieces(file))
            if refusal is not None:
                raise StepError(f"the message {guid} can't be handed over: {refusal}")

    def _partition(self, wanted: str) -> str:
        return wanted if wanted in self._partitions else next(iter(self._partitions))

    def _see(self, step: Any, wanted: set[tuple[int, str]]) -> None:
        _head, records = self._records(step.mailbox, step.uniqueid, {uid for uid, _guid in wanted})
        missing = [
            uid for uid, guid in wanted if uid not in records or records[uid]["GUID"] != guid
        ]
        if missing:
            raise StepError(f"{step.mailbox}: {len(missing)} messages have not arrived")


def _uid(record: bytes) -> int:
    """Cyrus writes it first."""
    found = _UID.match(record)
    if found is None:
        raise StepError(f"a record of the server is not understood: {record[:80]!r}")
    return int(found.group(1))


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece
