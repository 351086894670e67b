# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Everything that one server has, as values, owner by owner; and the same kept in a file.

Owners come in one order, shared mailboxes first, so that several surveys can be read side by side
without holding more than one owner of each.
"""

from __future__ import annotations

import gzip
import itertools
import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from . import _files, _heartbeat, _names
from ._dlist import FormatError
from ._errors import ReplicationError
from ._model import Annotations, Mailbox, Message, Quota, Script, Seen, State
from ._session import Session, quoted, quoted_list

# So many names go into one request.
_NAMES_PER_REQUEST = 100
_FORMAT = 1
_COMPRESSION = 3


@dataclass
class Box:
    """A mailbox and all its records by UID, those of expunged messages included."""

    head: Mailbox
    messages: dict[int, Message] = field(default_factory=dict)


@dataclass
class Holding:
    """What one owner has; `owner` None stands for shared mailboxes and the server itself.

    `boxes` are the live mailboxes by unique id, `deleted` the names of those that a delayed delete
    has set aside, `ended` the MODSEQs at which it did. `unknown` has a sentence for everything that
    could not be read.
    """

    owner: str | None
    boxes: dict[str, Box] = field(default_factory=dict)
    deleted: dict[str, str] = field(default_factory=dict)
    subscriptions: frozenset[str] = frozenset()
    seen: dict[str, Seen] = field(default_factory=dict)
    scripts: dict[str, Script] = field(default_factory=dict)
    quotas: dict[str, Quota] = field(default_factory=dict)
    annotations: Annotations = ()
    unknown: list[str] = field(default_factory=list)
    ended: dict[str, tuple[int, int]] = field(default_factory=dict)


@dataclass
class Counts:
    """How much there is in a survey."""

    users: int = 0
    mailboxes: int = 0
    messages: int = 0

    def add(self, holding: Holding) -> None:
        self.users += holding.owner is not None
        self.mailboxes += len(holding.boxes)
        self.messages += sum(len(box.messages) for box in holding.boxes.values())


# -- reading a server


def survey(session: Session, names: Iterable[str]) -> Iterator[Holding]:
    """What a server has in the mailboxes it lists; shared mailboxes come first, always. Those in
    which the channels measure their lag are nobody's."""
    by_owner: dict[str | None, set[str]] = {None: set()}
    for name in names:
        if not _heartbeat.is_ours(name):
            by_owner.setdefault(_names.owner(name), set()).add(name)
    for owner in sorted(by_owner, key=_order):
        yield _Reader(session, owner, sorted(by_owner[owner])).read()


def _order(owner: str | None) -> str:
    return owner or ""


class _Reader:
    """Reads one owner."""

    def __init__(self, session: Session, owner: str | None, names: list[str]) -> None:
        self._session = session
        self._names = names
        self._found = Holding(owner)

    def read(self) -> Holding:
        owner = self._found.owner
        heads = self._state(
            "MAILBOXES " + quoted_list(self._names[start : start + _NAMES_PER_REQUEST])
            for start in range(0, len(self._names), _NAMES_PER_REQUEST)
        ).mailboxes
        self._read_boxes(heads)
        if owner is None:
            self._found.annotations = self._state(['ANNOTATION ""']).annotations
        else:
            meta = self._state(["META " + quoted(owner)])
            self._found.subscriptions = meta.subscriptions
            self._found.seen, self._found.scripts = meta.seen, meta.scripts
        roots = {box.head.quota_root for box in self._found.boxes.values()} - {None}
        self._found.quotas = self._state(
            "QUOTA " + quoted(root) for root in sorted(filter(None, roots))
        ).quotas
        return self._found

    def _read_boxes(self, heads: Mapping[str, Mailbox]) -> None:
        """Names without records are told by their heads; the mailboxes of scripts are passed over
        there, so these are opened in any case."""
        closed = {n: head for n, head in heads.items() if n in self._names and _is_closed(head)}
        for head in closed.values():
            self._add(head, {})
        opened = [name for name in self._names if name not in closed]
        for name, full in zip(opened, self._session.full_mailboxes(opened)):
            records = list(full.records)
            if full.refusal is not None:
                self._unknown(f"{name} can't be opened: {full.refusal}")
                continue
            try:
                messages = map(Message.parse, records)
                self._add(Mailbox.of(full.head), {message.uid: message for message in messages})
            except FormatError as error:
                self._unknown(f"{name} is not understood: {error}")

    def _add(self, head: Mailbox, messages: dict[int, Message]) -> None:
        if not head.uniqueid:
            self._unknown(f"{head.name} has no unique id")
        elif _names.is_deleted(head.name):
            self._found.deleted[head.uniqueid] = head.name
            self._found.ended[head.uniqueid] = head.modseqs()
        elif head.uniqueid in self._found.boxes:
            other = self._found.boxes[head.uniqueid].head.name
            self._unknown(f"{other} and {head.name} have the same unique id {head.uniqueid}")
        else:
            self._found.boxes[head.uniqueid] = Box(head, messages)

    def _state(self, requests: Iterable[str]) -> State:
        """What is told of some requests; what is refused or not understood is unknown."""
        lines: list[bytes] = []
        asked = list(requests)
        for request, answer in zip(asked, self._session.ask(asked)):
            if answer.refusal is not None:
                self._unknown(f"{request[:60]} is refused: {answer.refusal}")
            lines += answer.lines
        try:
            return State.parse(lines)
        except FormatError as error:
            self._unknown(f"the answer to {asked[0][:60]} is not understood: {error}")
            return State()

    def _unknown(self, text: str) -> None:
        self._found.unknown.append(f"{self._session.endpoint.name}: {text}")


def _is_closed(head: Mailbox) -> bool:
    """Whether nothing but the head is needed of a mailbox."""
    return head.is_intermediate or _names.is_deleted(head.name)


# -- kept in a file


def write(path: str, header: Mapping[str, Any], holdings: Iterable[Holding]) -> Counts:
    """Keep a survey, durable and as a whole."""
    counts, lines = Counts(), 0
    try:
        with (
            _files.replacing(path, 0o600) as stream,
            gzip.GzipFile(fileobj=stream, mode="wb", compresslevel=_COMPRESSION) as packed,
        ):
            packed.write(_line({"format": _FORMAT, **header}))
            for holding in holdings:
                counts.add(holding)
                lines += 1
                packed.write(_line(_plain(holding)))
            packed.write(_line({"holdings": lines, **asdict(counts)}))
    except OSError as error:
        raise ReplicationError(
            f"{path} can't be written ({error.strerror}): make room for it"
        ) from error
    return counts


def read(path: str) -> tuple[dict[str, Any], Iterator[Holding]]:
    """A survey that was kept; refused before the first holding where it is not complete."""
    try:
        header, count = _check(path)
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{path} can't be read or is damaged: {error}") from error
    return header, _holdings(path, count)


def _check(path: str) -> tuple[dict[str, Any], int]:
    with gzip.open(path) as stream:
        header = json.loads(next(stream, b""))
        if header["format"] != _FORMAT:
            raise ValueError(f"it has the format {header['format']}")
        last, count = b"{}", -1
        for line in stream:
            last, count = line, count + 1
    if json.loads(last)["holdings"] != count:
        raise ValueError("it is not complete")
    return header, count


def _holdings(path: str, count: int) -> Iterator[Holding]:
    try:
        with gzip.open(path) as stream:
            for line in itertools.islice(stream, 1, count + 1):
                yield _holding_of(json.loads(line))
    except (OSError, EOFError, ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{path} is damaged: {error}") from error


def _line(value: Any) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode("ascii") + b"\n"


def _plain(holding: Holding) -> dict[str, Any]:
    return {
        "owner": holding.owner,
        "boxes": [
            {
                "head": _plain_head(box.head),
                "messages": [*map(_plain_message, box.messages.values())],
            }
            for box in holding.boxes.values()
        ],
        "deleted": holding.deleted,
        "ended": holding.ended,
        "subscriptions": sorted(holding.subscriptions),
        "seen": [asdict(seen) for seen in holding.seen.values()],
        "scripts": [asdict(script) for script in holding.scripts.values()],
        "quotas": [asdict(quota) for quota in holding.quotas.values()],
        "annotations": holding.annotations,
        "unknown": holding.unknown,
    }


def _plain_head(head: Mailbox) -> dict[str, Any]:
    flags = None if head.user_flags is None else sorted(head.user_flags)
    return {**asdict(head), "user_flags": flags}


def _plain_message(message: Message) -> list[Any]:
    return [
        *(message.uid, message.modseq, message.last_updated, sorted(message.flags)),
        *(message.internaldate, message.size, message.guid, message.annotations),
    ]


def _holding_of(told: dict[str, Any]) -> Holding:
    boxes = (
        Box(_head_of(box["head"]), {raw[0]: _message_of(raw) for raw in box["messages"]})
        for box in told["boxes"]
    )
    return Holding(
        owner=told["owner"],
        boxes={box.head.uniqueid: box for box in boxes},
        deleted=told["deleted"],
        ended={uniqueid: (one, two) for uniqueid, (one, two) in told.get("ended", {}).items()},
        subscriptions=frozenset(told["subscriptions"]),
        seen={seen["uniqueid"]: Seen(**seen) for seen in told["seen"]},
        scripts={script["name"]: Script(**script) for script in told["scripts"]},
        quotas={
            quota["root"]: Quota(quota["root"], tuple((k, v) for k, v in quota["limits"]))
            for quota in told["quotas"]
        },
        annotations=_annotations_of(told["annotations"]),
        unknown=told["unknown"],
    )


def _head_of(told: dict[str, Any]) -> Mailbox:
    flags = told.pop("user_flags")
    annotations = _annotations_of(told.pop("annotations"))
    return Mailbox(
        **told, annotations=annotations, user_flags=None if flags is None else frozenset(flags)
    )


def _message_of(told: list[Any]) -> Message:
    uid, modseq, last_updated, flags, internaldate, size, guid, annotations = told
    return Message(
        *(uid, modseq, last_updated, frozenset(flags), internaldate, size, guid),
        annotations=_annotations_of(annotations),
    )


def _annotations_of(told: list[list[str]]) -> Annotations:
    return tuple((entry, userid, value) for entry, userid, value in told)


# -- several at once


def side_by_side(*surveys: Iterable[Holding]) -> Iterator[tuple[Holding | None, ...]]:
    """The holdings of each owner that at least one survey has, in the order of the surveys."""
    streams = [iter(survey) for survey in surveys]
    heads = [next(stream, None) for stream in streams]
    while any(heads):
        first = min(_order(head.owner) for head in heads if head is not None)
        mine = [head is not None and _order(head.owner) == first for head in heads]
        yield tuple(head if here else None for head, here in zip(heads, mine))
        heads = [
            next(stream, None) if here else head for stream, head, here in zip(streams, heads, mine)
        ]
