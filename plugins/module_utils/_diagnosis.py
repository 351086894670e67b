# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Why a target cannot be replicated: what both sides say of it, and what sync_client said."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import islice
from typing import Any

from . import _parity
from ._client import Outcome
from ._dlist import FormatError
from ._ends import Ends
from ._events import Target, owner
from ._model import Mailbox, Message
from ._session import FullMailbox
from ._wire import WireError

_MAX_DIFFERENCES = 20
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
    }
    if target.scope != "mailbox":
        return Diagnosis(finding)
    try:
        return _look(ends, target, finding)
    except (WireError, FormatError):
        # Asking about it ends the process that is asked, or gives no sense.
        ends.close()
        return Diagnosis({**finding, "crashed": True})


def _look(ends: Ends, target: Target, finding: dict[str, Any]) -> Diagnosis:
    """The same for a mailbox, read on both sides."""
    ours = _read(next(ends.master.full_mailboxes([target.name])))
    theirs = _read(next(ends.replica.full_mailboxes([target.name])))
    for side, read in (("replica", theirs), ("master", ours)):
        if isinstance(read, str):
            finding.update(side=side, refusal=read)
    if isinstance(ours, str):
        return Diagnosis(finding)
    there: set[str] = set()
    if not isinstance(theirs, str):
        there = {message.guid for message in theirs.messages}
        differences = _parity.compare_mailbox(owner(target), ours.head, theirs.head)
        finding["differences"] = list(islice(differences, _MAX_DIFFERENCES))
    return Diagnosis(finding, _largest(ours, there), ours.head.partition)


@dataclass(frozen=True)
class _Opened:
    head: Mailbox
    messages: list[Message]


def _read(full: FullMailbox) -> _Opened | str:
    """A mailbox, or why it is refused."""
    messages = [Message.parse(record) for record in full.records]
    return full.refusal if full.refusal is not None else _Opened(Mailbox.of(full.head), messages)


def _largest(ours: _Opened, there: set[str]) -> int:
    missing = (m.size for m in ours.messages if not m.expunged and m.guid not in there)
    return max(missing, default=0)


def _lost_connection(outcome: Outcome) -> bool:
    """Whether the replica's process ended while it was at it."""
    return any(words in line for line in outcome.said for words in _CUT_OFF)
