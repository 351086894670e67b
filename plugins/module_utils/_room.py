# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Whether the replica has room for a message: the counter-check before anybody is blamed.

Cyrus does not say that a disk is full: the client is told of a bad protocol, and while it sends on,
a server without room takes the lines of a large message for commands. So while there is no room
nothing is sent but such checks.
"""

from __future__ import annotations

import time

from ._ends import Ends
from ._errors import ReplicationError
from ._wire import WireError

# A replica that had room a moment ago has it now, in seconds.
_FRESH = 5.0
_SMALLEST = 65536


class StalledError(ReplicationError):
    """The replica answers and can store nothing: nobody's mailbox is at fault."""


class Room:
    """What is known of a replica's disks."""

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._proven: dict[str, tuple[float, int]] = {}
        self._lacking: tuple[str, int] | None = None

    def check(self, partition: str | None, size: int) -> None:
        """StalledError where the partition, by default the one for new mailboxes, has no room for
        a message of so many bytes."""
        partition = partition or self._ends.default_partition
        size = max(size, _SMALLEST)
        when, proven = self._proven.get(partition, (0.0, 0))
        if size <= proven and time.monotonic() - when < _FRESH:
            return
        self._lacking = (partition, size)
        self.recheck()
        self._proven[partition] = (time.monotonic(), size)

    def recheck(self) -> None:
        """The same for what was found lacking, if anything was; a small message goes first."""
        if self._lacking is None:
            return
        partition, size = self._lacking
        for step in sorted({_SMALLEST, size}):
            refusal = self._refusal(partition, step)
            if refusal is not None:
                raise StalledError(
                    f"the replica cannot store {step} bytes in the partition {partition} "
                    f"({refusal}): look for a full disk there"
                )
        self._lacking = None

    def _refusal(self, partition: str, size: int) -> str | None:
        try:
            return self._ends.refuses_message(partition, size)
        except WireError:
            # Its process ends over a partition that it has not got, which is another matter.
            return None
