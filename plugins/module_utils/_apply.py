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
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import singledispatchmethod
from typing import IO, Any, Union

from . import _dlist, _plan
from ._dlist import Value
from ._errors import ReplicationError
from ._model import Annotations, Message, State
from ._plan import Step
from ._session import Session, quoted

Fields = dict[str, Value]
Edit = Union[_plan.SetFlags, _plan.Expunge, _plan.SetAnnotation]

_ATTEMPTS = 50
_CHANGED = "IMAP_SYNC_CHANGED"
# What is uploaded at once; the server keeps it until it is in its mailbox.
_CHUNK = 200
_PIECE = 1 << 20
_SPARE = 64 << 20
# Counters of the whole user that others may raise meanwhile; the server keeps its own.
_NOT_SENT_BACK = ("SYNC_CRC", "SYNC_CRC_ANNOT", "XCONVMODSEQ", "RACLMODSEQ", "QUOTAROOT")
# By which MODSEQ a message came into its mailbox.
_CREATED = "/vendor/cmu/cyrus-imapd/createdmodseq"


class StepError(ReplicationError):
    """A step that could not be carried out, or whose effect is not there."""


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
        self._rename(head, f"{domain}{bang}DELETED.{local}.{int(time.time()):X}")

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
        fields: Fields = {"UNIQUEID": head.uniqueid, "MBOXNAME": step.mailbox}
        if head.mboxtype:
            fields["MBOXTYPE"] = head.mboxtype
        fields.update(
            LAST_UID=str(head.last_uid),
            HIGHESTMODSEQ=str(head.highestmodseq),
            RECENTUID=str(head.last_uid),
            RECENTTIME=_now(),
            LAST_APPENDDATE=_now(),
            POP3_LAST_LOGIN="0",
            POP3_SHOW_AFTER=str(head.pop3_show_after),
            UIDVALIDITY=str(head.uidvalidity),
            PARTITION=self._partition(head.partition),
            ACL=head.acl,
            OPTIONS=head.options,
            CREATEDMODSEQ="1",
            FOLDERMODSEQ=str(head.highestmodseq),
            ANNOTATIONS=_annotations(head.annotations),
        )
        if not head.is_intermediate:
            self._upload(str(fields["PARTITION"]), step.messages)
            fields["RECORD"] = [
                _record(message, message.uid, message.modseq) for message in step.messages
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
            first, modseq = int(str(head["LAST_UID"])) + 1, _next(head)
            given.clear()
            given.update((uid, message.guid) for uid, message in enumerate(messages, first))
            records: list[Value] = [
                _record(message, uid, modseq) for uid, message in enumerate(messages, first)
            ]
            last = str(first + len(messages) - 1)
            return {**head, "LAST_UID": last, "LAST_APPENDDATE": _now(), "RECORD": records}

        self._change(step.mailbox, change)
        self._session.restart()
        return given

    @_do.register
    def _do_set_acl(self, step: _plan.SetAcl) -> None:
        def change() -> Fields:
            head = self._head(step.mailbox, step.uniqueid)
            acl = _with_rights(str(head.get("ACL") or ""), step.identifier, step.rights)
            return {**head, "ACL": acl, "FOLDERMODSEQ": str(_next(head)), "RECORD": []}

        self._change(step.mailbox, change)
        there = _rights(str(self._head(step.mailbox, step.uniqueid).get("ACL") or ""))
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
            return {**head, "ANNOTATIONS": _annotated(head, step), "RECORD": []}

        self._change(mailbox, change)
        if _without_modseq(_annotated(head := self._head(mailbox, uniqueid), step)) != (
            _without_modseq(head.get("ANNOTATIONS"))
        ):
            raise StepError(f"{mailbox}: the annotation {step.entry} is not there")

    # -- messages that are there

    def _edit(self, steps: Sequence[Any]) -> None:
        mailbox, uniqueid = steps[0].mailbox, steps[0].uniqueid

        def change() -> Fields:
            head, records = self._full(mailbox, uniqueid)
            modseq = str(_next(head))
            changed: dict[int, Fields] = {}
            for step in steps:
                record = changed.get(step.uid, records.get(step.uid))
                # What its user has expunged meanwhile stays away.
                if record is None or record["GUID"] != step.guid or _is_expunged(record):
                    continue
                changed[step.uid] = {
                    **_edited(record, step),
                    "MODSEQ": modseq,
                    "LAST_UPDATED": _now(),
                }
            return {**head, "RECORD": [changed[uid] for uid in sorted(changed)]}

        self._change(mailbox, change)
        _head, records = self._full(mailbox, uniqueid)
        for step in steps:
            record = records.get(step.uid)
            if record is not None and record["GUID"] == step.guid and not _has(record, step):
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
        what = f"the script {step.name} of {step.owner} can't be stored"
        with open(self._files(step.guid), "rb") as file:
            text = file.read().decode("utf-8", "surrogateescape")
        names: Fields = {"USERID": step.owner, "FILENAME": f"{step.name}.script"}
        told = self._scripts(step.owner)
        changes: list[tuple[str, Value]] = [
            ("SIEVE", {**names, "LAST_UPDATE": _now(), "CONTENT": text})
        ]
        if step.name in told:
            # Up to 3.6.5 a script that replaces another is stored empty.
            changes.insert(0, ("UNSIEVE", names))
        if told.get(step.name, ("", False))[1]:
            changes.append(("ACTIVATE_SIEVE", {**names, "FILENAME": f"{step.name}.bc"}))
        # Together, so that nobody meets the user without it.
        refusal = self._session.apply(*changes)
        if refusal is not None:
            raise StepError(f"{what}: {refusal}")
        if self._scripts(step.owner).get(step.name, ("", False))[0] != step.guid:
            raise StepError(f"{what}: another text than that of {step.guid} is there")

    @_do.register
    def _do_remove_script(self, step: _plan.RemoveScript) -> None:
        if self._scripts(step.owner).get(step.name, ("", False))[0] == step.guid:
            self._apply(
                f"the script {step.name} of {step.owner} can't be removed",
                "UNSIEVE",
                {"USERID": step.owner, "FILENAME": f"{step.name}.script"},
            )

    @_do.register
    def _do_activate_script(self, step: _plan.ActivateScript) -> None:
        self._activate(step.owner, step.name)

    def _activate(self, owner: str | None, name: str | None) -> None:
        what = f"the active script of {owner} can't be changed"
        if name is None:
            self._apply(what, "UNACTIVATE_SIEVE", {"USERID": owner})
        else:
            self._apply(what, "ACTIVATE_SIEVE", {"USERID": owner, "FILENAME": f"{name}.bc"})
        active = {one for one, (_guid, is_active) in self._scripts(owner).items() if is_active}
        if active != {name} - {None}:
            raise StepError(f"{what}: it has no effect")

    def _scripts(self, owner: str | None) -> dict[str, tuple[str, bool]]:
        """Each script's hash, and whether it is the active one."""
        answer = next(self._session.ask(["META " + quoted(owner or "")]))
        if answer.refusal is not None:
            raise StepError(f"the scripts of {owner} can't be read: {answer.refusal}")
        scripts = State.parse(answer.lines).scripts
        return {name: (script.guid or "", script.active) for name, script in scripts.items()}

    # -- the server

    def _head(self, mailbox: str, uniqueid: str) -> Fields:
        """A mailbox's fields, if it is still that mailbox."""
        answer = next(self._session.ask([f"MAILBOXES ({quoted(mailbox)})"]))
        for line in answer.lines:
            kind, fields = _dlist.parse(line)
            if kind == "MAILBOX" and isinstance(fields, dict) and fields["UNIQUEID"] == uniqueid:
                return fields
        raise StepError(f"{mailbox} was deleted, renamed or made again meanwhile: run it again")

    def _full(self, mailbox: str, uniqueid: str) -> tuple[Fields, dict[int, Fields]]:
        (told,) = self._session.full_mailboxes([mailbox])
        records = [_dlist.parse(record)[0] for record in told.records]
        if told.refusal is not None or told.head["UNIQUEID"] != uniqueid:
            raise StepError(f"{mailbox} was deleted, renamed or made again meanwhile: run it again")
        return told.head, {
            int(str(record["UID"])): record for record in records if isinstance(record, dict)
        }

    def _change(self, mailbox: str, change: Callable[[], Fields]) -> None:
        """Hands back what `change` makes of the mailbox, until nobody came in between."""
        for _attempt in range(_ATTEMPTS):
            fields = change()
            refusal = self._session.apply(("MAILBOX", _handed_back(fields)))
            if refusal is None:
                return
            if not refusal.startswith(_CHANGED):
                raise StepError(f"{mailbox} can't be changed: {refusal}")
        raise StepError(f"{mailbox} is changed by others all the time: run it again")

    def _apply(self, what: str, verb: str, value: Value) -> None:
        refusal = self._session.apply((verb, value))
        if refusal is not None:
            raise StepError(f"{what}: {refusal}")

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
        _head, records = self._full(step.mailbox, step.uniqueid)
        missing = [
            uid for uid, guid in wanted if uid not in records or records[uid]["GUID"] != guid
        ]
        if missing:
            raise StepError(f"{step.mailbox}: {len(missing)} messages have not arrived")


def _pieces(file: IO[bytes]) -> Iterator[bytes]:
    while piece := file.read(_PIECE):
        yield piece


# -- fields


def _now() -> str:
    return str(int(time.time()))


def _next(head: Fields) -> int:
    return int(str(head["HIGHESTMODSEQ"])) + 1


def _handed_back(fields: Fields) -> Fields:
    """Only for a mailbox that is still what it was when `fields` were read."""
    rest = {key: value for key, value in fields.items() if key not in _NOT_SENT_BACK}
    return {
        **rest,
        "HIGHESTMODSEQ": str(_next(fields)),
        # Taken as they come out.
        "SYNC_CRC": "0",
        "SYNC_CRC_ANNOT": "0",
        "SINCE_MODSEQ": fields["HIGHESTMODSEQ"],
        "SINCE_CRC": fields["SYNC_CRC"],
        "SINCE_CRC_ANNOT": fields.get("SYNC_CRC_ANNOT", "0"),
    }


def _record(message: Message, uid: int, modseq: int) -> Fields:
    return {
        "UID": str(uid),
        "MODSEQ": str(modseq),
        "LAST_UPDATED": _now(),
        "FLAGS": [*sorted(message.flags)],
        "INTERNALDATE": str(message.internaldate),
        "SIZE": str(message.size),
        "GUID": message.guid,
        "ANNOTATIONS": _annotations(
            tuple(
                (entry, userid, str(modseq) if entry == _CREATED else value)
                for entry, userid, value in message.annotations
            )
        ),
    }


def _annotations(told: Annotations) -> list[Value]:
    return [
        {"ENTRY": entry, "USERID": userid, "MODSEQ": "0", "VALUE": value}
        for entry, userid, value in told
    ]


def _flags(record: Fields) -> list[str]:
    flags = record["FLAGS"]
    return [str(flag) for flag in flags] if isinstance(flags, list) else []


def _is_expunged(record: Fields) -> bool:
    return "\\expunged" in {flag.lower() for flag in _flags(record)}


def _edited(record: Fields, step: Edit) -> Fields:
    if isinstance(step, _plan.Expunge):
        return {**record, "FLAGS": [*_flags(record), "\\Expunged"]}
    if isinstance(step, _plan.SetFlags):
        kept = [flag for flag in _flags(record) if flag.lower() not in step.add | step.remove]
        return {**record, "FLAGS": [*kept, *sorted(step.add)]}
    return {**record, "ANNOTATIONS": _annotated(record, step)}


def _has(record: Fields, step: Edit) -> bool:
    if isinstance(step, _plan.SetAnnotation):
        wanted = _without_modseq(_annotated(record, step))
        return _is_expunged(record) or wanted == _without_modseq(record.get("ANNOTATIONS"))
    flags = {flag.lower() for flag in _flags(record)}
    if isinstance(step, _plan.Expunge):
        return "\\expunged" in flags
    return "\\expunged" in flags or (step.add <= flags and not step.remove & flags)


def _annotated(fields: Fields, step: _plan.SetAnnotation) -> list[Value]:
    """The annotations with the step's one in the place of what was there."""
    told = fields.get("ANNOTATIONS") or []
    kept = [
        one
        for one in told
        if isinstance(one, dict) and (one["ENTRY"], one.get("USERID") or "") != _key(step)
    ]
    if step.value is None:
        return [*kept]
    return [*kept, *_annotations(((step.entry, step.userid, step.value),))]


def _key(step: _plan.SetAnnotation) -> tuple[str, str]:
    return step.entry, step.userid


def _without_modseq(annotations: Value) -> set[tuple[str, str, str]]:
    return {
        (str(one["ENTRY"]), str(one.get("USERID") or ""), str(one.get("VALUE") or ""))
        for one in annotations or []
        if isinstance(one, dict)
    }


def _with_rights(acl: str, identifier: str, rights: str | None) -> str:
    kept = {**_rights(acl), identifier: rights or ""}
    return "".join(f"{who}\t{what}\t" for who, what in kept.items() if what)


def _rights(acl: str) -> dict[str, str]:
    parts = acl.split("\t")
    return dict(zip(parts[::2], parts[1::2]))
