# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a replicator says of itself: its state as a file, to systemd, and a line in syslog for each
change."""

from __future__ import annotations

import syslog
import time
from dataclasses import replace

from . import _notify, _state
from ._errors import ReplicationError
from ._state import Batch, Heartbeat, State

# What changes all the time is written so often, in seconds.
_SELDOM = 1.0


class Reporter:
    """The state of one channel."""

    def __init__(self, channel: str, replica: str, interval: float) -> None:
        syslog.openlog("cyrus-replicator", syslog.LOG_PID, syslog.LOG_MAIL)
        beat = Heartbeat(interval)
        self._path = _state.path_of(channel)
        self._name = f"channel {channel}"
        self.state = State(channel, replica, "starting", _state.timestamp(), beat)
        try:
            before = _state.load(channel)
        except ReplicationError:
            before = None
        if before is not None:
            self.state = replace(
                self.state,
                replicated=before.replicated,
                heartbeat=replace(before.heartbeat, interval=interval),
            )
        self._written = 0.0
        self._unwritten = False
        self._ping = _notify.watchdog_interval()
        self._pinged = 0.0
        self._save()

    def enter(self, state: str, reason: str | None = None) -> None:
        """Be in a state; only a change is told."""
        if (state, reason) == (self.state.state, self.state.reason):
            return
        since = self.state.since if state == self.state.state else _state.timestamp()
        told = state == self.state.state
        self.state = replace(self.state, state=state, reason=reason, since=since)
        self._save()
        _notify.notify(f"STATUS={state}" + (f": {reason}" if reason else ""))
        if not told:
            self.say(state + (f": {reason}" if reason else ""), failed=state in ("away", "stalled"))

    def say(self, text: str, failed: bool = False) -> None:
        """One line in syslog."""
        level = syslog.LOG_WARNING if failed else syslog.LOG_NOTICE
        syslog.syslog(level, f"{self._name}: {text}".replace("\n", " "))

    def begin(self, events: int) -> None:
        """Events are in hand."""
        self.state = replace(self.state, batch=Batch(events, _state.timestamp()))
        self._save_seldom()

    def finish(self) -> None:
        """All that was in hand has arrived or is kept."""
        self.state = replace(self.state, batch=None, replicated=_state.timestamp())
        self._save_seldom()

    def beat(self, written: float, seen: float | None = None, delay: float | None = None) -> None:
        """A heartbeat has been written, or has been seen on the replica."""
        before = self.state.heartbeat
        beat = replace(before, written=written)
        if seen is not None:
            beat = replace(beat, seen=seen, delay=delay)
        self.state = replace(self.state, heartbeat=beat)
        self._save()

    def alive(self) -> None:
        """To be called at least once in some seconds, whatever is done meanwhile."""
        now = time.monotonic()
        if self._ping is not None and now - self._pinged >= self._ping / 2:
            self._pinged = now
            _notify.notify("WATCHDOG=1")
        if self._written and now - self._written >= _SELDOM and self._stale:
            self._save()

    def _save_seldom(self) -> None:
        self._stale = True
        if time.monotonic() - self._written >= _SELDOM:
            self._save()

    def _save(self) -> None:
        self._stale = False
        self._written = time.monotonic()
        try:
            self.state.save(self._path)
        except OSError as error:
            # A full disk stops the account of it, not the replication.
            if not self._unwritten:
                self.say(f"{self._path} can't be written: {error.strerror}", failed=True)
            self._unwritten = True
        else:
            self._unwritten = False
