# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One pass of rsync over one folder, run to its end: what it moved, and how far it is.

Cyrus changes its indexes and databases in place, often within one second and without changing
their size, so times are compared to the nanosecond, and nothing is ever written in place.
"""

from __future__ import annotations

import os
import re
import selectors
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import IO, cast

from . import _command
from ._errors import ReplicationError

# A file that was removed while it was looked for; a later pass sees that.
_VANISHED = 24
_STATS = {
    "files": "Number of files",
    "moved_files": "Number of regular files transferred",
    "bytes": "Total file size",
    "moved_bytes": "Total transferred file size",
    "sent": "Total bytes sent",
    "received": "Total bytes received",
}
_PERCENT = re.compile(r"\s(\d{1,3})%\s")
_NEWEST_LINES = 5


@dataclass(frozen=True)
class Remote:
    """How the source is reached: by ssh, with a key that can do nothing else."""

    address: str
    user: str
    port: int
    key: str
    known_hosts: str


@dataclass(frozen=True)
class Options:
    """`bandwidth` is in kilobytes (1024) a second, 0 without limit; `idle` leaves the disks to
    others; `checksum` compares what is in each file; `seconds` is for the whole pass."""

    bandwidth: int = 0
    idle: bool = True
    checksum: bool = False
    seconds: float = 86400.0


@dataclass(frozen=True)
class Moved:
    """What a pass found and moved. `moved_bytes` are those of files that were new or changed,
    `received` what came over the wire."""

    files: int
    moved_files: int
    bytes: int
    moved_bytes: int
    sent: int
    received: int
    seconds: float


def command(
    remote: Remote,
    name: str,
    target: str,
    filters: Sequence[str],
    options: Options,
    linked: str | None = None,
    dry: bool = False,
) -> list[str]:
    """The argv of a pass of the source's folder `name` into `target`; what `linked` has alike is
    linked from there."""
    ssh = (
        f"ssh -i {remote.key} -p {remote.port} -o UserKnownHostsFile={remote.known_hosts} "
        "-o GlobalKnownHostsFile=/dev/null -o StrictHostKeyChecking=yes -o BatchMode=yes "
        "-o IdentitiesOnly=yes -o ConnectTimeout=20 -o ServerAliveInterval=15 "
        "-o ServerAliveCountMax=4"
    )
    return [
        *(("ionice", "-c", "3") if options.idle else ()),
        *("rsync", "--recursive", "--links", "--perms", "--times", "--hard-links"),
        *("--chown=cyrus:mail", "--modify-window=-1", "--delete", "--stats", "--outbuf=L"),
        *("--no-human-readable", "--info=progress2", f"--rsh={ssh}"),
        *(("--checksum",) if options.checksum else ()),
        *((f"--bwlimit={options.bandwidth}",) if options.bandwidth else ()),
        *((f"--link-dest={linked}",) if linked else ()),
        *(("--dry-run",) if dry else ()),
        *(f"--filter={rule}" for rule in filters),
        f"{remote.user}@{_literal(remote.address)}::{name}/",
        f"{target}/",
    ]


def _literal(address: str) -> str:
    return f"[{address}]" if ":" in address else address


def run(cmd: Sequence[str], seconds: float, note: Callable[[int], None]) -> Moved:
    """Run a pass; `note` gets the percentage as rsync tells it."""
    began = time.monotonic()
    process = _command.start(list(cmd))
    try:
        said, errors = _read(process, began + seconds, note)
        rc = process.wait()
    finally:
        process.kill()
        process.wait()
    if rc not in (0, _VANISHED):
        last = "; ".join(errors.strip().splitlines()[-_NEWEST_LINES:])
        raise ReplicationError(f"rsync ended with {rc}: {last or 'it gave no reason'}")
    return parse(said, time.monotonic() - began)


def _read(
    process: subprocess.Popen[str], end: float, note: Callable[[int], None]
) -> tuple[str, str]:
    """All that it says, both streams at once; it is killed where the time is up."""
    streams = [cast(IO[str], process.stdout), cast(IO[str], process.stderr)]
    said: dict[int, bytearray] = {stream.fileno(): bytearray() for stream in streams}
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            left = end - time.monotonic()
            if left <= 0:
                raise ReplicationError("the time for this pass of rsync is up")
            for key, _events in selector.select(left):
                data = os.read(key.fd, 65536)
                if not data:
                    selector.unregister(key.fileobj)
                    continue
                said[key.fd] += data
                found = _PERCENT.findall(data.decode("utf-8", "replace"))
                if found:
                    note(int(found[-1]))
    texts = [said[stream.fileno()].decode("utf-8", "surrogateescape") for stream in streams]
    return texts[0], texts[1]


def parse(said: str, seconds: float) -> Moved:
    """The statistics at the end of what rsync says."""
    found = {}
    for name, label in _STATS.items():
        match = re.search(rf"^{label}: ([0-9]+)", said, re.MULTILINE)
        if match is None:
            raise ReplicationError(
                f"rsync does not say the {label.lower()}: it is another version than this is for"
            )
        found[name] = int(match.group(1))
    return Moved(**found, seconds=round(seconds, 3))
