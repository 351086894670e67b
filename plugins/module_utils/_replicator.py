# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Rolling replication of one channel, for ever: one failing mailbox stops nothing else.

An event leaves the log when its effect is known: it has reached the replica, or it is kept with
the quarantine. Whatever ends this process in between, the log is worked off again from where it
was taken; replicating what is there already changes nothing.
"""

from __future__ import annotations

import fcntl
import os
import select
import signal
import time
from types import FrameType
from typing import Any

from . import _bundle, _channel, _control, _endpoints, _events, _notify, _role, _state
from ._batch import Batch
from ._client import Client
from ._dlist import FormatError
from ._ends import AwayError, Ends, Sides
from ._errors import ReplicationError
from ._install import Install
from ._points import reach
from ._pulse import INTERVAL, Pulse
from ._quarantine import Quarantine
from ._reception import Order, Reception
from ._reporter import Reporter
from ._room import Room
from ._synclog import Owner
from ._ward import Ward
from ._watch import Watch
from ._wire import WireError

# How often the log is looked at, in seconds: a look is one system call.
_LOOK = 0.05
_MANY = 50
# Waits between tries while the replica is away or can store nothing.
_FIRST_WAIT, _LONGEST_WAIT = 0.25, 1.0
# Retries take one part in so many of the time at most.
_RETRY_REST = 50
_LONGEST_REST = 30.0


class _StopError(Exception):
    """SIGTERM."""


def run(channel: str) -> int:
    """Replicate a channel until SIGTERM; returns the exit status."""
    Replicator(Install.discover(), channel).run()
    return 0


class Replicator:
    """The loop of one channel."""

    def __init__(self, install: Install, channel: str) -> None:
        sides = _sides(channel)
        folder = _state.folder(channel)
        self._channel = channel
        self._interval = _duration(install.setting(f"{channel}_sync_repeat_interval", "1"))
        self._lock = _alone(os.path.join(folder, "lock"))
        self._reporter = Reporter(channel, sides.replica, INTERVAL)
        self._log = Owner(install.config_directory, channel)
        self._quarantine = Quarantine(os.path.join(folder, "quarantine.json"))
        self._ends = Ends(install, channel, sides, self._tick)
        client = Client(
            os.path.join(install.bin_dir, "sync_client"),
            channel,
            os.path.join(_control.RUN_DIR, channel, "batch"),
            self._ends.answer,
            self._tick,
        )
        self._pulse = Pulse(self._ends, channel, self._reporter)
        self._room = Room(self._ends)
        self._ward = Ward(self._ends, self._log, self._quarantine, self._room, self._reporter)
        self._batch = Batch(client, self._ends, self._log.later, self._ward.blame)
        self._watch = Watch(channel, self._reporter)
        self._orders = Reception(channel, self._quarantine, self._reporter)
        self._stopping = False
        self._next_batch = self._next_retry = self._next_try = 0.0
        self._wait = _FIRST_WAIT

    def run(self) -> None:
        """Until SIGTERM."""
        signal.signal(signal.SIGTERM, self._stop)
        _notify.notify("READY=1")
        try:
            while True:
                self._tick()
                self._turn()
                select.select([self._orders], [], [], _LOOK)
        except _StopError:
            _notify.notify("STOPPING=1")
            self._reporter.enter("stopped")
        finally:
            self._orders.close()

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True

    def _tick(self) -> None:
        """Called all the time, also while something takes long."""
        self._reporter.alive()
        self._orders.receive()
        if self._stopping:
            raise _StopError

    def _turn(self) -> None:
        """One turn of the loop; what keeps the channel from replicating is waited for."""
        if self._orders.paused:
            self._reporter.enter("paused", "paused until it is started")
            self._orders.refuse("the channel is paused: start it first")
            return
        if time.monotonic() < self._next_try and not self._orders.waiting:
            return
        try:
            self._work()
        except (AwayError, WireError) as error:
            self._ends.close()
            self._hold_on("away", error)
        except (ReplicationError, FormatError) as error:
            self._hold_on("stalled", error)
        else:
            self._wait = _FIRST_WAIT
            self._next_try = 0.0
            self._reporter.enter("running", self._pulse.trouble)

    def _hold_on(self, state: str, error: Exception) -> None:
        self._reporter.enter(state, str(error))
        self._orders.refuse(str(error))
        # What failed is what the next turn begins with: one that tries nothing is no success.
        self._next_batch = 0.0
        self._next_try = time.monotonic() + self._wait
        self._wait = min(2 * self._wait, _LONGEST_WAIT)

    def _work(self) -> None:
        self._watch.look()
        # While the replica is away nothing is taken from the log.
        self._ends.open()
        self._room.recheck()
        self._carry_out_orders()
        if time.monotonic() >= self._next_batch:
            self._pulse.look(now=self._work_off_log())
        self._retry_due()
        self._pulse.beat()

    def _work_off_log(self) -> bool:
        """Whether there was anything."""
        started = time.monotonic()
        content = self._log.take()
        if content is None:
            return False
        reach("log taken")
        events = _events.without_repeats(_events.parse(content))
        # Few are waited for half as long as by Cyrus's own client; many go together as with it.
        pause = self._interval if len(events) > _MANY else self._interval / 2
        self._next_batch = started + pause
        self._reporter.begin(len(events))
        events = self._watch.readable(events)
        free, kept = _bundle.set_aside(events, self._quarantine, self._mailboxes)
        reach("events parted")
        self._ward.keep(kept)
        self._batch.work_off(free)
        reach("before done")
        self._log.done()
        reach("done")
        self._reporter.finish()
        return True

    def _retry_due(self) -> None:
        """One at a time, and seldom: each try costs a process on both sides."""
        started = time.monotonic()
        due = self._quarantine.due(time.time())
        if due and started >= self._next_retry:
            self._ward.retry(self._batch, due[0])
            rest = _RETRY_REST * (time.monotonic() - started)
            self._next_retry = time.monotonic() + min(rest, _LONGEST_REST)

    def _carry_out_orders(self) -> None:
        for order in self._orders.take():
            self._carry_out(order)

    def _carry_out(self, order: Order) -> None:
        try:
            order.answer(self._tried(order))
        except ReplicationError as error:
            order.answer({"ok": False, "error": f"it cannot be tried now: {error}"})
            raise

    def _tried(self, order: Order) -> dict[str, Any]:
        entry = self._quarantine.covers(order.target)
        if entry is None or entry.target != order.target:
            return {"ok": True, "released": True, "reason": None, "advice": None}
        attempt = self._ward.release if order.release else self._ward.retry
        failed = attempt(self._batch, entry)
        reason, advice = failed or (None, None)
        return {"ok": True, "released": failed is None, "reason": reason, "advice": advice}

    def _mailboxes(self, user: str) -> list[str]:
        return self._ends.live_mailboxes([user])[user]


def _sides(channel: str) -> Sides:
    """Who is at the ends of a channel, of which this host has to be the one that sends."""
    replica, record = _channel.replica_of(channel), _role.known()
    if record.role == "master":
        return Sides(record.host, replica)
    first = _endpoints.read_store().first_channel(record.host, record.master)
    return Sides(record.host, replica, first)


def _alone(path: str) -> int:
    """A lock that is held as long as the process lives."""
    try:
        lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o640)
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ReplicationError("another replicator works on this channel: end it first") from None
    except OSError as error:
        raise ReplicationError(
            f"{path} can't be locked ({error.strerror}): run setup on this host"
        ) from None
    return lock


def _duration(text: str) -> float:
    """Seconds of an option such as 1, 2s or 5m (lib/libconfig.c)."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400}
    number, unit = (text[:-1], units[text[-1]]) if text[-1:] in units else (text, 1)
    try:
        return float(number) * unit
    except ValueError:
        raise ReplicationError(
            f"sync_repeat_interval is {text!r} in imapd.conf: give a number of seconds"
        ) from None
