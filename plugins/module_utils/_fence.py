# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The fence: while its file is there, this host serves no clients and takes no deliveries.

It is temporary, and outlives a restart and a reboot. Replication out of the host goes on.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass
from typing import Any

from . import _files, _role
from ._errors import ReplicationError
from ._state import seconds, timestamp

PATH = f"{_role.STATE_DIR}/fence.json"
BY = ("switchover", "guard", "failover", "reseed", "administrator")


@dataclass(frozen=True)
class Fence:
    """Since when (ISO 8601, UTC), by whom (one of BY), and why; `until` when at the latest, after
    which the guard lets a master serve again."""

    since: str
    by: str
    reason: str
    until: str | None = None

    @property
    def over(self) -> bool:
        """Whether its time is up."""
        return self.until is not None and time.time() >= seconds(self.until)


def read() -> Fence | None:
    """The fence of this host; a damaged one is an administrator's to remove."""
    try:
        with open(PATH, encoding="utf-8", errors="surrogateescape") as stream:
            text, changed = stream.read(), os.fstat(stream.fileno()).st_mtime
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReplicationError(f"{PATH} can't be read: {error.strerror}") from error
    try:
        fence = Fence(**json.loads(text))
        if fence.by not in BY or not all(isinstance(v, str) for v in _told(fence).values()):
            raise ValueError("it does not say who fenced the host")
        if fence.until is not None:
            seconds(fence.until)
    except (ValueError, TypeError) as error:
        return Fence(timestamp(changed), "administrator", f"{PATH} is damaged ({error})")
    return fence


def put(by: str, reason: str, limit: float | None = None) -> Fence:
    """Fence the host from now on, `limit` seconds at most; durable on return."""
    fence = made(by, reason, limit)
    try:
        _files.write(PATH, json.dumps(_told(fence), sort_keys=True) + "\n", 0o644)
    except OSError as error:
        raise ReplicationError(
            f"{PATH} can't be written ({error.strerror}): make room or restore it"
        ) from error
    return fence


def made(by: str, reason: str, limit: float | None = None) -> Fence:
    """A fence as of now."""
    now = time.time()
    return Fence(timestamp(now), by, reason, timestamp(now + limit) if limit else None)


def _told(fence: Fence) -> dict[str, Any]:
    """What is written of it: an older guard knows of no limit."""
    return {key: value for key, value in asdict(fence).items() if value is not None}


def remove() -> None:
    """No fence from now on; durable on return."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PATH)
            _files.sync_directory(os.path.dirname(PATH))
    except OSError as error:
        raise ReplicationError(f"{PATH} can't be removed: {error.strerror}") from error
