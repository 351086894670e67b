# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a channel's replicator says of itself in a file, and whether it is told to pause."""

from __future__ import annotations

import calendar
import contextlib
import json
import os
import time
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from . import _files, _role
from ._errors import ReplicationError

CHANNELS_DIR = f"{_role.STATE_DIR}/channels"
# A clock that was set back by more than this makes old times worthless, in seconds.
_CLOCK_STEP = 5.0
STATES = ("starting", "running", "away", "stalled", "paused", "stopped")


@dataclass(frozen=True)
class Batch:
    """What the replicator has in hand, and since when (ISO 8601)."""

    events: int
    started: str


@dataclass(frozen=True)
class Heartbeat:
    """The mark that travels through the data. Times are seconds since 1970.

    A new one is written only when the one before has been seen: so `written` later than `seen` is
    one that has been on its way since then. `delay` is how many seconds the last one took.
    """

    interval: float
    written: float | None = None
    seen: float | None = None
    delay: float | None = None


@dataclass(frozen=True)
class State:
    """The document state.json; times are ISO 8601 but for the heartbeat's."""

    channel: str
    replica: str
    state: str
    since: str
    heartbeat: Heartbeat
    reason: str | None = None
    replicated: str | None = None
    batch: Batch | None = None
    written: str | None = None

    def save(self, path: str) -> None:
        """Put the document in place, stamped with the time."""
        stamped = replace(self, written=timestamp())
        _files.write(path, json.dumps(asdict(stamped), sort_keys=True) + "\n", 0o640)

    def lag(self, now: float) -> float | None:
        """Seconds that the data path is behind, `now` in seconds since 1970; None if never seen."""
        beat = self.heartbeat
        if beat.written is None or beat.seen is None or beat.seen > now + _CLOCK_STEP:
            return None
        if self.batch is not None:
            # No heartbeat is written while something is in hand.
            return max(now - seconds(self.batch.started), self._path_lag(now, beat) or 0.0)
        return self._path_lag(now, beat)

    @staticmethod
    def _path_lag(now: float, beat: Heartbeat) -> float | None:
        if beat.written is None or beat.seen is None:
            return None
        if beat.written > beat.seen:
            return max(0.0, now - beat.written)
        if now - beat.written <= 2 * beat.interval + 5:
            return beat.delay
        return now - beat.seen


def seconds(stamp: str) -> float:
    """Since 1970, of a time in ISO 8601."""
    return float(calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ")))


def timestamp(seconds: float | None = None) -> str:
    """A time, by default now, as ISO 8601 in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def folder(channel: str) -> str:
    """What the channel keeps over restarts."""
    return os.path.join(CHANNELS_DIR, channel)


def path_of(channel: str) -> str:
    """Where the state is kept."""
    return os.path.join(folder(channel), "state.json")


def load(channel: str) -> State | None:
    """The channel's state, None where no replicator has ever run."""
    path = path_of(channel)
    try:
        text = _files.read(path)
        return parse(text) if text else None
    except (OSError, ValueError, TypeError, KeyError, RecursionError) as error:
        raise ReplicationError(f"{path} can't be read ({error}): restart the channel") from error


def parse(text: str) -> State:
    """A state from its text; a ValueError, TypeError or KeyError where it is none."""
    loaded: Any = json.loads(text)
    if not isinstance(loaded, dict):
        raise ValueError("it holds no object")
    known = {field.name for field in fields(State)}
    values = {key: value for key, value in loaded.items() if key in known}
    beat, batch = values.pop("heartbeat"), values.pop("batch", None)
    if values.get("state") not in STATES:
        raise ValueError(f"it names the state {values.get('state')!r}")
    return State(
        **values,
        heartbeat=Heartbeat(**beat),
        batch=None if batch is None else Batch(**batch),
    )


def paused(channel: str) -> bool:
    """Whether the channel is to take nothing from its log, also after a restart."""
    return os.path.exists(pause_of(channel))


def set_paused(channel: str, wanted: bool) -> None:
    """Durable before this returns."""
    path = pause_of(channel)
    try:
        if wanted:
            _files.write(path, "", 0o640)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
                _files.sync_directory(os.path.dirname(path))
    except OSError as error:
        raise ReplicationError(
            f"{path} can't be changed ({error.strerror}): run setup on this host"
        ) from error


def pause_of(channel: str) -> str:
    """The file that is there as long as the channel is paused."""
    return os.path.join(folder(channel), "paused")
