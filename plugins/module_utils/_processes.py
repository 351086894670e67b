# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Which of Cyrus's programs run on this host, and since when."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from typing import NamedTuple

from ._cyrus_conf import LIBEXEC_DIRS

_TICKS = os.sysconf("SC_CLK_TCK")
_STARTED_FIELD = 22
# What the kernel adds to the name of a program that an upgrade has replaced.
_REPLACED = " (deleted)"


class Process(NamedTuple):
    """One process; `started` is in seconds since 1970, never too late."""

    pid: int
    program: str
    started: float


def cyrus(root: str = "/proc") -> Iterator[Process]:
    """Every process of Cyrus's programs, cyrmaster's own (`master`) among them."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    for name in os.listdir(root):
        # It may end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if name.isdigit():
                yield from _one(os.path.join(root, name), boot)


def _one(folder: str, boot: float) -> Iterator[Process]:
    directory, program = os.path.split(os.readlink(f"{folder}/exe"))
    if directory not in LIBEXEC_DIRS:
        return
    with open(f"{folder}/stat", encoding="utf-8", errors="replace") as stat:
        # The program's name, in brackets, may hold anything.
        fields = stat.read().rpartition(")")[2].split()
    started = boot + int(fields[_STARTED_FIELD - 3]) / _TICKS
    if program.endswith(_REPLACED):
        program = program[: -len(_REPLACED)]
    yield Process(int(os.path.basename(folder)), program, started)
