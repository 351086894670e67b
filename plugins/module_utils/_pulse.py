# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""When a heartbeat is written, and when it is looked for."""

from __future__ import annotations

import time

from . import _fence
from ._ends import Ends
from ._errors import ReplicationError
from ._heartbeat import Beat, Heartbeat, Relayed
from ._points import reach
from ._reporter import Reporter

INTERVAL = 10.0
_LOOK = 1.0


class Pulse:
    """The heartbeat of one channel. `trouble` is why none can be written, which holds up nothing
    else."""

    def __init__(self, ends: Ends, channel: str, reporter: Reporter) -> None:
        self._ends = ends
        self._reporter = reporter
        self._heartbeat: Heartbeat | Relayed = (
            Heartbeat(lambda: ends.imap, channel)
            if ends.sides.first is None
            else Relayed(lambda: ends.master, ends.sides.first)
        )
        self.trouble: str | None = None
        self._unseen: Beat | None = None
        self._next_beat = self._next_look = 0.0

    def beat(self) -> None:
        """One more, where it is time for it and the one before has been seen."""
        if self._unseen is not None or time.monotonic() < self._next_beat:
            return
        self._next_beat = time.monotonic() + INTERVAL
        try:
            if _fence.read() is not None:
                # So that the log gets empty and stays so.
                return
            self._unseen = self._heartbeat.beat()
        except ReplicationError as error:
            self.trouble = f"no heartbeat: {error}"
            self._ends.close()
            return
        self.trouble = None
        if self._unseen is None:
            return
        self._reporter.beat(self._unseen.written)
        reach("beaten")

    def look(self, now: bool) -> None:
        """Whether the last one has arrived; now, or when it is time to look again."""
        beat = self._unseen
        if beat is None or (time.monotonic() < self._next_look and not now):
            return
        self._next_look = time.monotonic() + _LOOK
        if self._heartbeat.seen(self._ends.replica) >= beat.modseq:
            self._unseen = None
            delay = max(0.0, time.time() - beat.written)
            self._reporter.beat(beat.written, beat.written, round(delay, 3))
