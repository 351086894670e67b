# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A host's disk as a filesystem of its own, which loses at a power cut what it was not given.

It stands on a loop device over a file in memory, which keeps each block that the filesystem has
written to it: a disk without a cache of its own. What the filesystem had not written is gone, and
the next mount finds what a machine finds after a power cut, the journal to be worked off included.
The host mounts it in its own namespace, so that a dead one leaves no mount.
"""

from __future__ import annotations

import fcntl
import os
import struct
import time
from pathlib import Path

from .command import run
from .errors import LabError

_SIZE = "3G"
# EXT4_IOC_SHUTDOWN: from now on nothing reaches the device, the journal no more than the data.
_SHUTDOWN = 0x8004587D
_NO_LOG_FLUSH = 2
# The kernel lets go of a dead host's filesystem a moment after its last process.
_RELEASED_SECONDS = 10.0


def make(image: Path, content: list[Path]) -> None:
    """Make a filesystem that has these folders at its top."""
    partial, place = image.with_suffix(".partial"), image.with_suffix(".place")
    partial.unlink(missing_ok=True)
    place.mkdir(exist_ok=True)
    run(["truncate", "--size", _SIZE, partial])
    run(["mkfs.ext4", "-q", "-m", "1", "-E", "nodiscard", partial])
    run(["mount", "-o", "loop", partial, place])
    try:
        run(["rsync", "-aHAXS", "--numeric-ids", *content, place])
    finally:
        run(["umount", place])
    place.rmdir()
    partial.rename(image)


def lose_unwritten(folder: Path) -> None:
    """Let nothing more reach the disk that is mounted there, whatever is still in memory."""
    place = os.open(folder, os.O_RDONLY)
    try:
        fcntl.ioctl(place, _SHUTDOWN, struct.pack("I", _NO_LOG_FLUSH))
    finally:
        os.close(place)


def wait_released(image: Path) -> None:
    deadline = time.monotonic() + _RELEASED_SECONDS
    while run(["losetup", "-j", image]):
        if time.monotonic() > deadline:
            raise LabError(f"{image} stays in use: see `losetup -a`")
        time.sleep(0.05)
