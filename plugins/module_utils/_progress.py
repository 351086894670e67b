# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""How far a long job is, noted in a file that somebody else shows."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

_EVERY = 0.5


def reporter(path: str | None) -> Callable[[str, int, int], None]:
    """Notes `PID DONE of TOTAL WHAT` in the file, at most every half second; without one, nothing.

    The process id tells whoever reads it whether the job is still alive.
    """
    last = 0.0

    def note(what: str, done: int, total: int) -> None:
        nonlocal last
        if path is None or time.monotonic() - last < _EVERY:
            return
        last = time.monotonic()
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(f"{os.getpid()} {done} of {total} {what}\n")
        os.replace(path + ".new", path)

    note("being read", 0, 0)
    return note
