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
from dataclasses import asdict, dataclass

from . import _files, _role
from ._errors import ReplicationError
from ._state import timestamp

PATH = f"{_role.STATE_DIR}/fence.json"
BY = ("switchover", "guard", "failover", "reseed", "administrator")


@dataclass(frozen=True)
class Fence:
    """Since when (ISO 8601, UTC), by whom (one of BY), and why."""

    since: str
    by: str
    reason: str


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
        if fence.by not in BY or not all(isinstance(v, str) for v in asdict(fence).values()):
            raise ValueError("it does not say who fenced the host")
    except (ValueError, TypeError) as error:
        return Fence(timestamp(changed), "administrator", f"{PATH} is damaged ({error})")
    return fence


def put(by: str, reason: str) -> Fence:
    """Fence the host from now on; durable on return."""
    fence = Fence(timestamp(), by, reason)
    try:
        _files.write(PATH, json.dumps(asdict(fence), sort_keys=True) + "\n", 0o644)
    except OSError as error:
        raise ReplicationError(
            f"{PATH} can't be written ({error.strerror}): make room or restore it"
        ) from error
    return fence


def remove() -> None:
    """No fence from now on; durable on return."""
    try:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PATH)
            _files.sync_directory(os.path.dirname(PATH))
    except OSError as error:
        raise ReplicationError(f"{PATH} can't be removed: {error.strerror}") from error
