# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What is under way on this host that a change of master would disturb, a file each.

A file outlives a run that died, so that nobody takes a store for whole that is not.
"""

from __future__ import annotations

import glob
import json
import os
from dataclasses import dataclass

from . import _files, _role
from ._errors import ReplicationError

_PREFIX = f"{_role.STATE_DIR}/activity-"


@dataclass(frozen=True)
class Activity:
    """What it is, for people, and since when; `kind` is reseed or backup."""

    kind: str
    what: str
    since: str


def begin(activity: Activity, check: bool) -> bool:
    """Note it; of one that is noted already the time stays. Whether it was not noted."""
    path = _path(activity.kind)
    there = _read(path) if os.path.exists(path) else None
    if there is not None and there.what == activity.what:
        return False
    if there is not None:
        raise ReplicationError(f"{there.what} is under way since {there.since}: end it first")
    if not check:
        text = json.dumps({"what": activity.what, "since": activity.since}, sort_keys=True)
        _files.write(path, text + "\n", 0o644)
    return True


def end(kind: str, check: bool) -> bool:
    """Note that it is over; whether it was noted."""
    there = os.path.exists(_path(kind))
    if there and not check:
        os.unlink(_path(kind))
    return there


def told() -> list[str]:
    """All of them, a sentence each; one that can't be read is one as well."""
    return [_sentence(path) for path in sorted(glob.glob(f"{_PREFIX}*.json"))]


def _sentence(path: str) -> str:
    try:
        one = _read(path)
    except ReplicationError as error:
        return str(error)
    return f"{one.what} is under way since {one.since}"


def _read(path: str) -> Activity:
    try:
        found = json.loads(_files.read(path))
        kind = os.path.basename(path)[len("activity-") : -len(".json")]
        return Activity(kind, str(found["what"]), str(found["since"]))
    except (ValueError, TypeError, KeyError) as error:
        raise ReplicationError(
            f"something is under way, and {path} does not say what ({error})"
        ) from error


def _path(kind: str) -> str:
    return f"{_PREFIX}{kind}.json"
