# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A backup of this replica, made by a unit of systemd while Cyrus rests.

Whatever happens to the backup or to who has asked for it, the unit's end starts Cyrus again: the
copying fails, hangs beyond its time, or is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field

from . import (
    _alone,
    _backup_content,
    _command,
    _files,
    _role,
    _trees,
    _units,
)
from ._errors import ReplicationError
from ._install import Install
from ._trees import Tree

_ORDER = f"{_backup_content.FOLDER}/order.json"
RESULT = f"{_backup_content.FOLDER}/result.json"
RELEASED = f"{_backup_content.FOLDER}/released"
UNIT = "cyrus-backup.service"
_UNIT_FILE = f"/run/systemd/system/{UNIT}"
_PAUSE = 0.2


@dataclass(frozen=True)
class Order:
    """One backup. `driver` none copies nothing: Cyrus rests until it is released, for somebody who
    takes a snapshot. With another `root` than / what is copied lies there, and Cyrus goes on."""

    driver: str
    to: str
    name: str
    seconds: float
    environment: str = ""
    root: str = "/"

    @property
    def rests(self) -> bool:
        return self.root == "/"

    def same(self, other: Order) -> bool:
        """Equal but for the time in its name."""
        return (self.driver, self.to, self.root) == (other.driver, other.to, other.root)


@dataclass
class Result:
    """What came of it: the backup's name, how many bytes it read, the seconds of all of it and
    those in which Cyrus rested, and a sentence for everything that could not be read."""

    name: str
    bytes: int | None = None
    seconds: float = 0.0
    rested: float = 0.0
    unknown: list[str] = field(default_factory=list)
    trouble: str | None = None


def begin(order: Order, seconds: float, check: bool) -> bool:
    """Have the unit make a backup, and wait until Cyrus rests; whether it was not asked for
    before."""
    _refuse(_role.known())
    there = under_way()
    if there is not None and there.same(order):
        return False
    if there is not None:
        raise ReplicationError(f"another backup is under way, to {there.to}: wait for it")
    _refuse_order(order)
    if check:
        return True
    with _alone.changing(seconds):
        os.makedirs(_backup_content.FOLDER, mode=0o700, exist_ok=True)
        for path in (RESULT, RELEASED):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
        unknown = _backup_content.keep(order.name) if order.rests else []
        _files.write(_ORDER, json.dumps({**asdict(order), "unknown": unknown}) + "\n", 0o600)
        _files.write(_UNIT_FILE, unit(order), 0o644)
        _units.reload()
        _units.queue([UNIT])
    if order.rests:
        _until_it_rests(seconds)
    return True


def unit(order: Order) -> str:
    """The unit's text; pure."""
    after = f"ExecStopPost=+/bin/systemctl --no-block start {_units.CYRUS}\n" if order.rests else ""
    environment = f"EnvironmentFile={order.environment}\n" if order.environment else ""
    return (
        "[Unit]\nDescription=A backup of Cyrus IMAP\n\n[Service]\nType=oneshot\n"
        f"TimeoutStartSec={order.seconds:g}\nTimeoutStopSec=30\n{environment}"
        f"ExecStart=/usr/bin/cyrus-replication backup\n{after}"
    )


def under_way() -> Order | None:
    """The backup that is being made; None where there is none."""
    return ordered()[0] if _units.active([UNIT]) else None


def release(check: bool) -> bool:
    """Let a Cyrus go on that rests for a snapshot; whether it did not before."""
    new = not os.path.exists(RELEASED)
    if new and not check:
        _files.write(RELEASED, "", 0o600)
    return new


def end(seconds: float, check: bool) -> bool:
    """End a backup that is under way; whether there was any."""
    there = bool(_units.active([UNIT]))
    if there and not check:
        _units.stop([UNIT])
        _started(seconds)
    return there


def wait(note: Callable[[str, int, int], None]) -> Result:
    """Until the backup has ended, and Cyrus runs; what came of it."""
    began = time.monotonic()
    while _units.active([UNIT]):
        note("seconds of the backup", round(time.monotonic() - began), 0)
        time.sleep(_PAUSE)
    result = _result()
    if ordered()[0].rests:
        _started(120)
    return result


def _result() -> Result:
    text = _files.read(RESULT)
    if not text:
        why = _command.run(["systemctl", "show", "-P", "Result", UNIT], 20).stdout.strip()
        limit = ordered()[0].seconds
        raise ReplicationError(
            f"the backup did not end within {limit:g} s, and was ended: give it more "
            "(cyrus_backup_limit)"
            if why == "timeout"
            else f"the backup was ended on the host ({why}): run it again"
        )
    return Result(**json.loads(text))


def _started(seconds: float) -> None:
    end = time.monotonic() + seconds
    while not _units.states([_units.CYRUS])[_units.CYRUS].active:
        if time.monotonic() >= end:
            raise ReplicationError(
                f"{_units.CYRUS} did not come up within {seconds:g} s: look at its journal"
            )
        time.sleep(_PAUSE)


def _until_it_rests(seconds: float) -> None:
    """Until Cyrus has stopped, or the unit has ended before."""
    end = time.monotonic() + seconds
    while _units.states([_units.CYRUS])[_units.CYRUS].active and _units.active([UNIT]):
        if time.monotonic() >= end:
            raise ReplicationError(f"Cyrus did not stop within {seconds:g} s: run it again")
        time.sleep(_PAUSE)


def _refuse(record: _role.Record) -> None:
    if record.role != "replica":
        raise ReplicationError(f"{record.host} is {record.role}: a backup is made of a replica")


def _refuse_order(order: Order) -> None:
    settings = Install.discover().settings
    for trouble in _trees.troubles(settings):
        raise ReplicationError(trouble)
    trees = _trees.trees(settings)
    if order.driver in ("tar", "rsync"):
        _refuse_folder(order.to, trees)
    if order.driver in ("rsync", "restic") and shutil.which(order.driver) is None:
        raise ReplicationError(f"{order.driver} is missing on this host: install it")
    if order.environment:
        try:
            mode = os.stat(order.environment).st_mode
        except OSError as error:
            raise ReplicationError(f"{order.environment}: {error.strerror}") from error
        if mode & (stat.S_IRWXO | stat.S_IWGRP):
            raise ReplicationError(
                f"{order.environment} holds secrets and others can read it: chmod 0600"
            )
    for tree in () if order.rests else trees:
        if not os.path.isdir(order.root.rstrip("/") + tree.path):
            raise ReplicationError(f"{order.root} is no copy of this host: it has no {tree.path}")


def _refuse_folder(to: str, trees: Iterable[Tree]) -> None:
    if not os.path.isabs(to) or not os.path.isdir(to):
        raise ReplicationError(f"{to or 'cyrus_backup_to'} is no folder on this host: make it")
    for tree in trees:
        if f"{os.path.realpath(to)}/".startswith(f"{os.path.realpath(tree.path)}/"):
            raise ReplicationError(f"{to} lies in {tree.path}, which is backed up: take another")


def ordered() -> tuple[Order, list[str]]:
    """What was asked for last, and what could not be read before Cyrus came to rest."""
    try:
        told = json.loads(_files.read(_ORDER))
        return Order(**{k: v for k, v in told.items() if k != "unknown"}), told["unknown"]
    except (ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{_ORDER} can't be read ({error}): run backup again") from error
