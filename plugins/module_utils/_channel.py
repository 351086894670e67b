# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The channels of a host: does each one run, does its link work, and what waits for it.

What cannot be found out is null, and never counted as fine.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import asdict, replace
from typing import Any, TypeVar

from . import _command, _control, _doubt, _endpoints, _files, _quarantine, _role, _state
from ._errors import ReplicationError
from ._install import USER, Install
from ._session import Session
from ._store import Store
from ._synclog import SyncLog

T = TypeVar("T")

_SYSTEMCTL_SECONDS = 20
_ANSWER_SECONDS = 10


def names() -> dict[str, str]:
    """The channels that this host has, and the replica of each: a master's, and those of a replica
    that feeds others."""
    return by_record(_role.read())


def by_record(record: _role.Record | None) -> dict[str, str]:
    """The same, as a record of this host has it."""
    if record is None:
        return {}
    fed = _endpoints.read_store().fed_by(record.host, record.role, record.master)
    return {channel: host for host, channel in fed.items()}


def replica_of(channel: str) -> str:
    """The replica of a channel that this host has."""
    known = names()
    if channel not in known:
        told = f"its channels are {', '.join(known)}" if known else "it feeds no replica"
        raise ReplicationError(f"this host has no channel {channel}: {told}")
    return known[channel]


def channels() -> list[dict[str, Any]]:
    """One entry for each channel of this host."""
    return [_describe(name, replica) for name, replica in names().items()]


def one(name: str) -> dict[str, Any]:
    """The entry of one channel of this host."""
    return _describe(name, replica_of(name))


def _describe(name: str, replica: str) -> dict[str, Any]:
    install, store = Install.discover(), _endpoints.read_store()
    unknown: list[str] = []

    def known(ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except ReplicationError as error:
            unknown.append(str(error))
            return None

    reason = _link_trouble(install, store, replica)
    state = known(lambda: _state.load(name))
    unit = unit_state(name)
    held = known(lambda: quarantined(name, replica))
    backlog = known(lambda: _backlog(install, name, held))
    # What Cyrus cannot log is behind for ever, however fast the last heartbeat was.
    lag = None if backlog is None else known(lambda: _lag(name, unit, state))
    parity, doubt = _in_doubt(known(lambda: _last_parity(name)), known(lambda: _doubt.read(name)))
    return {
        "name": name,
        "replica": replica,
        "state": unit,
        "paused": _state.paused(name),
        "replicator": _replicator(state, unit),
        "link": {"ok": reason is None, "reason": reason},
        "backlog": backlog,
        "lag": lag,
        "quarantine": held,
        "doubt": doubt,
        "parity": parity,
        "reason": "; ".join(unknown) or None,
    }


def quarantined(channel: str, replica: str) -> list[dict[str, Any]]:
    """What is in quarantine of a channel, with the number of events that are held for each."""
    return [
        {
            "channel": channel,
            "replica": replica,
            **{key: value for key, value in asdict(entry).items() if key != "events"},
            "held": len(entry.events),
        }
        for entry in _quarantine.load(channel)
    ]


def _replicator(state: _state.State | None, unit: str) -> dict[str, Any] | None:
    if state is None:
        return None
    if unit in ("inactive", "failed") and state.state != "stopped":
        # One that was killed could not say so; its last word is its last sign of life.
        since = state.written or state.since
        state = replace(state, state="stopped", reason=f"its unit is {unit}", since=since)
    return {key: getattr(state, key) for key in ("state", "reason", "since", "replicated")}


def _backlog(install: Install, channel: str, held: list[dict[str, Any]] | None) -> dict[str, Any]:
    log = SyncLog(install.config_directory, channel)
    foreign = log.foreign_file(USER)
    if foreign:
        # Such events are lost, and only syslog tells.
        raise ReplicationError(f"{foreign} does not belong to {USER}: Cyrus can't log to it")
    return {
        **asdict(log.backlog()),
        "run_age": _age(os.path.join(log.folder, "log-run")),
        "held": None if held is None else sum(entry["held"] for entry in held),
    }


def _age(path: str) -> float | None:
    """Seconds since a file was written; None where there is none."""
    with contextlib.suppress(FileNotFoundError):
        return round(max(0.0, time.time() - os.stat(path).st_mtime), 1)
    return None


def _lag(channel: str, unit: str, state: _state.State | None) -> float:
    """By the heartbeat, and only where somebody carries it: an old file would tell of old times."""
    if unit != "active":
        raise ReplicationError(
            f"the lag is not known: {_control.unit(channel)} is {unit}, start the channel"
        )
    _control.ask(channel, {"do": "status"}, _ANSWER_SECONDS)
    lag = state.lag(time.time()) if state else None
    if lag is None:
        raise ReplicationError("the lag is not known: no heartbeat has reached the replica yet")
    return round(lag, 1)


def _in_doubt(
    parity: dict[str, Any] | None, doubt: _doubt.Doubt | None
) -> tuple[dict[str, Any] | None, dict[str, str] | None]:
    """The last parity and the doubt, as far as either says something about now.

    Events may be lost without a trace, so what was equal before may not be any more; a comparison
    that began after the doubt and found all equal ends it.
    """
    if doubt is None:
        return parity, None
    if parity is None or parity["in_sync"] is False:
        return parity, asdict(doubt)
    if parity["in_sync"] and parity["started"] > doubt.since:
        return parity, None
    return {**parity, "in_sync": None, "reason": doubt.reason}, asdict(doubt)


def _link_trouble(install: Install, store: Store, replica: str) -> str | None:
    """Why sync_client could not log in to the replica now; None where it could."""
    try:
        with closing(Session(_endpoints.receiving(store, replica, install.settings))):
            return None
    except ReplicationError as error:
        return str(error)


def unit_state(channel: str) -> str:
    """The unit of a channel's replicator, as systemd names it: active, inactive, failed ..."""
    command = ["systemctl", "show", "--property=ActiveState", "--value", _control.unit(channel)]
    try:
        return _command.run(command, timeout=_SYSTEMCTL_SECONDS).stdout.strip() or "unknown"
    except ReplicationError:
        return "unknown"


def last_full_check(channel: str) -> str:
    """When the last comparison of a channel began (ISO 8601), if all was found equal in this epoch;
    an error that says why there is none to rest on."""
    parity, record = _last_parity(channel), _role.read()
    if parity is None or record is None:
        raise ReplicationError(f"channel {channel} was never compared in full")
    if parity["in_sync"] is not True:
        raise ReplicationError(f"the last comparison of channel {channel} did not find all equal")
    if parity.get("epoch") != record.epoch:
        raise ReplicationError(
            f"the last comparison of channel {channel} was in epoch {parity.get('epoch')}, now it "
            f"is epoch {record.epoch}"
        )
    doubt = _doubt.read(channel)
    if doubt is not None and doubt.since >= parity["started"]:
        raise ReplicationError(
            f"the last comparison of channel {channel} is in doubt: {doubt.reason}"
        )
    return str(parity["started"])


def _last_parity(channel: str) -> dict[str, Any] | None:
    path = os.path.join(_role.PARITY_DIR, f"{channel}.json")
    if not os.path.exists(path):
        return None
    try:
        found: dict[str, Any] = json.loads(_files.read(path))
        _state.seconds(found["started"])
        return {**found, "in_sync": found["in_sync"]}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{path} can't be read ({error}): remove it") from error
