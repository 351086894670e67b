# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Watches for events that never came to the log, after which only a full check shows parity."""

from __future__ import annotations

import contextlib
import os
import re
import time
from collections.abc import Iterable

from . import _doubt, _events, _files, _journal, _state
from ._errors import ReplicationError
from ._events import Event
from ._reporter import Reporter

_EVERY = 30.0
_CURSOR = re.compile(r"[!-~]+")


class Watch:
    """Of one channel; how far the journal has been read is kept over restarts."""

    def __init__(self, channel: str, reporter: Reporter) -> None:
        self._channel = channel
        self._reporter = reporter
        self._path = os.path.join(_state.folder(channel), "journal")
        kept = _files.read(self._path).strip()
        # What a power cut has left of it may be no cursor.
        self._cursor = kept if _CURSOR.fullmatch(kept) else None
        self._unreadable = False
        self._next = 0.0

    def look(self) -> None:
        """In the journal, now and then. One that cannot be read is a doubt, told once."""
        if time.monotonic() < self._next:
            return
        self._next = time.monotonic() + _EVERY
        try:
            lost, cursor = _journal.failed_log_writes(self._cursor, self._channel)
        except ReplicationError as error:
            lost, cursor = [f"lost events would not be seen: {error}"], self._cursor
            if self._unreadable:
                return
            self._unreadable = True
        else:
            self._unreadable = False
        for reason in lost:
            self._doubt(reason)
        if cursor != self._cursor:
            self._cursor = cursor
            with contextlib.suppress(OSError):
                # Then the same is found and noted once more.
                _files.overwrite(self._path, cursor or "", 0o640)

    def readable(self, events: Iterable[Event]) -> list[Event]:
        """Without lines that are no events: each stands for one that is lost, and Cyrus's client
        could take a name that is cut off for another one."""
        events = list(events)
        odd = [event for event in events if event.kind == _events.UNKNOWN]
        if odd:
            self._doubt(
                f"the sync log has {len(odd)} lines that are no events, the first is "
                f"{odd[0].line[:80]!r}"
            )
        return [event for event in events if event.kind != _events.UNKNOWN]

    def _doubt(self, reason: str) -> None:
        self._reporter.say(reason, failed=True)
        _doubt.note(self._channel, reason, _state.timestamp())
