# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One at a time on a host. What ends the process ends its turn."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from collections.abc import Iterator

from . import _role
from ._errors import ReplicationError

_PAUSE = 0.1


def changing(seconds: float) -> contextlib.AbstractContextManager[None]:
    """The turn of who changes what this host is; who comes second sees what the first has done."""
    busy = "another change of this host's role is under way: wait for it, and run it again"
    return alone(_role.STATE_DIR, busy, seconds)


@contextlib.contextmanager
def alone(folder: str, busy: str, seconds: float = 0.0) -> Iterator[None]:
    """A folder to oneself; `busy` is said where another has it for so many seconds."""
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ReplicationError(f"{folder} can't be used: {error.strerror}") from error
    try:
        end = time.monotonic() + seconds
        while not _taken(handle):
            if time.monotonic() >= end:
                raise ReplicationError(busy)
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(handle)


def _taken(handle: int) -> bool:
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
