# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Why a target cannot be replicated: what both sides say of it, and what sync_client said."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from . import _parity
from ._client import Outcome
from ._dlist import FormatError
from ._ends import Ends
from ._events import Target, owner
from ._model import Mailbox
from ._session import FullMailbox
from ._wire import WireError

_MAX_DIFFERENCES = 20
_SIZE = re.compile(rb" SIZE (\d+) GUID ([0-9a-f]+)")
_TICK = 1000
# As sync_client's syslog says it (imap/sync_support.c).
_CUT_OFF = ("zero length response", "end of file reached")


@dataclass(frozen=True)
class Diagnosis:
    """`finding` is what `_advice` makes sentences of; `largest` is the size in bytes of the largest
    message that the replica has not got, and `partition` where it belongs, if it is known."""

    finding: dict[str, Any]
    largest: int = 0
    partition: str | None = None


def diagnose(ends: Ends, target: Target, outcome: Outcome) -> Diagnosis:
    """Looks at one target on both sides."""
    finding: dict[str, Any] = {
        "target": target,
        "side": None,
        "refusal": None,
        "differences": [],
        "said": list(outcome.said),
        "stuck": outcome.stuck,
        "crashed": _lost_connection(outcome),
        "host": {"master": ends.master.endpoint.name, "replica": ends.replica.endpoint.name},
        "relayed": ends.sides.first is not None,
    }
    if target.scope != "mailbox" or outcome.stuck:
        # What stands still does so for whoever asks.
        return Diagnosis(finding)
    try:
        return _look(ends, target, finding)
    except (WireError, FormatError):
        # Asking about it ends the process that is asked, or gives no sense.
        ends.close()
        return Diagnosis({**finding, "crashed": True})


def _look(ends: Ends, target: Target, finding: dict[str, Any]) -> Diagnosis:
    """The same for a mailbox, read on both sides."""
    ours = _read(next(ends.master.full_mailboxes([target.name])), ends.tick)
    theirs = _read(next(ends.replica.full_mailboxes([target.name])), ends.tick)
    for side, read in (("replica", theirs), ("master", ours)):
        if isinstance(read, str):
            finding.update(side=side, refusal=read)
    if isinstance(ours, str):
        return Diagnosis(finding)
    there: dict[bytes, int] = {}
    if not isinstance(theirs, str):
        there = theirs.sizes
        differences = _parity.compare_mailbox(owner(target), ours.head, theirs.head)
        finding["differences"] = list(islice(differences, _MAX_DIFFERENCES))
    return Diagnosis(finding, _largest(ours, there), ours.head.partition)


@dataclass(frozen=True)
class _Opened:
    """A mailbox and its messages: their sizes by GUID."""

    head: Mailbox
    sizes: dict[bytes, int]


def _read(full: FullMailbox, tick: Callable[[], None]) -> _Opened | str:
    """A mailbox, or why it is refused."""
    sizes = {}
    for count, record in enumerate(full.records):
        found = _SIZE.search(record)
        if found and b"\\Expunged" not in record:
            sizes[found.group(2)] = int(found.group(1))
        if count % _TICK == 0:
            tick()
    return full.refusal if full.refusal is not None else _Opened(Mailbox.of(full.head), sizes)


def _largest(ours: _Opened, there: dict[bytes, int]) -> int:
    return max((size for guid, size in ours.sizes.items() if guid not in there), default=0)


def _lost_connection(outcome: Outcome) -> bool:
    """Whether the replica's process ended while it was at it."""
    return any(words in line for line in outcome.said for words in _CUT_OFF)
