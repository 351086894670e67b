# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Places at which tests end a process as a power cut would, to show that nothing is lost."""

from __future__ import annotations

import os
import signal
from collections import Counter

# The replicator's, in the order in which a failing batch passes them.
REPLICATOR = (
    "log taken",
    "events parted",
    "before the run",
    "after the run",
    "proven",
    "unproven",
    "halved",
    "split",
    "blamed",
    "held",
    "kept",
    "before done",
    "done",
    "retried",
    "released",
    "beaten",
)

_passed: Counter[str] = Counter()


def reach(point: str) -> None:
    """Ends this process with SIGKILL where CYRUS_REPLICATION_STOP_AT names this point and how
    many times it has been passed, as in ``proven:3``."""
    wanted = os.environ.get("CYRUS_REPLICATION_STOP_AT")
    if wanted is None:
        return
    _passed[point] += 1
    if wanted == f"{point}:{_passed[point]}":
        os.kill(os.getpid(), signal.SIGKILL)
