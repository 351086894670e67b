# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What the sync protocol tells about a store, as values that can be compared."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import _dlist
from ._dlist import FormatError, Value

Annotations = tuple[tuple[str, str, str], ...]

# From this version on scripts are kept in a mailbox as well, which replicates like any other.
SCRIPT_MAILBOXES_SINCE = (3, 5)

# A record with nothing in it but words and numbers, in one match: nearly all of them.
_PLAIN_RECORD = re.compile(
    rb"%\(UID (\d+) MODSEQ (\d+) LAST_UPDATED (\d+) FLAGS \(([^()\"{%]*)\)"
    rb" INTERNALDATE (\d+) SIZE (\d+) GUID ([0-9a-f]{40})"
    rb"(?: ANNOTATIONS \(((?:%\(ENTRY [^ ()\"{%]+ USERID \"\" MODSEQ \d+ VALUE \d+\) ?)+)\))?\)"
)
_PLAIN_ANNOTATION = re.compile(rb"ENTRY ([^ ]+) [^)]* VALUE (\d+)")

# As large as 64 bits hold.
_NUMBER = re.compile(r"[0-9]{1,20}\Z")


def _text(word: bytes) -> str:
    return word.decode("utf-8", "surrogateescape")


def _str(fields: dict[str, Value], key: str) -> str:
    value = fields.get(key)
    if not isinstance(value, str):
        raise FormatError(f"the field {key} is missing or no word")
    return value


def _int(fields: dict[str, Value], key: str) -> int:
    value = _str(fields, key)
    if _NUMBER.match(value) is None:
        raise FormatError(f"the field {key} is no number: {value[:40]!r}")
    return int(value)


def _optional(fields: dict[str, Value], key: str) -> str | None:
    return _str(fields, key) if fields.get(key) is not None else None


def _words(fields: dict[str, Value], key: str) -> tuple[str, ...]:
    value = fields.get(key)
    if not isinstance(value, list) or not all(isinstance(word, str) for word in value):
        raise FormatError(f"the field {key} is no list of words")
    return tuple(word for word in value if isinstance(word, str))


def _annotations(fields: dict[str, Value]) -> Annotations:
    """(entry, userid, value), sorted; an entry's MODSEQ is left to HIGHESTMODSEQ."""
    value = fields.get("ANNOTATIONS", [])
    if not isinstance(value, list):
        raise FormatError("the field ANNOTATIONS is no list")
    found = []
    for item in value:
        if not isinstance(item, dict):
            raise FormatError("an annotation is no key-value list")
        found.append(
            (
                _str(item, "ENTRY"),
                _optional(item, "USERID") or "",
                _optional(item, "VALUE") or "",
            )
        )
    return tuple(sorted(found))


@dataclass(frozen=True)
class Mailbox:
    """A mailbox's header. None stands for what the server's version does not tell."""

    name: str
    uniqueid: str
    mboxtype: str
    sync_crc: int
    sync_crc_annot: int | None
    last_uid: int
    highestmodseq: int
    uidvalidity: int
    partition: str
    acl: str
    options: str
    pop3_show_after: int
    quota_root: str | None
    annotations: Annotations
    user_flags: frozenset[str] | None
    # What changes of the name and of the rights are counted by.
    foldermodseq: int | None = None

    @classmethod
    def of(cls, fields: dict[str, Value]) -> Mailbox:
        """From the fields of a MAILBOX answer; raises FormatError."""
        return cls(
            name=_str(fields, "MBOXNAME"),
            uniqueid=_optional(fields, "UNIQUEID") or "",
            mboxtype=_optional(fields, "MBOXTYPE") or "",
            sync_crc=_int(fields, "SYNC_CRC"),
            sync_crc_annot=_int(fields, "SYNC_CRC_ANNOT") if "SYNC_CRC_ANNOT" in fields else None,
            last_uid=_int(fields, "LAST_UID"),
            highestmodseq=_int(fields, "HIGHESTMODSEQ"),
            uidvalidity=_int(fields, "UIDVALIDITY"),
            partition=_optional(fields, "PARTITION") or "",
            acl=_optional(fields, "ACL") or "",
            options=_optional(fields, "OPTIONS") or "",
            pop3_show_after=_int(fields, "POP3_SHOW_AFTER"),
            quota_root=_optional(fields, "QUOTAROOT"),
            annotations=_annotations(fields),
            user_flags=(
                frozenset(_words(fields, "USERFLAGS")) - {""} if "USERFLAGS" in fields else None
            ),
            foldermodseq=_int(fields, "FOLDERMODSEQ") if "FOLDERMODSEQ" in fields else None,
        )

    def modseqs(self) -> tuple[int, int]:
        """Which of two states of one history is the later one."""
        return self.highestmodseq, self.foldermodseq or 0

    @property
    def is_intermediate(self) -> bool:
        """Whether this is only a name with mailboxes below it, which nobody can open."""
        return "i" in self.mboxtype

    @property
    def crc_tells(self) -> bool:
        """Whether equal CRCs mean anything: Cyrus takes 0 for equal to all, and an empty mailbox
        has 0 as well."""
        return self.last_uid == 0 or self.sync_crc != 0

    def acl_rights(self) -> dict[str, str]:
        parts = self.acl.split("\t")
        return {who: "".join(sorted(rights)) for who, rights in zip(parts[::2], parts[1::2])}


@dataclass(frozen=True)
class Message:
    """A record of a mailbox's index. `size` is in bytes, times are seconds of the epoch."""

    uid: int
    modseq: int
    last_updated: int
    flags: frozenset[str]
    internaldate: int
    size: int
    guid: str
    annotations: Annotations

    @classmethod
    def parse(cls, record: bytes) -> Message:
        plain = _PLAIN_RECORD.fullmatch(record)
        if plain is None:
            return cls.parse_any(record)
        uid, modseq, last_updated, flags, internaldate, size, guid, annotations = plain.groups()
        found = _PLAIN_ANNOTATION.findall(annotations or b"")
        return cls(
            uid=int(uid),
            modseq=int(modseq),
            last_updated=int(last_updated),
            flags=frozenset(_text(flags).lower().split(" ")) - {""},
            internaldate=int(internaldate),
            size=int(size),
            guid=guid.decode(),
            annotations=tuple(sorted((_text(entry), "", value.decode()) for entry, value in found)),
        )

    @classmethod
    def parse_any(cls, record: bytes) -> Message:
        """Also one with literals, strings and lists in it."""
        value = _dlist.parse(record)
        if len(value) != 1 or not isinstance(value[0], dict):
            raise FormatError("a record is no key-value list")
        fields = value[0]
        return cls(
            uid=_int(fields, "UID"),
            modseq=_int(fields, "MODSEQ"),
            last_updated=_int(fields, "LAST_UPDATED"),
            flags=frozenset(flag.lower() for flag in _words(fields, "FLAGS")),
            internaldate=_int(fields, "INTERNALDATE"),
            size=_int(fields, "SIZE"),
            guid=_str(fields, "GUID"),
            annotations=_annotations(fields),
        )

    @property
    def expunged(self) -> bool:
        return "\\expunged" in self.flags


@dataclass(frozen=True)
class Quota:
    """A quota root and its limits by resource name, as the server sends them."""

    root: str
    limits: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, fields: dict[str, Value]) -> Quota:
        limits = {key: str(value) for key, value in fields.items() if key not in ("ROOT", "MODSEQ")}
        # LIMIT is the storage limit under its oldest name.
        storage = limits.pop("LIMIT", None)
        if storage is not None:
            limits.setdefault("STORAGE", storage)
        return cls(_str(fields, "ROOT"), tuple(sorted(limits.items())))


@dataclass(frozen=True)
class Seen:
    """What a user has seen of somebody else's mailbox."""

    uniqueid: str
    last_read: int
    last_uid: int
    last_change: int
    seen_uids: str

    @classmethod
    def of(cls, fields: dict[str, Value]) -> Seen:
        return cls(
            _str(fields, "UNIQUEID"),
            _int(fields, "LASTREAD"),
            _int(fields, "LASTUID"),
            _int(fields, "LASTCHANGE"),
            _optional(fields, "SEENUIDS") or "",
        )


@dataclass(frozen=True)
class Script:
    """A Sieve script, by the hash of its text; None where there is no text."""

    name: str
    guid: str | None
    active: bool

    @classmethod
    def of(cls, fields: dict[str, Value]) -> Script:
        """Cyrus tells of a script twice: of its text as NAME.script, and of what it was compiled
        to as NAME.bc, which has no hash and is what can be active."""
        name, dot, kind = _str(fields, "FILENAME").rpartition(".")
        compiled = dot != "" and kind == "bc"
        return cls(
            name if compiled or kind == "script" else _str(fields, "FILENAME"),
            None if compiled else _str(fields, "GUID"),
            _int(fields, "ISACTIVE") == 1,
        )

    def joined(self, other: Script | None) -> Script:
        """With what was told of the same script before."""
        if other is None:
            return self
        return Script(self.name, self.guid or other.guid, self.active or other.active)


@dataclass
class State:
    """What one server answered about a user, or about some shared mailboxes."""

    mailboxes: dict[str, Mailbox] = field(default_factory=dict)
    seen: dict[str, Seen] = field(default_factory=dict)
    subscriptions: frozenset[str] = frozenset()
    scripts: dict[str, Script] = field(default_factory=dict)
    quotas: dict[str, Quota] = field(default_factory=dict)
    annotations: Annotations = ()

    @classmethod
    def parse(cls, lines: Iterable[bytes]) -> State:
        """From the lines of any GET answers; raises FormatError."""
        state = cls()
        annotations: list[tuple[str, str, str]] = []
        for line in lines:
            parsed = _dlist.parse(line)
            if len(parsed) != 2 or not isinstance(parsed[0], str):
                raise FormatError(f"an answer is not a name and a value: {line[:60]!r}")
            kind, value = parsed[0], parsed[1]
            if kind == "LSUB":
                state.subscriptions = frozenset(_words({"LSUB": value}, "LSUB"))
                continue
            if not isinstance(value, dict):
                raise FormatError(f"the answer {kind[:20]} is no key-value list")
            if kind == "MAILBOX":
                mailbox = Mailbox.of(value)
                state.mailboxes[mailbox.name] = mailbox
            elif kind == "SEEN":
                seen = Seen.of(value)
                state.seen[seen.uniqueid] = seen
            elif kind == "SIEVE":
                script = Script.of(value)
                state.scripts[script.name] = script.joined(state.scripts.get(script.name))
            elif kind == "QUOTA":
                quota = Quota.of(value)
                state.quotas[quota.root] = quota
            elif kind == "ANNOTATION":
                annotations += _annotations({"ANNOTATIONS": [value]})
            else:
                raise FormatError(f"the answer {kind[:20]!r} is not known")
        state.annotations = tuple(sorted(annotations))
        return state
