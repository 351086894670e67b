# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Doubt: something happened after which only a full comparison shows that the copies are equal.

A Cyrus that did not end in order may have stored a change and not logged it, and a write of a sync
log that failed has lost an event. Neither shows in any log of a channel. So it is noted here, and
stands until parity has compared everything after it. What concerns the whole host is root's; what
a replicator finds out about its channel is in the channel's folder, which is Cyrus's own.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from dataclasses import asdict, dataclass

from . import _files, _role
from ._errors import ReplicationError
from ._state import timestamp
from ._store import channel_name

HOST = f"{_role.STATE_DIR}/doubt.json"
# There from Cyrus's start to its end in order. Empty, as that can be made on a full disk as well.
RUNNING = f"{_role.STATE_DIR}/running"
CHANNELS = f"{_role.STATE_DIR}/channels"

_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Doubt:
    """Why parity is unknown, one sentence, and since when (ISO 8601, UTC)."""

    since: str
    reason: str


def read(channel: str | None = None) -> Doubt | None:
    """The newest doubt of this host, or of it and one of its channels; None where there is none.

    A full comparison that began later than `since` ends it.
    """
    # To have got all from the master does not show that all was logged for those behind.
    own = _own() if channel is None or not _relays() else _load(HOST)
    doubts = [own, None if channel is None else _load(_path(channel))]
    found = [doubt for doubt in doubts if doubt is not None]
    return max(found, key=lambda doubt: doubt.since, default=None)


def _own() -> Doubt | None:
    """This host's doubt, unless it was shown since to have all that its master had."""
    doubt = _load(HOST)
    return None if doubt is None or _shown() > doubt.since else doubt


def _relays() -> bool:
    """Whether a channel of this host is one of a replica that feeds others."""
    record = _role.read()
    return record is not None and record.role == "replica"


def _shown() -> str:
    """When the last comparison of this host as a replica began that found all equal, or nothing;
    it counts in any role that the host has since."""
    record = _role.read()
    if record is None:
        return ""
    try:
        path = f"{_role.PARITY_DIR}/{channel_name(record.host)}.json"
        noted = json.loads(_files.read(path) or "{}")
        return str(noted["started"]) if noted["in_sync"] is True else ""
    except (ValueError, TypeError, KeyError):
        return ""


def settle() -> None:
    """Remove a doubt that is none any more, before what has shown that is forgotten."""
    if os.path.exists(HOST) and _own() is None:
        os.unlink(HOST)


def raise_(reason: str, now: str) -> None:
    """Note a doubt of the whole host, as root; `now` is ISO 8601 in UTC. Durable on return."""
    _save(HOST, 0o644, Doubt(now, reason))


def note(channel: str, reason: str, now: str) -> None:
    """Note a doubt of one channel, as Cyrus; `now` is ISO 8601 in UTC. Durable on return."""
    _save(_path(channel), 0o640, Doubt(now, reason))


def started(now: str) -> None:
    """Cyrus is about to start: a mark of its last run that is still there is a doubt."""
    with contextlib.suppress(FileNotFoundError):
        before = timestamp(os.stat(RUNNING).st_mtime)
        raise_(
            f"Cyrus ran since {before} and was not stopped in order, so a change may not be "
            "logged: compare all with parity",
            now,
        )
        os.unlink(RUNNING)
    mark_running()


def mark_running() -> bool:
    """Mark that Cyrus runs; whether the mark is new."""
    try:
        os.close(os.open(RUNNING, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644))
    except FileExistsError:
        return False
    except OSError as error:
        raise _failed(RUNNING, error) from error
    _files.sync_directory(_role.STATE_DIR)
    return True


def ended(result: str, now: str) -> None:
    """Cyrus has ended with systemd's SERVICE_RESULT: anything but `success` is a doubt."""
    if result != "success":
        raise_(
            f"Cyrus ended with the result {result or 'unknown'}, so a change may not be logged: "
            "compare all with parity",
            now,
        )
    with contextlib.suppress(FileNotFoundError):
        os.unlink(RUNNING)
    _files.sync_directory(_role.STATE_DIR)


def _path(channel: str) -> str:
    return os.path.join(CHANNELS, channel, "doubt.json")


def _failed(path: str, error: OSError) -> ReplicationError:
    return ReplicationError(f"{path} can't be written ({error.strerror}): make room or restore it")


def _save(path: str, mode: int, doubt: Doubt) -> None:
    try:
        _files.write(path, json.dumps(asdict(doubt), sort_keys=True) + "\n", mode)
    except OSError as error:
        raise _failed(path, error) from error


def _load(path: str) -> Doubt | None:
    try:
        text, changed = _files.read(path), os.stat(path).st_mtime
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ReplicationError(f"{path} can't be read: {error.strerror}") from error
    try:
        loaded = json.loads(text)
        since, reason = loaded["since"], loaded["reason"]
        if not isinstance(reason, str) or not _TIME.fullmatch(since):
            raise ValueError("it names no time or reason")
    except (ValueError, TypeError, KeyError) as error:
        # A note was made, whatever it said.
        return Doubt(timestamp(changed), f"{path} is damaged ({error}): compare all with parity")
    return Doubt(since, reason)
