# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The change of role on one host.

Each step looks first whether it is done already, so whatever ends this in between, the same call
again leads to the same end. The record is written before anything follows from it; what comes
before the record is taken back where the record can't be written.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from . import (
    _alone,
    _channel,
    _clearance,
    _config,
    _cyrmaster,
    _doubt,
    _ending,
    _endpoints,
    _fence,
    _fencing,
    _heartbeat,
    _host_units,
    _posture,
    _proc,
    _quarantine,
    _rejoins,
    _role,
    _state,
    _store,
    _units,
)
from ._errors import ReplicationError
from ._install import Install
from ._points import reach
from ._role import Record
from ._synclog import FILES, SyncLog

_GUARD_LINK = f"cyrus-link@{_store.GUARD_LINK}.service"
_RECEIVING = ("replcsync", "replimap")
_GRACE_SECONDS = 0.3
# Every replica follows the master itself then, until setup is run again.
_UNCHAINING = ("failover", "rejoin")
_NAMED = 10


@dataclass(frozen=True)
class Move:
    """What a host is to be. `drained`: channels whose logs have to be empty; `proven`: channels
    whose replica is known to have everything, others begin with everything; `rejoin`: what only
    this host had is saved, so one that was superseded may be a replica; `superseded`: who
    superseded it is lost, so it may be master."""

    record: Record
    reason: str
    drained: Sequence[str] = ()
    proven: Sequence[str] = ()
    rejoin: bool = False
    superseded: bool = False


@dataclass(frozen=True)
class Moved:
    """The record before and now, what was done, and the seconds."""

    before: Record | None
    record: Record
    done: list[str]
    seconds: float


def record_only(wanted: Record, reason: str, check: bool) -> Moved:
    """The record without what follows from it, for who brings that about himself; whoever calls
    this has asked all hosts of the store."""
    started = time.monotonic()
    if not check:
        _clear(wanted)
    before, after = _role.ensure(wanted, reason, check)
    return Moved(before, after, [], round(time.monotonic() - started, 3))


def carry_out(move: Move, seconds: float, check: bool = False) -> Moved:
    """Bring this host into its role, its configuration and its units included."""
    started = time.monotonic()
    with _alone.changing(seconds):
        return _carried_out(move, started, started + seconds, check)


def _carried_out(move: Move, started: float, end: float, check: bool) -> Moved:
    before = _role.read()
    refuse(move, before, _fence.read())
    done = [] if move.record.same(before) else [f"record {move.record.role}"]
    if check:
        return Moved(before, before if not done and before else move.record, done, 0.0)
    if done:
        with _still(move, before, end):
            reach("stopped")
            _clear(move.record)
            _role.ensure(move.record, move.reason, check=False)
    reach("recorded")
    done += _follow(move, end)
    return Moved(before, _role.read() or move.record, done, round(time.monotonic() - started, 3))


def _clear(wanted: Record) -> None:
    """Before the record, which the guard may see at once and would bring about by itself."""
    if wanted.role == "master":
        _clearance.grant(wanted.epoch)


def refuse(move: Move, before: Record | None, fence: _fence.Fence | None) -> None:
    """Why a host can't be brought into a role; pure."""
    wanted = move.record
    if before is None:
        raise ReplicationError(f"{wanted.host} has no role record: run setup")
    if wanted.same(before):
        return
    if before.store != wanted.store or before.host != wanted.host:
        raise ReplicationError(
            f"{wanted.host} has the role record of {before.host} in store {before.store}: "
            "name the host and the store as the record does"
        )
    if move.rejoin and _comes_back(wanted, before):
        return
    if before.epoch >= wanted.epoch:
        raise ReplicationError(
            f"{wanted.host} is in epoch {before.epoch}: a change of master needs a higher epoch "
            f"than that, not {wanted.epoch}"
        )
    allowed = {"fenced", "master"} if move.superseded else {"fenced"}
    if before.role == "fenced" and wanted.role not in allowed:
        raise ReplicationError(
            f"{wanted.host} was superseded by {before.master} in epoch {before.epoch}: "
            "bring it back with rejoin"
        )
    if wanted.role == "replica" and before.role == "master":
        if fence is None:
            raise ReplicationError(f"{wanted.host} serves clients: fence it first")
        # A failover counts on its fence of who is given up.
        if fence.by == "failover":
            raise _fenced(wanted.host, fence)
    if wanted.role == "master":
        if fence is not None and fence.by != "failover":
            raise _fenced(wanted.host, fence)
        if fence is None and move.reason == "failover":
            raise ReplicationError(f"{wanted.host} is not fenced any more: run failover again")


def _fenced(host: str, fence: _fence.Fence) -> ReplicationError:
    return ReplicationError(
        f"{host} is fenced by {fence.by} since {fence.since} ({fence.reason}): "
        "release it first, with the module fence, state=absent"
    )


def _comes_back(wanted: Record, before: Record) -> bool:
    """Whether this makes a superseded host a replica of who superseded it, or of a later one."""
    same = (before.master, before.epoch) == (wanted.master, wanted.epoch)
    later = before.epoch < wanted.epoch
    return before.role == "fenced" and wanted.role == "replica" and (same or later)


@contextlib.contextmanager
def _still(move: Move, before: Record | None, end: float) -> Iterator[None]:
    """Nothing replicates out of this host or into it; all runs again where the record fails."""
    stopped = [name for name in _units.active(_units.TEMPLATES) if name != _GUARD_LINK]
    held: list[str] = []
    _units.stop(stopped)
    try:
        if move.record.role == "replica":
            _refuse_left(move.drained)
        if move.record.role == "master":
            _end_receiving(end)
        _forget_former_time(before, move)
        # Only now: what fails before leaves a channel paused that somebody else has paused.
        held = _fed_too_soon(before, move)
        for channel in held:
            _state.set_paused(channel, True)
        yield
    except ReplicationError as error:
        try:
            for channel in held:
                _state.set_paused(channel, False)
            _units.start(stopped)
        except ReplicationError as other:
            raise ReplicationError(f"{error}; {other}") from other
        raise


def _refuse_left(channels: Sequence[str]) -> None:
    """A log that is not empty has changes that nobody would replicate any more."""
    directory = Install.discover().config_directory
    for channel in channels:
        waiting = SyncLog(directory, channel).waiting()
        left = {*waiting.users, *(n for n in waiting.shared if not _heartbeat.is_ours(n))}
        if left:
            names = ", ".join(sorted(name or "the server" for name in left)[:_NAMED])
            raise ReplicationError(
                f"the log of channel {channel} is not empty, with events of {names}: "
                "drain the channel and try again"
            )


def _end_receiving(end: float) -> None:
    """Whoever still applies what came from the old master finishes it."""
    _ending.Ending(_GRACE_SECONDS).wait(
        lambda: [p for p in _proc.running() if p.cyrus_own and p.service in _RECEIVING], end
    )


def _fed_too_soon(before: Record | None, move: Move) -> list[str]:
    """The channels that get nothing before somebody has compared and starts them. Who takes from a
    new master already may have what that lacks, and would be changed at once."""
    unplanned = move.reason == "failover" and move.record.role == "master"
    return sorted(_channel.by_record(before)) if unplanned else []


def _forget_former_time(before: Record | None, move: Move) -> None:
    """What a host knows of channels from when it had them before: old events would be sent again,
    an old comparison or heartbeat would count, and an old pause or quarantine would hold. Channels
    that it has just now, as a replica that feeds others, go on in a planned change; in another one
    who is behind may have more, and all channels begin with everything."""
    going_on = set(_channel.by_record(before)) if move.reason not in _UNCHAINING else set()
    channels = set(_channel.by_record(move.record)) - going_on
    paths = []
    if move.record.role == "master":
        if not going_on:
            _doubt.settle()
        channels = set(_endpoints.read_store().channels().values()) - going_on
        # Whoever was master since awaits whoever is still to come back.
        paths.append(_rejoins.PATH)
        if not going_on:
            paths.append(_config.CHANNELS)
    directory = Install.discover().config_directory
    for channel in sorted(channels):
        folder = SyncLog(directory, channel).folder
        paths += [os.path.join(folder, name) for name in FILES]
        paths.append(os.path.join(_role.PARITY_DIR, f"{channel}.json"))
        paths += [_state.path_of(channel), _state.pause_of(channel)]
        paths.append(_quarantine.path_of(channel))
    try:
        for path in filter(os.path.exists, paths):
            os.unlink(path)
    except OSError as error:
        raise ReplicationError(f"{error.filename} can't be removed: {error.strerror}") from error


def _follow(move: Move, end: float) -> list[str]:
    """What follows from the record."""
    record = move.record
    if record.role == "master":
        _clearance.grant(record.epoch)
    else:
        _clearance.withdraw()
    # Who is left may not be whom the others follow.
    chains = move.reason not in _UNCHAINING
    done = [f"write {path}" for path in _posture.apply(move.proven, chains)]
    reach("configured")
    updated = _cyrmaster.update(end)
    done += [updated] if updated else []
    if record.role == "fenced":
        _fencing.settle(end)
    reach("reloaded")
    fence = _fence.read()
    if fence is not None and record.role != "master" and fence.by != "administrator":
        _fence.remove()
        done.append("remove the fence")
    rendered = _posture.configuration()
    units = _host_units.units(rendered.plan, rendered.request)
    left = max(0.0, end - time.monotonic())
    done += _units.ensure(units, _units.TEMPLATES, check=False, seconds=left)
    # One that did not run before listens now as well.
    _cyrmaster.update(end)
    return done
