# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The making of a backup, in a unit of its own: Cyrus comes to rest, its files are copied.

The end of the unit starts Cyrus, however it comes about.
"""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict

from . import _backup, _backup_content, _backup_drivers, _command, _files, _trees, _units
from ._backup import Order, Result
from ._errors import ReplicationError
from ._install import Install

_PAUSE = 0.2
_DATABASES = {"mailboxes.db": "mboxlist_db", "annotations.db": "annotation_db"}
_FORMAT = "twoskip"


def run() -> int:
    """Make the backup that was asked for, and note what came of it."""
    order, unknown = _backup.ordered()
    result, began = Result(order.name, unknown=unknown), time.monotonic()
    try:
        if order.rests:
            _units.stop([_units.CYRUS])
            result.unknown += _inconsistent(Install.discover())
        before = _cyrus()
        if order.driver == "none":
            _until_released(order)
        else:
            _copy(order, result)
        if order.rests and _ran_since(before):
            raise ReplicationError(
                f"Cyrus was started meanwhile, so {result.name} is not whole: remove it"
            )
    except (ReplicationError, OSError) as error:
        result.trouble = str(error)
        _remove_part(order)
    result.seconds = round(time.monotonic() - began, 3)
    result.rested = result.seconds if order.rests else 0.0
    _files.write(_backup.RESULT, json.dumps(asdict(result)) + "\n", 0o600)
    return 1 if result.trouble else 0


def _cyrus() -> _units.State:
    return _units.states([_units.CYRUS])[_units.CYRUS]


def _ran_since(before: _units.State) -> bool:
    now = _cyrus()
    # The time of the boot, from which it is counted, is known to some milliseconds.
    return now.active or abs(now.started - before.started) > 1.0


def _until_released(order: Order) -> None:
    end = time.monotonic() + order.seconds
    while not os.path.exists(_backup.RELEASED):
        if time.monotonic() >= end:
            raise ReplicationError("nobody has said that the snapshot is taken")
        time.sleep(_PAUSE)


def _copy(order: Order, result: Result) -> None:
    trees = _trees.trees(Install.discover().settings)
    below = order.root.rstrip("/")
    there = [
        os.path.join(tree.path, entry)
        for tree in trees
        for entry in tree.kept
        if os.path.lexists(os.path.join(below + tree.path, entry))
    ]
    wanted = _backup_drivers.paths(trees, _backup_content.PATH, order.root, there)
    _remove_part(order)
    before = _newest(order) if order.driver == "rsync" else None
    argv = _backup_drivers.command(order.driver, order.to, order.name, wanted, before)
    done = _command.run(argv, order.seconds, environment=os.environ)
    if done.rc != 0:
        why = _backup_drivers.complaint(done.stderr)
        raise ReplicationError(f"{order.driver} ended with {done.rc}: {why}{_room(order)}")
    # tar has its totals where it has its complaints.
    made = _backup_drivers.made(order.driver, done.stdout + done.stderr, order.name)
    result.name, result.bytes = made.name, made.bytes
    part = _backup_drivers.grows(order.driver, order.to, order.name)
    if part is not None:
        result.name = part[: -len(_backup_drivers.PART)]
        os.sync()
        os.rename(part, result.name)
        _files.sync_directory(order.to)


def _room(order: Order) -> str:
    """How much is free, since tar does not say that it is that."""
    if order.driver == "restic":
        return ""
    return f" ({shutil.disk_usage(order.to).free / 1e6:.0f} MB are free in {order.to})"


def _newest(order: Order) -> str | None:
    """The newest whole backup of this host; its name has the time."""
    stem = order.name.rsplit("-", 1)[0]
    found = [
        entry.path
        for entry in os.scandir(order.to)
        if entry.is_dir(follow_symlinks=False)
        and entry.name.startswith(f"{stem}-")
        and not entry.name.endswith(_backup_drivers.PART)
    ]
    return max(found, default=None)


def _remove_part(order: Order) -> None:
    """What an earlier run has left that was cut off, and this one's own."""
    if order.driver not in ("tar", "rsync"):
        return
    stem = order.name.rsplit("-", 1)[0]
    for entry in list(os.scandir(order.to)):
        if entry.name.startswith(f"{stem}-") and entry.name.endswith(_backup_drivers.PART):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path)
            else:
                os.unlink(entry.path)


def _inconsistent(install: Install) -> Iterator[str]:
    """Databases that Cyrus's own check finds damaged, by what it says: it exits 0 in any case."""
    for name, option in _DATABASES.items():
        path = os.path.join(install.config_directory, name)
        if not os.path.exists(path):
            continue
        form = install.setting(option, _FORMAT)
        said = install.run("cyr_dbtool", path, form, "consistent", timeout=600).stdout.strip()
        if said != "Yes, consistent":
            yield f"{path} is damaged ({said or 'cyr_dbtool says nothing'})"
