# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A copy of what would be left behind: the files of a mailbox, or of all of a user, as they lie.

Meant for what is in quarantine, so nothing has to be whole: files are copied whether Cyrus can open
the mailbox or not, and what it says of each message is noted beside them where it does. The copy
stands in a folder named after what is in it, so one that is there already is not made again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field
from typing import Any

from . import _endpoints, _files, _mbpath, _names, _role
from ._errors import ReplicationError
from ._install import Install
from ._model import Mailbox, Message
from ._session import Session

FOLDER = f"{_role.STATE_DIR}/archive"
INDEX = "index.json"

_MESSAGE = re.compile(r"([1-9][0-9]*)\.")
_PIECE = 1 << 20
# What a file takes beside its bytes, and what is left free for others.
_BLOCK, _SPARE = 4096, 64 << 20


@dataclass(frozen=True)
class Source:
    """A file and its place in the archive. `digest` is the SHA-1 of what is in it, as Cyrus's
    GUIDs are."""

    path: str
    place: str
    size: int
    digest: str


@dataclass
class Kept:
    """One mailbox of an archive. `reason` is why Cyrus told nothing of its messages, if so."""

    mailbox: str
    folder: str
    uniqueid: str | None
    uidvalidity: int | None = None
    reason: str | None = None
    messages: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Archive:
    """Where it is, whether it was there before, and what is in it: messages, bytes of all files,
    and the mailboxes of whose messages Cyrus told nothing."""

    where: str
    present: bool
    count: int
    bytes: int
    unread: dict[str, str]


def keep(mailbox: str | None, user: str | None, check: bool, folder: str = FOLDER) -> Archive:
    """Archive one mailbox by its internal name, or all of a user, as root."""
    install = Install.discover()
    boxes = {
        box.name: box.uniqueid for box in install.mailboxes() if _is_meant(box.name, mailbox, user)
    }
    if not boxes:
        raise ReplicationError(
            f"this host has no mailbox {mailbox}" if mailbox else f"this host has no user {user}"
        )
    with _reading():
        found = list(_sources(install, sorted(boxes), user))
    where = os.path.join(folder, f"{_safe(mailbox or user or '')}-{_digest(found)}")
    present = os.path.exists(os.path.join(where, INDEX))
    if present:
        kept = _noted(where)
    else:
        kept = [_describe(name, number, boxes[name], found) for number, name in _numbered(boxes)]
        if not check:
            _make(where, found, {"mailbox": mailbox, "user": user, "mailboxes": kept})
    unread = {one["mailbox"]: one["reason"] for one in kept if one["reason"] is not None}
    count = sum(len(one["messages"]) for one in kept)
    return Archive(where, present, count, sum(source.size for source in found), unread)


def _is_meant(name: str, mailbox: str | None, user: str | None) -> bool:
    return name == mailbox if mailbox is not None else _names.owner(name) == user


def _safe(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "_", name)[:80]


def _digest(found: list[Source]) -> str:
    told = sorted((source.place, source.digest) for source in found)
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


def _numbered(boxes: dict[str, str | None]) -> Iterator[tuple[int, str]]:
    return enumerate(sorted(boxes), 1)


# -- what is there


def _sources(install: Install, boxes: list[str], user: str | None) -> Iterator[Source]:
    for number, name in enumerate(boxes, 1):
        places = _mbpath.of(install, name)
        for path, place in places.files():
            yield _source(path, os.path.join(_place(number), place))
        if user is not None and _is_inbox(name):
            for path, place in places.files_of_user():
                yield _source(path, place)


def _place(number: int) -> str:
    # A mailbox's name may be longer than a file's.
    return f"mailboxes/{number:05}"


def _is_inbox(name: str) -> bool:
    return not _names.is_deleted(name) and name.rpartition("!")[2].count(".") == 1


def _source(path: str, place: str) -> Source:
    if os.path.islink(path):
        target = os.fsencode(os.readlink(path))
        return Source(
            path, place, len(target), hashlib.sha1(target, usedforsecurity=False).hexdigest()
        )
    digest = hashlib.sha1(usedforsecurity=False)
    with open(path, "rb") as file:
        size = 0
        while piece := file.read(_PIECE):
            digest.update(piece)
            size += len(piece)
    return Source(path, place, size, digest.hexdigest())


@contextlib.contextmanager
def _reading() -> Iterator[None]:
    try:
        yield
    except FileNotFoundError as error:
        raise ReplicationError(
            f"{error.filename} went away while it was read: fence the host"
        ) from None
    except OSError as error:
        raise ReplicationError(f"{error.filename} can't be read: {error.strerror}") from error


# -- what Cyrus says of it


def _describe(name: str, number: int, uniqueid: str | None, found: list[Source]) -> dict[str, Any]:
    kept = Kept(name, _place(number), uniqueid)
    records: dict[int, Message] = {}
    try:
        # Each its own: a damaged mailbox may end the process that opens it.
        with closing(Session(_endpoints.local("this host"))) as session:
            (told,) = session.full_mailboxes([name])
            if told.refusal is None:
                head = Mailbox.of(told.head)
                kept.uniqueid, kept.uidvalidity = head.uniqueid, head.uidvalidity
                records = {one.uid: one for one in map(Message.parse, told.records)}
            kept.reason = told.refusal
    except ReplicationError as error:
        kept.reason = str(error)
    for source in found:
        folder, file = os.path.split(source.place)
        match = _MESSAGE.fullmatch(file)
        if match is not None and os.path.dirname(folder) == kept.folder:
            record = records.get(int(match.group(1)))
            kept.messages.append(
                {
                    "uid": int(match.group(1)),
                    "file": source.place,
                    "size": source.size,
                    "guid": source.digest,
                    "internaldate": record and record.internaldate,
                    "flags": record and sorted(record.flags),
                }
            )
    kept.messages.sort(key=lambda message: int(message["uid"]))
    return asdict(kept)


# -- the copy


def _make(where: str, found: list[Source], index: dict[str, Any]) -> None:
    """All of it or nothing."""
    above, name = os.path.split(where)
    # Without the digest: what a run that was cut off has left is found again.
    partial = os.path.join(above, f".{name.rpartition('-')[0]}.partial")
    try:
        os.makedirs(above, mode=0o700, exist_ok=True)
        shutil.rmtree(partial, ignore_errors=True)
        _refuse_without_room(above, found)
        os.mkdir(partial, 0o700)
        for source in found:
            _copy(source, os.path.join(partial, source.place))
        text = json.dumps(index, indent=1, sort_keys=True) + "\n"
        _files.write(os.path.join(partial, INDEX), text, 0o600)
        for directory, _folders, _names_in_it in os.walk(partial):
            _files.sync_directory(directory)
        os.rename(partial, where)
        _files.sync_directory(above)
    except OSError as error:
        raise ReplicationError(
            f"the archive {where} can't be made ({error.strerror}): make room or restore its folder"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _refuse_without_room(folder: str, found: list[Source]) -> None:
    told = os.statvfs(folder)
    free = told.f_bavail * told.f_frsize
    needed = sum(source.size + _BLOCK for source in found) + _SPARE
    if free < needed:
        raise ReplicationError(
            f"{folder} has {free >> 20} MiB free and the archive needs {(needed >> 20) + 1} MiB: "
            "make room"
        )


def _copy(source: Source, target: str) -> None:
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    if os.path.islink(source.path):
        os.symlink(os.readlink(source.path), target)
        return
    with _reading():
        file = os.fdopen(os.open(source.path, os.O_RDONLY), "rb")
    digest = hashlib.sha1(usedforsecurity=False)
    handle = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with file, os.fdopen(handle, "wb") as copy:
        while piece := file.read(_PIECE):
            digest.update(piece)
            copy.write(piece)
        copy.flush()
        os.fsync(copy.fileno())
        told = os.fstat(file.fileno())
    os.utime(target, ns=(told.st_atime_ns, told.st_mtime_ns))
    if digest.hexdigest() != source.digest:
        raise ReplicationError(f"{source.path} was changed while it was copied: fence the host")


def _noted(where: str) -> list[dict[str, Any]]:
    path = os.path.join(where, INDEX)
    try:
        kept: list[dict[str, Any]] = json.loads(_files.read(path))["mailboxes"]
        return kept
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{path} can't be read ({error}): move its folder away") from error
