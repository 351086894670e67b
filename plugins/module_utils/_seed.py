# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A new channel begins with everything: each user and shared mailbox is logged to it once.

Rolling replication carries what is logged, and what was there before the channel was is not. The
lines are those that Cyrus writes itself (imap/sync_log.c), so the replicator works them off like
any other event and what waits can be seen.
"""

from __future__ import annotations

import fcntl
import os
import pwd
from collections.abc import Iterable, Iterator

from . import _names
from ._errors import ReplicationError
from ._install import USER, Install

_QUOTED = set('\\"{}')
_SPACED = set(" \t()")
_TRIES = 64


def quote(name: str) -> str:
    """A name as sync_quote_name writes it."""
    escaped = "".join(f"\\{c}" if c in _QUOTED else c for c in name)
    return f'"{escaped}"' if not name or set(name) & (_QUOTED | _SPACED) else name


def lines(mailboxes: Iterable[str]) -> Iterator[str]:
    """One line for each user, one for each shared mailbox."""
    users = set()
    for mailbox in mailboxes:
        user = _names.owner(mailbox)
        if user is None:
            yield f"MAILBOX {quote(mailbox)}\n"
        elif user not in users:
            users.add(user)
            yield f"USER {quote(user)}\n"


def _append(path: str, data: bytes, uid: int, gid: int) -> None:
    for _attempt in range(_TRIES):
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            os.fchown(handle, uid, gid)
            fcntl.lockf(handle, fcntl.LOCK_EX)
            # The replicator may have renamed it before we had the lock.
            if os.path.exists(path) and os.path.samestat(os.fstat(handle), os.stat(path)):
                while data:
                    data = data[os.write(handle, data) :]
                os.fsync(handle)
                return
        finally:
            os.close(handle)
    raise ReplicationError(f"can't lock the sync log {path}: end what holds it")


def seed(install: Install, channels: Iterable[str]) -> None:
    """Log everything that is there to channels that are new."""
    data = "".join(lines(mailbox.name for mailbox in install.mailboxes()))
    if not data:
        return
    user = pwd.getpwnam(USER)
    for channel in channels:
        directory = f"{install.config_directory}/sync"
        for path in (directory, f"{directory}/{channel}"):
            if not os.path.isdir(path):
                os.mkdir(path, 0o755)
                os.chown(path, user.pw_uid, user.pw_gid)
        encoded = data.encode("utf-8", "surrogateescape")
        _append(f"{directory}/{channel}/log", encoded, user.pw_uid, user.pw_gid)
