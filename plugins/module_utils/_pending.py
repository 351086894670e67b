# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!


"""For which old masters this host waits, since a failover, with the merge base kept for each.

While it waits for one, nothing that was expunged is forgotten here: what the old master has could
not be told any more from what was expunged since.
"""

from __future__ import annotations

import contextlib
import json
import os
from dataclasses import asdict, dataclass
from typing import Any

from . import _aside, _cyrmaster, _files, _posture, _role
from ._errors import ReplicationError
from ._install import Install

PATH = f"{_role.STATE_DIR}/rejoin.json"


@dataclass(frozen=True)
class Mark:
    """An old master by its name, the epoch in which this host took its place, the path of the merge
    base, and since when (ISO 8601, UTC)."""

    epoch: int
    old: str
    base: str
    since: str


def read() -> list[Mark]:
    """All that this host waits for; a damaged list is never taken for an empty one."""
    try:
        text = _files.read(PATH)
        return [Mark(**entry) for entry in json.loads(text)] if text else []
    except (OSError, ValueError, TypeError) as error:
        raise ReplicationError(f"{PATH} can't be read ({error}): restore it") from error


def add(mark: Mark) -> None:
    """Wait for an old master from now on; durable on return."""
    others = [one for one in read() if (one.epoch, one.old) != (mark.epoch, mark.old)]
    _write([*others, mark])


def end(epoch: int, old: str, by: float, check: bool = False) -> bool:
    """Wait for an old master no longer, and have what rested run again; whether it was waited for.
    `by` is the time of the monotonic clock until which it has to be done."""
    marks = read()
    others = [one for one in marks if (one.epoch, one.old) != (epoch, old)]
    if check:
        return others != marks
    if others != marks:
        _write(others)
    files = _posture.apply()
    updated = _cyrmaster.update(by)
    return bool(others != marks or files or updated)


def _write(marks: list[Mark]) -> None:
    try:
        if marks:
            _files.write(PATH, json.dumps([asdict(one) for one in marks]) + "\n", 0o644)
            return
        with contextlib.suppress(FileNotFoundError):
            os.unlink(PATH)
            _files.sync_directory(os.path.dirname(PATH))
    except OSError as error:
        raise ReplicationError(
            f"{PATH} can't be written ({error.strerror}): make room or restore its folder"
        ) from error


def describe() -> dict[str, Any]:
    """What a failover and a rejoin have left here."""
    found = [_aside.read(epoch) for epoch in _aside.epochs()]
    install = Install.discover() if found else None
    return {
        "marks": [asdict(mark) for mark in read()],
        "asides": [
            {
                "epoch": aside.epoch,
                "complete": aside.complete,
                "users": list(aside.users),
                "shared": aside.shared,
                "where": _aside.places(install, aside.epoch),
            }
            for aside in found
            if aside is not None and install is not None
        ],
    }
