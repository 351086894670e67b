# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Whether the replica has room: the counter-check before anybody is blamed.

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
        # When a partition, or None for what is kept beside the mailboxes, had room for how much.
        self._proven: dict[str | None, tuple[float, int]] = {}
        self._lacking: dict[str | None, int] = {}

    def check(self, partition: str | None, size: int) -> None:
        """StalledError where the partition, by default the one for new mailboxes, has no room for
        a message of so many bytes, or nothing can be stored beside the mailboxes."""
        self._check(partition or self._ends.default_partition, max(size, _SMALLEST))
        self._check(None, 0)

    def recheck(self) -> None:
        """The same for what was found lacking, if anything was; a small message goes first."""
        for place, size in list(self._lacking.items()):
            for step in sorted({min(_SMALLEST, size), size}):
                self._prove(place, step)
            del self._lacking[place]

    def _check(self, place: str | None, size: int) -> None:
        when, proven = self._proven.get(place, (-_FRESH, -1))
        if size <= proven and time.monotonic() - when < _FRESH:
            return
        self._lacking[place] = size
        self.recheck()
        self._proven[place] = (time.monotonic(), size)

    def _prove(self, place: str | None, size: int) -> None:
        try:
            if place is None:
                what, refusal = "anything beside mailboxes", self._ends.refuses_setting()
            else:
                what = f"{size} bytes in the partition {place}"
                refusal = self._ends.refuses_message(place, size)
        except WireError:
            # Its process ends over a partition that it has not got, which is another matter.
            return
        if refusal is not None:
            raise StalledError(
                f"the replica cannot store {what} ({refusal}): look for a full disk there"
            )
