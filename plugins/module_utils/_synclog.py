# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A channel's sync log: what waits in it, whether a moment has been passed, and its one owner.

Cyrus appends events to ``log``; whoever replicates them, our replicator or Cyrus's own client,
renames that to ``log-run``, works it off and unlinks it when all of it is done (imap/sync_log.c).
So a file that was seen here and has no name any more is done: what it held has reached the replica
or is kept in the quarantine.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pwd
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import BinaryIO

from . import _events, _files
from ._errors import ReplicationError

# In this order: a log that is renamed between the two looks is then seen at least once.
FILES = ("log", "log-run")
_MAX_READ = 64 * 1024 * 1024

# A writer holds the lock for one write and fsync; who waits in the kernel's queue comes first, so
# the pauses are short.
_LOCK_SECONDS = 30.0
_LOCK_PAUSE = 0.002
_RENAMES = 64


@dataclass(frozen=True)
class Backlog:
    """What waits for a channel. `oldest` is in seconds, None where nothing waits."""

    entries: int
    bytes: int
    oldest: float | None


def _open(path: str) -> BinaryIO:
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ReplicationError(f"the sync log {path} cannot be read: {error.strerror}") from None


class Mark:
    """A moment in a channel's log: passed once every event logged before it has been done."""

    def __init__(self, files: Iterable[BinaryIO]) -> None:
        # An open file keeps its inode from being used again for a newer log.
        self._files = list(files)

    def passed(self) -> bool:
        return all(os.fstat(file.fileno()).st_nlink == 0 for file in self._files)

    def close(self) -> None:
        for file in self._files:
            file.close()


class SyncLog:
    """The log of one channel; the channel without a name has its log one folder up."""

    def __init__(self, config_directory: str, channel: str | None) -> None:
        self.folder = os.path.join(config_directory, "sync", channel or "")

    def files(self) -> list[BinaryIO]:
        """What there is of the log, open; what is renamed meanwhile is there at least once."""
        files: list[BinaryIO] = []
        for name in FILES:
            path = os.path.join(self.folder, name)
            with contextlib.suppress(FileNotFoundError):
                files.append(_open(path))
        return files

    def foreign_file(self, user: str) -> str | None:
        """What Cyrus, running as `user`, can't write because somebody else owns it."""
        try:
            owner = pwd.getpwnam(user).pw_uid
        except KeyError:
            return None
        for path in (self.folder, *(os.path.join(self.folder, name) for name in FILES)):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_uid != owner:
                    return path
        return None

    def mark(self) -> Mark:
        """This moment."""
        return Mark(self.files())

    def backlog(self) -> Backlog:
        entries = size = 0
        oldest = None
        seen = set()
        for file in self.files():
            with file:
                status = os.fstat(file.fileno())
                if status.st_ino in seen or not status.st_size:
                    continue
                seen.add(status.st_ino)
                entries += sum(1 for _line in file)
                size += status.st_size
                # A log's first event is not dated; the file's last change is the nearest to it.
                age = max(0.0, time.time() - status.st_mtime)
                oldest = age if oldest is None else max(oldest, age)
        return Backlog(entries, size, oldest)

    def waiting(self) -> Waiting:
        """The users and shared mailboxes that have an event waiting."""
        users: set[str] = set()
        shared: set[str] = set()
        for file in self.files():
            with file:
                for event in _events.parse(file.read(_MAX_READ)):
                    for target in _events.targets(event):
                        user = _events.owner(target)
                        if user is None:
                            shared.add(target.name)
                        else:
                            users.add(user)
        return Waiting(frozenset(users), frozenset(shared))


@dataclass(frozen=True)
class Waiting:
    """Whose events wait."""

    users: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()

    def __or__(self, other: Waiting) -> Waiting:
        return Waiting(self.users | other.users, self.shared | other.shared)

    def __contains__(self, scope: tuple[str | None, str | None]) -> bool:
        """Whether something waits for (user, mailbox)."""
        user, mailbox = scope
        if user is not None:
            return user in self.users
        # What is of nobody in particular, such as a server annotation, is logged without a name.
        return mailbox in self.shared or (mailbox is None and "" in self.shared)


class Owner(SyncLog):
    """The one that takes events out of a channel's log, by the protocol of Cyrus's own reader.

    What was taken stays in ``log-run`` until it is done, so whoever comes after a crash gets it
    again. Every method raises ReplicationError where the log cannot be had.
    """

    def __init__(self, config_directory: str, channel: str | None) -> None:
        super().__init__(config_directory, channel)
        self._log, self._run = (os.path.join(self.folder, name) for name in FILES)
        self._held: BinaryIO | None = None

    def take(self) -> bytes | None:
        """All that waits: what a predecessor left first, else the log; None where nothing does."""
        held = self.hold()
        if held is None:
            return None
        with _clear(self._run):
            return held.read()

    def hold(self) -> BinaryIO | None:
        """What `take` takes, to be read piece by piece until `done`."""
        self._let_go()
        while True:
            with _clear(self._run):
                held = self._open_run()
            if held is None:
                return None
            self._held = held
            with _clear(self._run):
                # Who had the log open before it was renamed may still be appending to it. Whoever
                # gets the lock later sees that the name is gone and writes to the new log.
                _lock(held, self._run)
                fcntl.lockf(held, fcntl.LOCK_UN)
                if os.fstat(held.fileno()).st_size:
                    return held
            self.done()

    def done(self) -> None:
        """What was taken has been replicated, or is kept elsewhere."""
        with _clear(self._run):
            if self._held is None or not _is_at(self._held, self._run):
                raise ReplicationError(
                    f"{self._run} was taken away by another process: "
                    "stop whatever else replicates this channel"
                )
            os.unlink(self._run)
            _files.sync_directory(self.folder)
        self._let_go()

    def later(self) -> frozenset[_events.Target]:
        """What has been logged since the log was taken."""
        with (
            _clear(self._log),
            contextlib.suppress(FileNotFoundError),
            open(self._log, "rb") as file,
        ):
            events = _events.parse(file.read(_MAX_READ))
            return frozenset(target for event in events for target in _events.targets(event))
        return frozenset()

    def append(self, lines: Iterable[str]) -> None:
        """Log all of the events (lines without a line feed) or none, as Cyrus's writers do."""
        data = "".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape")
        if not data:
            return
        for _attempt in range(_RENAMES):
            with _clear(self._log), self._open_log() as file:
                _lock(file, self._log)
                # It may have been renamed before we had the lock.
                if _is_at(file, self._log):
                    _add(file.fileno(), data)
                    return
        raise ReplicationError(f"{self._log} is renamed again and again: stop what does that")

    def _open_run(self) -> BinaryIO | None:
        with contextlib.suppress(FileNotFoundError):
            return open(self._run, "r+b")
        try:
            os.rename(self._log, self._run)
        except FileNotFoundError:
            return None
        return open(self._run, "r+b")

    def _open_log(self) -> BinaryIO:
        folder = os.stat(self.folder)
        file = os.fdopen(os.open(self._log, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o640), "rb")
        if os.geteuid() == 0:
            # Cyrus has to be able to write what root has made.
            os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
        return file

    def _let_go(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None


@contextlib.contextmanager
def _clear(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ReplicationError(
            f"the sync log {path} cannot be used: {error.strerror}: "
            "check its folder, its owner and the disk"
        ) from None


def _add(handle: int, data: bytes) -> None:
    size = os.fstat(handle).st_size
    if size and os.pread(handle, 1, size - 1) != b"\n":
        # Behind a line whose writer has failed; readers pass over empty lines.
        data = b"\n" + data
    try:
        while data:
            data = data[os.write(handle, data) :]
        os.fsync(handle)
    except OSError:
        os.ftruncate(handle, size)
        raise


def _is_at(file: BinaryIO, path: str) -> bool:
    with contextlib.suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), os.stat(path))
    return False


def _lock(file: BinaryIO, path: str) -> None:
    """Cyrus's lock_blocking (lib/lock_fcntl.c), with an end to the wait."""
    end = time.monotonic() + _LOCK_SECONDS
    while True:
        try:
            fcntl.lockf(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > end:
                raise ReplicationError(
                    f"{path} is locked for more than {_LOCK_SECONDS:.0f} s: end what holds it"
                ) from None
        else:
            return
        time.sleep(_LOCK_PAUSE)
