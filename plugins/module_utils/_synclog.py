# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A channel's sync log, as a reader: what waits in it, and whether a moment has been passed.

Cyrus appends events to ``log``; the client renames that to ``log-run``, works it off and unlinks
it when all of it is done (imap/sync_log.c, sync_do_reader). So a file that was seen here and has no
name any more is done, and what it held has reached the replica.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import BinaryIO

from . import _names
from ._errors import ReplicationError

# In this order: a log that is renamed between the two looks is then seen at least once.
_FILES = ("log", "log-run")
_BY_USER = frozenset(("USER", "META", "SIEVE", "SUB", "SEEN", "UNUSER"))
_MAX_READ = 64 * 1024 * 1024

# Names are quoted by sync_quote_name (imap/sync_log.c): only a line feed ends an event, and only a
# space ends a word, whatever else Unicode takes for one.
_WORD = re.compile(r'"((?:[^"\\]|\\.)*)"|([^ ]+)')
_ESCAPED = re.compile(r"\\(.)")


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

    def _open(self) -> list[BinaryIO]:
        files: list[BinaryIO] = []
        for name in _FILES:
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
        for path in (self.folder, *(os.path.join(self.folder, name) for name in _FILES)):
            with contextlib.suppress(FileNotFoundError):
                if os.stat(path).st_uid != owner:
                    return path
        return None

    def mark(self) -> Mark:
        """This moment."""
        return Mark(self._open())

    def backlog(self) -> Backlog:
        entries = size = 0
        oldest = None
        seen = set()
        for file in self._open():
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
        for file in self._open():
            with file:
                for line in file.read(_MAX_READ).decode("utf-8", "surrogateescape").split("\n"):
                    _note(line, users, shared)
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


def _note(line: str, users: set[str], shared: set[str]) -> None:
    words = _words(line)
    if len(words) < 2:
        return
    kind, names = words[0], words[1:]
    if kind in _BY_USER:
        users.add(names[0])
        return
    for name in names:
        user = _names.owner(name)
        if user is None:
            shared.add(name)
        else:
            users.add(user)


def _words(line: str) -> list[str]:
    return [plain or _ESCAPED.sub(r"\1", in_quotes) for in_quotes, plain in _WORD.findall(line)]
