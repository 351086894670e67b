# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Mailboxes and messages as fields of the sync protocol, and what a step makes of them. Pure."""

from __future__ import annotations

import time
from typing import Union

from . import _plan
from ._dlist import Value
from ._model import Annotations, Mailbox, Message

Fields = dict[str, Value]
Edit = Union[_plan.SetFlags, _plan.Expunge, _plan.SetAnnotation]

# Counters of the whole user that others may raise meanwhile; the server keeps its own.
_NOT_SENT_BACK = ("XCONVMODSEQ", "RACLMODSEQ", "QUOTAROOT")
# By which MODSEQ a message came into its mailbox.
_CREATED = "/vendor/cmu/cyrus-imapd/createdmodseq"


def now() -> str:
    return str(int(time.time()))


def next_modseq(head: Fields) -> int:
    return int(str(head["HIGHESTMODSEQ"])) + 1


def unless_changed(fields: Fields) -> Fields:
    """A mailbox as it was read, to be taken only if it is still that."""
    return {
        **{key: value for key, value in fields.items() if key not in _NOT_SENT_BACK},
        "SINCE_MODSEQ": fields["HIGHESTMODSEQ"],
        "SINCE_CRC": fields["SYNC_CRC"],
        "SINCE_CRC_ANNOT": fields.get("SYNC_CRC_ANNOT") or "0",
    }


def handed_back(fields: Fields) -> Fields:
    """A mailbox of which something was changed."""
    return {
        **unless_changed(fields),
        "HIGHESTMODSEQ": str(next_modseq(fields)),
        # Taken as they come out.
        "SYNC_CRC": "0",
        "SYNC_CRC_ANNOT": "0",
    }


def mailbox_of(head: Mailbox, name: str, partition: str) -> Fields:
    """A new mailbox as another one is, without its messages."""
    fields: Fields = {"UNIQUEID": head.uniqueid, "MBOXNAME": name}
    if head.mboxtype:
        fields["MBOXTYPE"] = head.mboxtype
    fields.update(
        LAST_UID=str(head.last_uid),
        HIGHESTMODSEQ=str(head.highestmodseq),
        RECENTUID=str(head.last_uid),
        RECENTTIME=now(),
        LAST_APPENDDATE=now(),
        POP3_LAST_LOGIN="0",
        POP3_SHOW_AFTER=str(head.pop3_show_after),
        UIDVALIDITY=str(head.uidvalidity),
        PARTITION=partition,
        ACL=head.acl,
        OPTIONS=head.options,
        CREATEDMODSEQ="1",
        FOLDERMODSEQ=str(head.highestmodseq),
        ANNOTATIONS=_annotations_of(head.annotations),
    )
    return fields


def record_of(message: Message, uid: int, modseq: int) -> Fields:
    return {
        "UID": str(uid),
        "MODSEQ": str(modseq),
        "LAST_UPDATED": now(),
        "FLAGS": [*sorted(message.flags)],
        "INTERNALDATE": str(message.internaldate),
        "SIZE": str(message.size),
        "GUID": message.guid,
        "ANNOTATIONS": _annotations_of(
            tuple(
                (entry, userid, str(modseq) if entry == _CREATED else value)
                for entry, userid, value in message.annotations
            )
        ),
    }


def _annotations_of(told: Annotations) -> list[Value]:
    return [
        {"ENTRY": entry, "USERID": userid, "MODSEQ": "0", "VALUE": value}
        for entry, userid, value in told
    ]


def _flags(record: Fields) -> list[str]:
    flags = record["FLAGS"]
    return [str(flag) for flag in flags] if isinstance(flags, list) else []


def is_expunged(record: Fields) -> bool:
    return "\\expunged" in {flag.lower() for flag in _flags(record)}


def edited(record: Fields, step: Edit) -> Fields:
    if isinstance(step, _plan.Expunge):
        return {**record, "FLAGS": [*_flags(record), "\\Expunged"]}
    if isinstance(step, _plan.SetFlags):
        kept = [flag for flag in _flags(record) if flag.lower() not in step.add | step.remove]
        return {**record, "FLAGS": [*kept, *sorted(step.add)]}
    return {**record, "ANNOTATIONS": annotated(record, step)}


def has(record: Fields, step: Edit) -> bool:
    """Whether a step has had its effect, or needs none any more."""
    if is_expunged(record):
        return True
    if isinstance(step, _plan.SetAnnotation):
        return is_annotated(record, step)
    flags = {flag.lower() for flag in _flags(record)}
    return isinstance(step, _plan.SetFlags) and step.add <= flags and not step.remove & flags


def is_annotated(fields: Fields, step: _plan.SetAnnotation) -> bool:
    return _without_modseq(annotated(fields, step)) == _without_modseq(fields.get("ANNOTATIONS"))


def annotated(fields: Fields, step: _plan.SetAnnotation) -> list[Value]:
    """The annotations with the step's one in the place of what was there."""
    told, key = fields.get("ANNOTATIONS") or [], (step.entry, step.userid)
    kept = [
        one
        for one in told
        if isinstance(one, dict) and (one["ENTRY"], one.get("USERID") or "") != key
    ]
    if step.value is None:
        return [*kept]
    return [*kept, *_annotations_of(((step.entry, step.userid, step.value),))]


def _without_modseq(annotations: Value) -> set[tuple[str, str, str]]:
    return {
        (str(one["ENTRY"]), str(one.get("USERID") or ""), str(one.get("VALUE") or ""))
        for one in annotations or []
        if isinstance(one, dict)
    }


def with_rights(acl: str, identifier: str, rights: str | None) -> str:
    kept = {**rights_of(acl), identifier: rights or ""}
    return "".join(f"{who}\t{what}\t" for who, what in kept.items() if what)


def rights_of(acl: str) -> dict[str, str]:
    parts = acl.split("\t")
    return dict(zip(parts[::2], parts[1::2]))
