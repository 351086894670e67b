# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Processes that have to end, without breaking off what they are about to answer."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Collection

from . import _command, _proc
from ._errors import ReplicationError
from ._proc import Process

# Numbers of pselect6 and write, by which a process waits for its client.
_WAITS = {"x86_64": ("270", "1"), "aarch64": ("72", "64")}
_POLL_SECONDS = 0.02


class Ending:
    """Processes that have to end. Cyrus looks for a signal only between commands and where it
    waits for its client, so what is under way is finished and answered; a second one would kill
    it on the spot."""

    def __init__(self, grace: float) -> None:
        self._grace = grace
        self._first: dict[Process, float] = {}
        self._told: dict[Process, float] = {}

    def wait(self, which: Callable[[], Collection[Process]], end: float) -> None:
        """Until none of them is left."""
        while True:
            left = which()
            if not left:
                return
            if time.monotonic() >= end:
                raise ReplicationError(
                    f"{' and '.join(map(str, left))} did not end in time: look what it does"
                )
            _hang_up([process for process in left if self._press(process, time.monotonic())])
            time.sleep(_POLL_SECONDS)

    def _press(self, process: Process, now: float) -> bool:
        """Tell it once; whether it was told and can't hear."""
        with contextlib.suppress(ProcessLookupError, FileNotFoundError):
            return self._tell(process, now)
        return False

    def _tell(self, process: Process, now: float) -> bool:
        since = self._first.setdefault(process, now)
        told = self._told.get(process)
        if told is None:
            if now - since >= self._grace and _may_be_told(process):
                os.kill(process.pid, signal.SIGTERM)
                self._told[process] = now
            return False
        return now - told >= self._grace and _waits(process.pid, 1, "0x1")


def _may_be_told(process: Process) -> bool:
    if process.program == "lmtpd":
        # In the middle of a delivery it may wait for others, as for sendmail.
        return _waits(process.pid, 0, "0x1")
    # cyrmaster ends when what it started first fails.
    return process.program != "ctl_cyrusdb"


def _waits(pid: int, call: int, argument: str) -> bool:
    """Whether it waits for its client, on descriptor 0 alone, or in writing to it, on 1."""
    numbers = _WAITS.get(os.uname().machine)
    words = _proc.call(pid)
    if numbers is None:
        # Not known of this machine: at least it does nothing else.
        return len(words) > 1
    return words[:2] == [numbers[call], argument]


def _hang_up(processes: Collection[Process]) -> None:
    """Break the connections of clients that take nothing any more: the process blocks in a write
    to such a one, and a signal does not end that."""
    if not processes:
        return
    listed = _command.run(["ss", "-H", "-tnp"], timeout=10).stdout.splitlines()
    for process in processes:
        for line in listed:
            if f"pid={process.pid},fd=1)" in line:
                _state, _received, _sent, local, remote = line.split()[:5]
                _command.run(["ss", "-K", "-H", "-tn", "src", local, "dst", remote], timeout=10)
