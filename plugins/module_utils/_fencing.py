# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""This host fenced, and released again. Fenced means seen to be: no client is served any more."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from . import (
    _address,
    _alone,
    _clearance,
    _cyrmaster,
    _ending,
    _fence,
    _guard_state,
    _host_units,
    _posture,
    _proc,
    _role,
    _units,
)
from ._errors import ReplicationError
from ._fence import Fence
from ._install import Install
from ._proc import Process

# In which clients that are active see Cyrus's own notice.
_GRACE_SECONDS = 0.5
# What changes nothing that is replicated.
_READERS = {
    *("chk_cyrus", "cyr_buildinfo", "cyr_df", "cyr_info", "cyr_ls", "deliver", "mbexamine"),
    *("mbpath", "promstatsd", "sievec", "sieved", "squatter"),
}


@dataclass(frozen=True)
class Done:
    """The fence as it is, how many processes of each service had to end, and the seconds."""

    fence: Fence | None
    changed: bool
    seconds: float
    ended: dict[str, int] = field(default_factory=dict)


def fence(
    by: str,
    reason: str,
    seconds: float,
    limit: float | None = None,
    epoch: int | None = None,
    check: bool = False,
) -> Done:
    """Fence this host within some seconds, for `limit` seconds at most, only while its record is
    of an `epoch`; one that can't be is released again."""
    started = time.monotonic()
    with _alone.changing(seconds):
        refuse_epoch(_role.read(), epoch)
        return _fenced(by, reason, started, seconds, limit, check)


def _fenced(
    by: str, reason: str, started: float, seconds: float, limit: float | None, check: bool
) -> Done:
    before = _fence.read()
    refuse_joining(before, by, reason)
    _posture.current()
    refuse_writers()
    new = before is None or _takes_over(by, before.by) or _outlasts(by, limit, before)
    if check:
        return Done(_fence.made(by, reason, limit) if new else before, new, 0.0)
    if new:
        _fence.put(by, reason, limit)
    try:
        changed, ended = settle(started + seconds)
    except ReplicationError as error:
        if before is not None or by == "guard":
            raise
        _fence.remove()
        _open(seconds)
        raise ReplicationError(f"{error}; the host serves again") from error
    return Done(_fence.read(), new or changed, _since(started), ended)


def refuse_joining(before: Fence | None, by: str, reason: str) -> None:
    """A change that rests on another one's fence would have it taken back in the middle; pure."""
    if by not in ("switchover", "reseed") or before is None:
        return
    if before.by == "administrator" and before.until is None:
        return
    if (before.by, before.reason) != (by, reason):
        raise ReplicationError(
            f"this host is fenced by {before.by} since {before.since}: {before.reason}"
        )


def _takes_over(by: str, other: str) -> bool:
    """Whether a fence becomes one's own, so that nobody else takes it back."""
    if by == "failover":
        return other in ("switchover", "guard", "reseed")
    return by == "administrator" and other != by


def _outlasts(by: str, limit: float | None, before: Fence) -> bool:
    """Whether a fence for a time gives way, to one without or to its owner's next."""
    return before.until is not None and (limit is None or by == before.by)


def settle(end: float) -> tuple[bool, dict[str, int]]:
    """Make a host that must not serve one that does not; whether that changed anything, and how
    many processes had to end."""
    before = _proc.running()
    files = _posture.apply()
    updated = _cyrmaster.update(end)
    kept = {entry.name for entry in Install.discover().services if entry.section == "SERVICES"}
    main = _cyrmaster.main_pid()

    def clients(processes: Iterable[Process]) -> list[Process]:
        own = (process for process in processes if process.cyrus_own and process.pid != main)
        return [process for process in own if process.service not in kept]

    _ending.Ending(_GRACE_SECONDS).wait(lambda: clients(_proc.running()), end)
    refuse_writers()
    ended = Counter(process.service or process.program for process in clients(before))
    return bool(files or updated or ended), dict(ended)


def release(
    by: str,
    seconds: float,
    reason: str | None = None,
    force: bool = False,
    epoch: int | None = None,
    check: bool = False,
) -> Done:
    """Let this host serve again within some seconds; `reason` only where it was fenced for that
    one, `force` where no peer could be asked, `epoch` only while its record is of that one."""
    started = time.monotonic()
    with _alone.changing(seconds):
        record, posture = _posture.current()
        before = _fence.read()
        refuse_release(record, before, by, reason, force, epoch)
        new = before is not None or (record.role == "master" and not posture.serving)
        if check:
            return Done(None, new, 0.0)
        if force and record.role == "master":
            _clearance.grant(record.epoch)
        _fence.remove()
        changed = _open(seconds)
        if before is not None:
            _replicate_again()
        _address.up()
        return Done(None, changed or new, _since(started))


def _open(seconds: float) -> bool:
    """The services that the host has to have now."""
    files = _posture.apply()
    updated = _cyrmaster.update(time.monotonic() + seconds)
    return bool(files or updated)


def _replicate_again() -> None:
    """What a change of role had stopped that was killed before its record; where Cyrus runs."""
    if _cyrmaster.main_pid() is None:
        return
    rendered = _posture.configuration()
    wanted = [unit.name for unit in _host_units.units(rendered.plan, rendered.request)]
    found = _units.states([name for name in wanted if "@" in name])
    _units.start([name for name, unit in found.items() if unit.enabled and not unit.active])


def refuse_release(
    record: _role.Record,
    before: Fence | None,
    by: str,
    reason: str | None = None,
    force: bool = False,
    epoch: int | None = None,
) -> None:
    """Nobody but an administrator takes back what another has done; pure but for the clearance and
    what the guard has seen."""
    refuse_epoch(record, epoch)
    # What a failover that was to make it master has begun is taken back; it serves nobody.
    if record.role == "fenced" and (before is None or before.by != "failover"):
        raise ReplicationError(
            f"{record.host} was superseded by {record.master} in epoch {record.epoch}: "
            "bring it back with rejoin"
        )
    same = before is not None and before.by == by and reason in (None, before.reason)
    if before is not None and not same and by != "administrator":
        raise ReplicationError(
            f"{record.host} is fenced by {before.by} since {before.since} ({before.reason}): "
            "release it with the module fence, state=absent"
        )
    if record.role == "master" and not force and not _clearance.valid(record.epoch):
        raise ReplicationError(
            f"{record.host} has not learned since its boot whether it is still the master: "
            "start cyrus-guard.service, or set force to let it serve all the same"
        )
    by_hand = before is not None and before.by in ("administrator", "guard")
    unseen = _guard_state.unseen() if by_hand and record.role == "master" and not force else None
    if unseen is not None:
        raise ReplicationError(
            f"{record.host} has seen neither a peer nor a delivery host for {unseen:.0f} s, so "
            "another host may have become master: mend its network, or set force if none has"
        )


def refuse_epoch(record: _role.Record | None, epoch: int | None) -> None:
    """A later change of master is not meddled with."""
    if epoch is not None and record is not None and record.epoch != epoch:
        raise ReplicationError(
            f"{record.host} is {record.role} in epoch {record.epoch}, and not in epoch {epoch} any "
            "more: another change of master has come in between, look at status"
        )


def refuse_writers() -> None:
    """Programs that write and that nobody here has started; they are not killed."""
    found = [process for process in _proc.running() if _is_foreign_writer(process)]
    if found:
        raise ReplicationError(
            f"{' and '.join(map(str, found))} may be writing: wait for it, or end it"
        )


def _is_foreign_writer(process: Process) -> bool:
    if process.cyrus_own or _proc.REPLICATORS in process.groups:
        return False
    if process.program == "ctl_mboxlist":
        return "-d" not in process.arguments
    return process.program not in _READERS


def _since(started: float) -> float:
    return round(time.monotonic() - started, 3)
