# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What has to be done for one owner so that the new master has what the old one had, as values.

First everything in `saves` is archived, then `steps` are carried out in their order; `conflicts`
are for people. A mailbox is named as it is on the new master when its step's turn has come; its
uniqueid stays true even where the step that renames it has failed.
"""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, fields
from typing import Any, Union

from . import _names
from ._model import Mailbox, Message, Seen

OLD, NEW = "old", "new"


@dataclass(frozen=True)
class _Item:
    """`owner` is the userid, None for what is shared."""

    owner: str | None

    @property
    def verb(self) -> str:
        """The kind as one word: ``add_messages``."""
        return re.sub(r"(?<!^)([A-Z])", r"_\1", type(self).__name__).lower()

    def as_dict(self) -> dict[str, Any]:
        """For a report: messages are told by UID and GUID alone."""
        told = {field.name: _plain(getattr(self, field.name)) for field in fields(self)}
        return {"step": self.verb, **told}


def _plain(value: Any) -> Any:
    if isinstance(value, Message):
        return {"uid": value.uid, "guid": value.guid}
    if isinstance(value, Mailbox):
        return {"name": value.name, "uidvalidity": value.uidvalidity, "last_uid": value.last_uid}
    if isinstance(value, Seen):
        return {"uniqueid": value.uniqueid, "last_uid": value.last_uid, "uids": value.seen_uids}
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


@dataclass(frozen=True)
class _InMailbox(_Item):
    mailbox: str
    uniqueid: str


# -- what is archived before anything is done


@dataclass(frozen=True)
class Save(_InMailbox):
    """A message, as it is on that side (`OLD`, `NEW`). The text of an expunged one may be gone."""

    partition: str
    side: str
    message: Message
    why: str


@dataclass(frozen=True)
class SaveMailbox(_InMailbox):
    """Every message of a mailbox that was deleted on the old side: its name there."""

    why: str


@dataclass(frozen=True)
class SaveScript(_Item):
    """A Sieve script, as it is on that side."""

    name: str
    guid: str
    side: str
    why: str


Saved = Union[Save, SaveMailbox, SaveScript]


# -- what is done on the new master


@dataclass(frozen=True)
class DeleteMailbox(_InMailbox):
    """This mailbox alone, and only if its HIGHESTMODSEQ is still the given one."""

    highestmodseq: int


def ends_user(step: Step) -> bool:
    """Whether a step takes the mailbox without which there is no user."""
    return isinstance(step, DeleteMailbox) and _names.is_inbox(step.mailbox)


@dataclass(frozen=True)
class RenameMailbox(_InMailbox):
    """This mailbox alone, none below it, from the name `mailbox` to the name `to`."""

    to: str


@dataclass(frozen=True)
class AddMailbox(_InMailbox):
    """A mailbox as the old side has it: uniqueid, UIDVALIDITY, LAST_UID, UIDs. The messages are
    those that are not expunged."""

    head: Mailbox
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class AddMessages(_InMailbox):
    """Messages of the old side's mailbox `source`, under new UIDs."""

    source: Mailbox
    messages: tuple[Message, ...]


@dataclass(frozen=True)
class SetFlags(_InMailbox):
    """Flags put on a message and taken from it; whatever else it has stays."""

    uid: int
    guid: str
    add: frozenset[str]
    remove: frozenset[str]


@dataclass(frozen=True)
class Expunge(_InMailbox):
    """A message expunged, if it has still that GUID."""

    uid: int
    guid: str


@dataclass(frozen=True)
class SetAcl(_InMailbox):
    """The rights of one identifier; None for no entry."""

    identifier: str
    rights: str | None


@dataclass(frozen=True)
class SetAnnotation(_Item):
    """An annotation of the server, of a mailbox, or of a message in it; None for none.

    `userid` is whose private one it is, empty for a shared one.
    """

    mailbox: str | None
    uniqueid: str | None
    uid: int | None
    guid: str | None
    entry: str
    userid: str
    value: str | None


@dataclass(frozen=True)
class Subscribe(_Item):
    mailbox: str


@dataclass(frozen=True)
class Unsubscribe(_Item):
    mailbox: str


@dataclass(frozen=True)
class SetSeen(_Item):
    """What the owner has seen of the mailbox `seen.uniqueid`, which may be somebody else's."""

    seen: Seen


@dataclass(frozen=True)
class PutScript(_Item):
    """The old side's script of that name, which has that hash."""

    name: str
    guid: str


@dataclass(frozen=True)
class ActivateScript(_Item):
    """Makes this the active script; None for none."""

    name: str | None


@dataclass(frozen=True)
class RemoveScript(_Item):
    """The new side's script of that name, if it has still that hash."""

    name: str
    guid: str


@dataclass(frozen=True)
class SetQuota(_Item):
    """All limits of a quota root; None for no root."""

    root: str
    limits: tuple[tuple[str, str], ...] | None


Step = Union[
    DeleteMailbox,
    RenameMailbox,
    AddMailbox,
    AddMessages,
    SetFlags,
    Expunge,
    SetAcl,
    SetAnnotation,
    Subscribe,
    Unsubscribe,
    SetSeen,
    PutScript,
    ActivateScript,
    RemoveScript,
    SetQuota,
]


# -- what is told


@dataclass(frozen=True)
class Conflict:
    """Where the new side's version stands. `kind` is one of the contract's list; `kept` says where
    the old side's version is: ``archive``, ``report`` (it stands in `found`) or ``nowhere``."""

    kind: str
    owner: str | None
    mailbox: str | None
    uid: int | None
    found: str
    done: str
    kept: str

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Plan:
    """`touched_on_old`: the old side's copy of this owner is not what the base says it was, so it
    is dropped there before that host becomes a replica. `unknown` are the surveys' sentences: what
    depends on them is left as it is."""

    owner: str | None
    touched_on_old: bool
    saves: tuple[Saved, ...] = ()
    steps: tuple[Step, ...] = ()
    conflicts: tuple[Conflict, ...] = ()
    unknown: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {
            "owner": self.owner,
            "touched_on_old": self.touched_on_old,
            "saves": [save.as_dict() for save in self.saves],
            "steps": [step.as_dict() for step in self.steps],
            "conflicts": [conflict.as_dict() for conflict in self.conflicts],
            "unknown": list(self.unknown),
        }
