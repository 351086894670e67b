# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Who is master: the record on each host, its history, and the rule that reads them."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import _files
from ._errors import ReplicationError

STATE_DIR = "/var/lib/cyrus-replication"
RECORD = f"{STATE_DIR}/role.json"
HISTORY = f"{STATE_DIR}/history.jsonl"
# The last comparison of each channel.
PARITY_DIR = f"{STATE_DIR}/parity"
ROLES = ("master", "replica", "fenced")
_HISTORY_READ = 1000


@dataclass(frozen=True)
class Record:
    """What a host knows of its store; master and epoch are the same on all of its hosts."""

    store: str
    host: str
    role: str
    master: str
    epoch: int
    since: str

    def same(self, other: Record | None) -> bool:
        """Equal but for when it was written."""
        return other is not None and {**asdict(self), "since": ""} == {**asdict(other), "since": ""}


def parse(text: str, where: str = RECORD) -> Record:
    """A record from its text; what is not whole is refused, never guessed."""
    try:
        loaded = json.loads(text)
        if not isinstance(loaded, dict):
            raise ValueError("it holds no object")
        record = Record(**loaded)
    except (ValueError, TypeError) as error:
        raise ReplicationError(f"{where} is no role record ({error}): restore it") from error
    texts = (record.store, record.host, record.role, record.master, record.since)
    # JSON's true would count as 1.
    whole = isinstance(record.epoch, int) and not isinstance(record.epoch, bool)
    if not whole or not all(isinstance(value, str) for value in texts):
        raise ReplicationError(f"{where} has a value of the wrong type: restore it")
    if record.role not in ROLES or record.epoch < 1:
        raise ReplicationError(
            f"{where} names the role {record.role!r} in epoch {record.epoch}: restore it"
        )
    if (record.role == "master") != (record.host == record.master):
        raise ReplicationError(
            f"{where} says that {record.host} is {record.role} and {record.master} master: "
            "restore it"
        )
    return record


def read(path: str = RECORD) -> Record | None:
    """This host's record, None where it has none."""
    if not os.path.exists(path):
        return None
    return parse(_files.read(path), path)


def known() -> Record:
    """This host's record; a host without one is an error."""
    record = read()
    if record is None:
        raise ReplicationError("this host has no role record: run setup")
    return record


def write(record: Record, path: str = RECORD) -> None:
    """Put a record in place, durable before this returns."""
    _files.write(path, json.dumps(asdict(record), sort_keys=True) + "\n", 0o644)


def append_history(entry: Mapping[str, Any], path: str = HISTORY) -> None:
    """Add one line to the history; behind one that a power cut has torn, a new line."""
    handle = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        size = os.fstat(handle).st_size
        torn = size > 0 and os.pread(handle, 1, size - 1) != b"\n"
        line = json.dumps(dict(entry), sort_keys=True) + "\n"
        os.write(handle, (("\n" if torn else "") + line).encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def last_history(count: int, path: str = HISTORY) -> list[dict[str, Any]]:
    """The newest entries, oldest first. A line that a power cut has torn is left out."""
    found = []
    for line in _files.read(path).splitlines()[-count:]:
        with contextlib.suppress(ValueError):
            found.append(json.loads(line))
    return found


def role_before(epoch: int, path: str = HISTORY) -> str | None:
    """What this host was before an epoch; None where its history does not tell."""
    entries = reversed(last_history(_HISTORY_READ, path))
    return next((e["role"] for e in entries if "role" in e and e.get("epoch", epoch) < epoch), None)


@dataclass(frozen=True)
class Decision:
    """The master of a store, and the epoch in which it is."""

    master: str
    epoch: int


def decide(store: str, records: Mapping[str, Record | None], first_master: str) -> Decision:
    """Who is master by the records of all hosts; the inventory names the first master only."""
    known = {host: record for host, record in records.items() if record is not None}
    for host, record in known.items():
        if record.store != store:
            raise ReplicationError(
                f"{host} belongs to store {record.store}, the inventory says {store}: "
                "correct cyrus_store"
            )
        if record.host != host:
            raise ReplicationError(
                f"{host} has the role record of {record.host}: give the host its old name back"
            )
    if not known:
        if not first_master:
            raise ReplicationError(f"store {store} has no role record yet: set cyrus_master")
        if first_master not in records:
            raise ReplicationError(
                f"cyrus_master names {first_master}, which is no host of store {store}"
            )
        return Decision(first_master, 1)
    epoch = max(record.epoch for record in known.values())
    masters = sorted({record.master for record in known.values() if record.epoch == epoch})
    if len(masters) > 1:
        raise ReplicationError(
            f"store {store} has two masters in epoch {epoch}, {' and '.join(masters)}: find out "
            "which of them took mail, and give that one a higher epoch with the module role; the "
            "guard fences the other one, and rejoin brings it back"
        )
    if masters[0] not in records:
        raise ReplicationError(
            f"store {store} has the master {masters[0]} in epoch {epoch}, "
            "which the inventory does not name: add the host"
        )
    return Decision(masters[0], epoch)


def stale(
    records: Mapping[str, Record | None],
    decision: Decision,
    fences: Mapping[str, Mapping[str, str]],
    awaited: Collection[str] = (),
) -> list[str]:
    """Hosts that setup must not touch, one sentence each: their data may be the only copy, or
    somebody has them in hand. `fences` are those that are there; the guard's is for masters.
    `awaited` are the hosts that the master waits for."""
    reasons = [
        f"{host} is fenced by {fence['by']} since {fence['since']} ({fence['reason']}): run "
        "switchover again, or release it with the module fence, state=absent"
        for host, fence in sorted(fences.items())
        if host == decision.master or fence["by"] != "guard"
    ]
    for host, record in sorted(records.items()):
        if record is None:
            if host in awaited:
                reasons.append(
                    f"{host} has no role record and {decision.master} awaits it, since it may have "
                    "mail that nobody else has: restore its record, or read its disk with rejoin"
                )
        elif record.role == "fenced":
            reasons.append(f"{host} is fenced since {record.since}: bring it back with rejoin")
        elif record.role == "master" and host != decision.master:
            reasons.append(
                f"{host} was master in epoch {record.epoch} and {decision.master} is it in epoch "
                f"{decision.epoch}: bring {host} back with rejoin"
            )
        elif record.epoch < decision.epoch and host in awaited:
            reasons.append(
                f"{host} has missed that {decision.master} is master in epoch {decision.epoch}, "
                "and may have mail that nobody else has: bring it back with rejoin"
            )
    return reasons


def ensure(wanted: Record, reason: str, check: bool) -> tuple[Record | None, Record]:
    """Bring this host's record to what is wanted; returns it as it was and as it is."""
    before = read()
    if before is not None and wanted.same(before):
        return before, before
    parse(json.dumps(asdict(wanted)), "the wanted record")
    if before is not None and before.epoch > wanted.epoch:
        raise ReplicationError(
            f"{wanted.host} has a record of epoch {before.epoch}, epoch {wanted.epoch} is older: "
            "the role does not go back"
        )
    if not check:
        _put(wanted)
        # The record decides; a disk that is full now costs the line only.
        with contextlib.suppress(OSError):
            append_history(
                {
                    "time": wanted.since,
                    "what": reason,
                    "from": before.master if before else None,
                    "to": wanted.master,
                    "role": wanted.role,
                    "epoch": wanted.epoch,
                    "outcome": "done",
                }
            )
    return before, wanted


def _put(wanted: Record) -> None:
    try:
        write(wanted)
        found = read()
    except OSError as error:
        raise ReplicationError(
            f"{RECORD} can't be written ({error.strerror}): make room or restore its folder"
        ) from error
    if found != wanted:
        raise ReplicationError(f"{RECORD} does not hold what was written to it: look at the disk")
