# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Drained: nothing waits for a channel, and a comparison shows that the replica has it all.

An empty log alone proves nothing: it is also empty where nobody writes or reads it.
"""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from . import _audit, _channel, _control, _pair, _quarantine, _report, _role, _state, _steer
from ._errors import ReplicationError
from ._install import USER, Install
from ._synclog import SyncLog
from ._touched import Touched

_POLL_SECONDS = 0.2
_ANSWER_SECONDS = 10.0
# A heartbeat may just be on its way when the comparison ends.
_LAST_SECONDS = 5.0
# So many names are listed of each kind; the report has them all.
_NAMED = 10
# From here on GET UNIQUEIDS is safe.
_TELLS_BY_ID = (3, 5)


@dataclass(frozen=True)
class Left:
    """What keeps a channel from being drained, a sentence each; none where it is drained.

    `report` is the document of the comparison, None where it did not come to that; `compared` says
    how much it was about.
    """

    reasons: tuple[str, ...]
    report: dict[str, Any] | None = None
    compared: Compared | None = None


@dataclass(frozen=True)
class Compared:
    """`scope` is all or touched; `why` is why it was not what was asked for."""

    scope: str
    users: int
    mailboxes: int
    why: str | None


def drain(
    channel: str, timeout: float, compare: str = "all", accepted: Collection[str] = ()
) -> Left:
    """Wait until the channel is drained, `timeout` seconds at most; what is left then.

    `compare` is all, touched (since the last full comparison), live or none: with these two it is
    enough that all that was logged by now has come through, and live compares all in spite of
    changes. Users and mailboxes in `accepted` may be in quarantine, and differ.
    """
    end = time.monotonic() + timeout
    try:
        pair = _pair.pair_of(_options(channel, timeout))
        log = SyncLog(Install.discover().config_directory, channel)
        if compare == "none":
            return Left(_catch_up(channel, log, end, accepted))
        wait = _catch_up if compare == "live" else _wait
        left = wait(channel, log, end, accepted)
        if left:
            return Left(left)
        touched, why = _touched(channel) if compare == "touched" else (None, None)
        settle = max(0.0, end - time.monotonic())
        report = _report.without(
            _pair.check(replace(pair, settle=settle), _in_silence, touched), accepted
        )
        tally = report["compared"]
        compared = Compared(
            "all" if touched is None else "touched", tally["users"], tally["mailboxes"], why
        )
        if report["in_sync"] is not True:
            return Left(tuple(_unequal(report)), report, compared)
        if compare == "live":
            return Left((), report, compared)
        # What was logged meanwhile was no part of it.
        left = _wait(channel, log, max(end, time.monotonic() + _LAST_SECONDS), accepted)
        return Left(left, report, compared)
    except ReplicationError as error:
        return Left((str(error),))


def _touched(channel: str) -> tuple[Touched | None, str | None]:
    """What was touched since all was equal, or why that is not known."""
    try:
        if Install.discover().version < _TELLS_BY_ID:
            raise ReplicationError("this version of Cyrus does not tell mailboxes by their ids")
        return _audit.touched_since(_channel.last_full_check(channel)), None
    except ReplicationError as error:
        return None, str(error)


def _options(channel: str, timeout: float) -> dict[str, Any]:
    """Everything of the pair, as the module parity_info compares it."""
    replica, record = _channel.replica_of(channel), _role.known()
    return {
        "store": record.store,
        "epoch": record.epoch,
        "level": "summary",
        "channel": channel,
        "settle": timeout,
        "master": {"name": record.host, "path": None, "host": None},
        "replica": {"name": replica, "path": None, "host": None},
    }


def _in_silence(_what: str, _done: int, _total: int) -> None:
    """Nobody watches this comparison."""


def _catch_up(channel: str, log: SyncLog, end: float, accepted: Collection[str]) -> tuple[str, ...]:
    """Until what was logged by now is done, or the time is up; what is left then."""
    with closing(log.mark()) as mark:
        while True:
            _refuse_hopeless(channel, log)
            left = (*_replicator(channel, idle=False), *_kept(channel, accepted))
            if not mark.passed():
                left += (f"what was logged to {log.folder} until now is not done yet",)
            if not left or time.monotonic() >= end:
                return left
            time.sleep(_POLL_SECONDS)


def _wait(channel: str, log: SyncLog, end: float, accepted: Collection[str]) -> tuple[str, ...]:
    """Until nothing waits, or the time is up; what is left then."""
    while True:
        _refuse_hopeless(channel, log)
        left = tuple(_waiting(channel, log, accepted))
        if not left or time.monotonic() >= end:
            return left
        time.sleep(_POLL_SECONDS)


def _refuse_hopeless(channel: str, log: SyncLog) -> None:
    """What no waiting helps against."""
    unit = _channel.unit_state(channel)
    if unit in ("inactive", "failed", "unknown"):
        raise ReplicationError(f"{_control.unit(channel)} is {unit}: {_steer.remedy(channel)}")
    if _state.paused(channel):
        raise ReplicationError(f"channel {channel} is paused: {_steer.remedy(channel)}")
    foreign = log.foreign_file(USER)
    if foreign:
        raise ReplicationError(f"{foreign} does not belong to {USER}: Cyrus can't log to it")


def _waiting(channel: str, log: SyncLog, accepted: Collection[str]) -> Iterator[str]:
    """In the order in which an event travels, so that none is missed between two looks."""
    for name in ("log", "log-run"):
        path = os.path.join(log.folder, name)
        if os.path.exists(path):
            waiting = log.waiting()
            yield f"{path} is there, with events of {_some(waiting.users | waiting.shared)}"
            break
    yield from _replicator(channel, idle=True)
    yield from _kept(channel, accepted)


def _kept(channel: str, accepted: Collection[str]) -> Iterator[str]:
    for entry in _quarantine.load(channel):
        if entry.name in accepted:
            continue
        yield f"{entry.name or entry.scope} is in quarantine: {entry.reason}"


def _replicator(channel: str, idle: bool) -> Iterator[str]:
    try:
        _control.ask(channel, {"do": "status"}, _ANSWER_SECONDS)
        state = _state.load(channel)
    except ReplicationError as error:
        yield str(error)
        return
    if state is None or state.state != "running":
        reason = f": {state.reason}" if state and state.reason else ""
        yield f"channel {channel} is {state.state if state else 'starting'}{reason}"
    elif idle and state.batch is not None:
        yield f"{state.batch.events} events are in hand since {state.batch.started}"
    elif state.lag(time.time()) is None:
        yield "no heartbeat has come through yet, so it is not known whether the log is written"


def _unequal(report: dict[str, Any]) -> Iterator[str]:
    for key, verb in (("differences", "differ"), ("lagging", "are behind")):
        if report[key]:
            yield f"{len(report[key])} things {verb}, of {_some(map(_whose, report[key]))}"
    for key in ("unknown", "skipped"):
        yield from (f"{item['scope']} was not compared: {item['reason']}" for item in report[key])


def _whose(difference: dict[str, Any]) -> str:
    return str(difference["mailbox"] or difference["user"] or "the server")


def _some(names: Iterable[str]) -> str:
    found = sorted({name or "the server" for name in names}) or ["nobody"]
    more = f" and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more
