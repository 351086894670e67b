# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Cyrus's own sync_client, given some lines of a sync log at a time, and never for ever.

Cyrus 3.6.1 tries to connect without end, whatever its option -o says, and a connection that is cut
keeps it for its sync_timeout of half an hour. So it is ended as soon as it says that it cannot
connect, and where nothing moves while the replica does not answer anyone else either.
"""

from __future__ import annotations

import os
import re
import select
import subprocess
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import IO, cast

from . import _command, _files
from ._errors import ReplicationError

_UNCONNECTED = b"Can not connect to server"
_CHUNK = 65536
_TICK = 1.0
# Where nothing moves for so many seconds, the replica is asked whether it lives.
_SUSPICIOUS = 3.0
# And it is given up even where that does; sooner for those that were in hand with such a one. What
# the replica has begun by then it brings to its end, and a later try finds it done.
HOPELESS = 10.0
HASTY = 4.0
_MAX_SAID = 50


@dataclass(frozen=True)
class Outcome:
    """How a run went. `said` is what it told in syslog, known of a talkative run only."""

    rc: int
    connected: bool = True
    stuck: bool = False
    said: tuple[str, ...] = ()


class Client:
    """Runs sync_client on a channel. `path` is the file through which it gets its lines, `alive`
    says whether the replica answers, `tick` is called about once a second meanwhile."""

    def __init__(
        self,
        program: str,
        channel: str,
        path: str,
        alive: Callable[[], bool],
        tick: Callable[[], None],
    ) -> None:
        self._command = [program, "-R", "-f", path, "-n", channel]
        self._path = path
        self._alive = alive
        self._tick = tick

    def run(
        self, lines: Iterable[str], talkative: bool = False, limit: float = HOPELESS
    ) -> Outcome:
        """Replicate these lines; one that it cannot do keeps it from those behind. It is ended
        where nothing has moved for `limit` seconds."""
        text = "".join(f"{line}\n" for line in lines)
        try:
            _files.overwrite(self._path, text, 0o600)
        except OSError as error:
            raise ReplicationError(
                f"{self._path} can't be written ({error.strerror}): make room there"
            ) from None
        # Twice -v copies its syslog to stderr, and the whole conversation as well.
        extra = ["-v", "-v"] if talkative else []
        process = _command.start(self._command + extra)
        try:
            return _Watch(process, self._alive, self._tick, limit).outcome()
        finally:
            process.kill()
            process.wait()
            for stream in (process.stdout, process.stderr):
                cast(IO[str], stream).close()


class _Watch:
    """One run of it."""

    def __init__(
        self,
        process: subprocess.Popen[str],
        alive: Callable[[], bool],
        tick: Callable[[], None],
        limit: float,
    ) -> None:
        self._limit = limit
        self._process = process
        self._alive = alive
        self._tick = tick
        self._said: deque[str] = deque(maxlen=_MAX_SAID)
        self._own_line = re.compile(rb"^\S*sync_client\[%d\]: (.*)" % process.pid)
        self._rest: dict[int, bytes] = {}
        self._moved = (0, time.monotonic())

    def outcome(self) -> Outcome:
        streams = [cast(IO[str], s).fileno() for s in (self._process.stdout, self._process.stderr)]
        while streams:
            ready = select.select(streams, [], [], _TICK)[0]
            for stream in ready:
                data = os.read(stream, _CHUNK)
                if not data:
                    streams.remove(stream)
                if self._refused(stream, data):
                    return Outcome(-1, connected=False)
            if not ready:
                self._tick()
                if self._stands_still():
                    return Outcome(-1, connected=self._alive(), stuck=True)
        return Outcome(self._process.wait(), said=tuple(self._said))

    def _refused(self, stream: int, data: bytes) -> bool:
        """Notes what it says of itself; whether that is that it cannot connect."""
        *whole, self._rest[stream] = (self._rest.get(stream, b"") + data).split(b"\n")
        # A message in the conversation may have lines without an end.
        self._rest[stream] = self._rest[stream][:_CHUNK]
        for line in whole:
            if line.startswith(_UNCONNECTED):
                return True
            own = self._own_line.match(line)
            if own:
                self._said.append(own.group(1).decode("utf-8", "replace"))
        return False

    def _stands_still(self) -> bool:
        moved = _moved(self._process.pid)
        now = time.monotonic()
        if moved is None or moved != self._moved[0]:
            self._moved = (moved or 0, now)
            return False
        still = now - self._moved[1]
        return still > self._limit or (still > _SUSPICIOUS and not self._alive())


def _moved(pid: int) -> int | None:
    """What a process has read, written and computed so far; None where that cannot be told."""
    try:
        with open(f"/proc/{pid}/io", encoding="ascii") as stream:
            counts = dict(line.split(": ") for line in stream)
        with open(f"/proc/{pid}/stat", encoding="utf-8", errors="replace") as stream:
            times = stream.read().rpartition(")")[2].split()[11:13]
        return int(counts["rchar"]) + int(counts["wchar"]) + sum(map(int, times))
    except (OSError, KeyError, ValueError):
        return None
