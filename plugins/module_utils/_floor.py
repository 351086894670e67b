# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Where a mailbox stood at an earlier look: what changed since may be on its way. Pure.

No two looks find a mailbox alike on both servers that changes all the time. So it is enough that
the replica has all that the master had at the first look, and lacks only what came later.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from ._model import Mailbox
from ._parity import Difference

# What a message has for ever, however often it is changed.
_NEVER_CHANGED = ("message_guid", "message_internaldate", "message_size")


def without_later(
    found: Iterable[Difference],
    floors: Mapping[str, Mailbox],
    now: Mapping[str, tuple[Mailbox, Mailbox]],
) -> list[Difference]:
    """What differs in something that the replica should have. `floors` is each mailbox of the
    master as it was before the replica had the time to catch up, `now` what both sides have."""
    return [
        difference
        for (name, uid), group in groupby(found, lambda d: (d.mailbox or "", d.uid))
        for difference in _of_one(floors.get(name), now.get(name), uid, list(group))
    ]


def _of_one(
    floor: Mailbox | None,
    now: tuple[Mailbox, Mailbox] | None,
    uid: int | None,
    found: list[Difference],
) -> Iterator[Difference]:
    """Of one message, or (no UID) of a mailbox's header."""
    if floor is None or now is None or _identity(floor) != _identity(now[0]):
        yield from found
    elif uid is None:
        yield from (d for d in found if not _header_came_later(d, floor))
    elif any(_message_came_later(d, now[1]) for d in found):
        yield from (d for d in found if d.kind in _NEVER_CHANGED)
    else:
        yield from found


def _identity(mailbox: Mailbox) -> tuple[str, int]:
    return mailbox.uniqueid, mailbox.uidvalidity


def _header_came_later(difference: Difference, floor: Mailbox) -> bool:
    """The replica is past the floor, and the master is further."""
    if difference.kind not in ("last_uid", "highestmodseq"):
        return False
    least = floor.last_uid if difference.kind == "last_uid" else floor.highestmodseq
    return least <= _number(difference.replica) < _number(difference.master)


def _message_came_later(difference: Difference, copy: Mailbox) -> bool:
    """It is new or changed, by more than the replica says that it has."""
    if difference.kind == "message":
        return difference.master is not None and (difference.uid or 0) > copy.last_uid
    if difference.kind != "message_modseq" or difference.field != "modseq":
        return False
    return _number(difference.master) > max(copy.highestmodseq, _number(difference.replica))


def _number(value: object) -> int:
    return value if isinstance(value, int) else 0
