# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The archive of a copy-back: what one side alone has, on disk before anything is done to either.

A maildir for each mailbox, and `index.json`, one line of JSON for each message or script, written
behind the file that it tells of. So what is in the index is whole, and nothing is written twice.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from . import _dlist, _files, _plan
from ._errors import ReplicationError
from ._model import Mailbox, Message
from ._plan import NEW, OLD, Plan, Step
from ._session import Download, Session

INDEX = "index.json"

_SCRIPTS = "scripts"
_SPARE = 64 << 20
# What a file takes beside its bytes.
_BLOCK = 4096
# As maildir tells flags; the index has all of them.
_LETTERS = {"\\draft": "D", "\\flagged": "F", "\\answered": "R", "\\seen": "S", "\\deleted": "T"}


@dataclass(frozen=True)
class _Wanted:
    """A message to keep, and the mailbox that it is in on its side."""

    side: str
    owner: str | None
    mailbox: str
    uniqueid: str
    partition: str
    message: Message
    why: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.side, self.uniqueid, str(self.message.uid), self.message.guid


@dataclass(frozen=True)
class _Script:
    """A Sieve script to keep."""

    side: str
    owner: str | None
    name: str
    guid: str
    why: str

    @property
    def key(self) -> tuple[str, ...]:
        return self.side, self.owner or "", self.name, self.guid


def _deletions(steps: Iterable[Step]) -> int:
    return sum(isinstance(step, _plan.DeleteMailbox) for step in steps)


@dataclass
class Kept:
    """What came into the archive now, and in sentences what could not be read."""

    messages: int = 0
    bytes: int = 0
    scripts: int = 0
    unknown: list[str] = field(default_factory=list)


class Archive:
    """The archive in a folder, made where it is missing."""

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._keys: set[tuple[str, ...]] = set()
        self._paths: dict[str, str] = {}
        self._folders: dict[tuple[str, str], str] = {}
        for entry in self._read():
            # A power cut may have left the line and not the file's name.
            if entry["file"] is None or os.path.exists(os.path.join(folder, entry["file"])):
                self._note(entry)

    def path(self, guid: str) -> str:
        """Where the bytes with this SHA-1 lie."""
        try:
            return self._paths[guid]
        except KeyError:
            raise ReplicationError(f"{guid} is not in {self.folder}: run it again") from None

    def lacks(self, plans: Iterable[Plan]) -> bool:
        """Whether something of these is not in it yet, as far as that is known without reading."""
        return any(not self._has(wanted) for plan in plans for wanted in _all_of(plan))

    def _has(self, wanted: _Wanted | _Script) -> bool:
        """A text that was gone on one host may be there on another."""
        if wanted.key not in self._keys:
            return False
        is_text = isinstance(wanted, _Script) or not wanted.message.expunged
        return not is_text or self._guid_of(wanted) in self._paths

    @staticmethod
    def _guid_of(wanted: _Wanted | _Script) -> str:
        return wanted.guid if isinstance(wanted, _Script) else wanted.message.guid

    def covered(self, plan: Plan) -> list[Step]:
        """The plan's steps, without what they would bring or take away and is not in it: one
        message that can't be read holds up no other."""
        taken = {wanted.key for wanted in _all_of(plan) if wanted.side == NEW} - self._keys
        boxes = {key[1] for key in taken}
        covered = (self._covered(step, taken, boxes) for step in plan.steps)
        steps = [step for step in covered if step is not None]
        if _deletions(steps) == _deletions(plan.steps):
            return steps
        return [step for step in steps if not _plan.ends_user(step)]

    def _covered(self, step: Step, taken: set[tuple[str, ...]], boxes: set[str]) -> Step | None:
        """`taken` is what is not in it of what the plan takes away, `boxes` the mailboxes of it."""
        if isinstance(step, (_plan.AddMessages, _plan.AddMailbox)):
            here = tuple(message for message in step.messages if message.guid in self._paths)
            is_left = here or isinstance(step, _plan.AddMailbox)
            return replace(step, messages=here) if is_left else None
        if isinstance(step, _plan.DeleteMailbox):
            return None if step.uniqueid in boxes else step
        if isinstance(step, _plan.Expunge):
            key = (NEW, step.uniqueid, str(step.uid), step.guid)
            return None if key in taken else step
        if isinstance(step, (_plan.PutScript, _plan.RemoveScript)):
            replaced = any(key[:3] == (NEW, step.owner or "", step.name) for key in taken)
            unread = isinstance(step, _plan.PutScript) and step.guid not in self._paths
            return None if replaced or unread else step
        return step

    def keep(self, plans: Iterable[Plan], sides: Mapping[str, Session]) -> Kept:
        """All that the plans want kept, durable when this returns."""
        kept = Kept()
        with self._making():
            os.makedirs(self.folder, mode=0o700, exist_ok=True)
            self._mend()
            handle = os.open(self._index, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            with os.fdopen(handle, "w", encoding="utf-8") as index:
                for plan in plans:
                    for entry in self._entries(plan, sides, kept):
                        # A file is durable before the line that tells of it.
                        index.write(json.dumps(entry, sort_keys=True) + "\n")
                        self._note(entry)
                index.flush()
                os.fsync(index.fileno())
            self._sync()
        return kept

    # -- what there is

    @property
    def _index(self) -> str:
        return os.path.join(self.folder, INDEX)

    def _read(self) -> Iterator[dict[str, Any]]:
        for line in _files.read(self._index).splitlines(keepends=True):
            # The last line may be what a power cut has left of it.
            if line.endswith("\n"):
                with contextlib.suppress(ValueError):
                    yield json.loads(line)

    def _mend(self) -> None:
        text = _files.read(self._index)
        if text and not text.endswith("\n"):
            _files.write(self._index, text[: text.rfind("\n") + 1], 0o600)

    def _note(self, entry: Mapping[str, Any]) -> None:
        if "uid" in entry:
            key = (entry["side"], entry["uniqueid"], str(entry["uid"]), entry["guid"])
            folder = entry["folder"]
            self._folders[entry["side"], entry["uniqueid"]] = folder
        else:
            key = (entry["side"], entry["owner"] or "", entry["name"], entry["guid"])
        self._keys.add(key)
        if entry["file"] is not None:
            self._paths[entry["guid"]] = os.path.join(self.folder, entry["file"])

    # -- what is added

    def _entries(
        self, plan: Plan, sides: Mapping[str, Session], kept: Kept
    ) -> Iterator[dict[str, Any]]:
        for wanted in (*_all_of(plan), *_of_deleted(plan, sides[OLD], kept)):
            if self._has(wanted):
                continue
            if isinstance(wanted, _Script):
                entry = self._script(wanted, sides[wanted.side], kept)
            else:
                entry = self._message(wanted, sides[wanted.side], kept)
            if entry is not None:
                yield entry

    def _message(self, wanted: _Wanted, session: Session, kept: Kept) -> dict[str, Any] | None:
        message = wanted.message
        box = {
            "MBOXNAME": wanted.mailbox,
            "PARTITION": wanted.partition,
            "UNIQUEID": wanted.uniqueid,
        }
        told = session.download(box, message.uid, message.guid)
        file: str | None = None
        folder = self._folder(wanted)
        if told.refusal is None:
            file = self._store(told, wanted, folder)
            if file is None:
                told = Download("its text is not what the index says", 0, iter(()))
        if file is None and not message.expunged:
            where = f"{wanted.mailbox} UID {message.uid} on {session.endpoint.name}"
            kept.unknown.append(f"{where} can't be read: {told.refusal}")
            return None
        kept.messages += 1
        kept.bytes += told.size
        return {
            "side": wanted.side,
            "owner": wanted.owner,
            "mailbox": wanted.mailbox,
            "uniqueid": wanted.uniqueid,
            "folder": folder,
            "uid": message.uid,
            "guid": message.guid,
            "internaldate": message.internaldate,
            "flags": sorted(message.flags),
            "annotations": message.annotations,
            "size": message.size,
            "file": file,
            "why": wanted.why,
        }

    def _folder(self, wanted: _Wanted) -> str:
        # A mailbox's name may be longer than a file's.
        key = wanted.side, wanted.uniqueid
        if key not in self._folders:
            self._folders[key] = f"{len(self._folders) + 1:05}"
        return self._folders[key]

    def _store(self, told: Download, wanted: _Wanted, folder: str) -> str | None:
        """The message's file in its maildir; None where it is not what the index says it is."""
        self._refuse_without_room(told.size)
        message = wanted.message
        letters = "".join(sorted(_LETTERS[flag] for flag in message.flags if flag in _LETTERS))
        name = f"{message.internaldate}.U{message.uid}G{message.guid}"
        for part in ("tmp", "new", "cur"):
            os.makedirs(os.path.join(self.folder, folder, part), mode=0o700, exist_ok=True)
        file = os.path.join(folder, "cur", f"{name}:2,{letters}")
        digest = self._written(os.path.join(self.folder, folder, "tmp", name), told.pieces)
        if digest != message.guid:
            os.unlink(os.path.join(self.folder, folder, "tmp", name))
            return None
        os.rename(os.path.join(self.folder, folder, "tmp", name), os.path.join(self.folder, file))
        return file

    def _script(self, wanted: _Script, session: Session, kept: Kept) -> dict[str, Any] | None:
        what = f"the script {wanted.name} of {wanted.owner} on {session.endpoint.name}"
        names = {"USERID": wanted.owner, "FILENAME": f"{wanted.name}.script"}
        request = "FETCH_SIEVE " + _dlist.serialise({**names}).decode("utf-8", "surrogateescape")
        answer = next(session.ask([request]))
        text = _content(answer.lines)
        if text is None or hashlib.sha1(text, usedforsecurity=False).hexdigest() != wanted.guid:
            kept.unknown.append(f"{what} can't be read: {answer.refusal or 'it has changed'}")
            return None
        os.makedirs(os.path.join(self.folder, _SCRIPTS), mode=0o700, exist_ok=True)
        file = os.path.join(_SCRIPTS, wanted.guid)
        self._written(os.path.join(self.folder, file), [text])
        kept.scripts += 1
        return {
            "side": wanted.side,
            "owner": wanted.owner,
            "name": wanted.name,
            "guid": wanted.guid,
            "file": file,
            "why": wanted.why,
        }

    def _written(self, path: str, pieces: Iterable[bytes]) -> str:
        """The SHA-1 of what was written."""
        digest = hashlib.sha1(usedforsecurity=False)
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "wb") as stream:
            for piece in pieces:
                digest.update(piece)
                stream.write(piece)
            stream.flush()
            os.fsync(stream.fileno())
        return digest.hexdigest()

    def _sync(self) -> None:
        for directory, _folders, _names_in_it in os.walk(self.folder):
            _files.sync_directory(directory)
        _files.sync_directory(os.path.dirname(self.folder))

    def _refuse_without_room(self, size: int) -> None:
        told = os.statvfs(self.folder)
        if told.f_bavail * told.f_frsize < size + _BLOCK + _SPARE:
            raise ReplicationError(
                f"the file system of {self.folder} has no room for the archive: make room and run "
                "it again"
            )

    @contextlib.contextmanager
    def _making(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise ReplicationError(
                f"the archive {self.folder} can't be written ({error.strerror}): make room or "
                "restore its folder"
            ) from error


def _all_of(plan: Plan) -> Iterator[_Wanted | _Script]:
    """What a plan wants kept and names: also whatever its steps put in."""
    for save in plan.saves:
        if isinstance(save, _plan.Save):
            where = (save.side, save.owner, save.mailbox, save.uniqueid, save.partition)
            yield _Wanted(*where, save.message, save.why)
        elif isinstance(save, _plan.SaveScript):
            yield _Script(save.side, save.owner, save.name, save.guid, save.why)
    for step in plan.steps:
        if isinstance(step, (_plan.AddMessages, _plan.AddMailbox)):
            source = step.source if isinstance(step, _plan.AddMessages) else step.head
            where = (OLD, step.owner, source.name, source.uniqueid, source.partition)
            for message in step.messages:
                yield _Wanted(*where, message, "it is copied back")
        elif isinstance(step, _plan.PutScript):
            yield _Script(OLD, step.owner, step.name, step.guid, "it is copied back")


def _of_deleted(plan: Plan, session: Session, kept: Kept) -> Iterator[_Wanted]:
    """The messages of whole mailboxes that were deleted on the old side."""
    for save in plan.saves:
        if not isinstance(save, _plan.SaveMailbox):
            continue
        (told,) = session.full_mailboxes([save.mailbox])
        records = list(told.records)
        if told.refusal is not None:
            where = f"{save.mailbox} on {session.endpoint.name}"
            kept.unknown.append(f"{where} can't be read: {told.refusal}")
            continue
        head = Mailbox.of(told.head)
        for message in map(Message.parse, records):
            box = (OLD, save.owner, save.mailbox, save.uniqueid, head.partition)
            yield _Wanted(*box, message, save.why)


def _content(lines: Iterable[bytes]) -> bytes | None:
    for line in lines:
        kind, fields = _dlist.parse(line)
        if kind == "SIEVE" and isinstance(fields, dict) and isinstance(fields["CONTENT"], str):
            return fields["CONTENT"].encode("utf-8", "surrogateescape")
    return None
