# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a guard keeps of itself while the host is up, for `status` and for its own next start."""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from . import _files, _terms, _units
from ._errors import ReplicationError

PATH = "/run/cyrus-replication/guard.json"
UNIT = "cyrus-guard.service"
STATES = ("watching", "waiting", "fenced", "superseded", "failing")


@dataclass(frozen=True)
class Watch:
    """The guard's state, one of STATES, since when (ISO 8601) and why.

    `contact` is when somebody was last seen, by the clock that runs since the boot. `releasing` is
    how often Cyrus is still to be brought back, `stopped` whether the guard has stopped it.
    """

    state: str
    since: str
    reason: str | None = None
    peers: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    contact: float = 0.0
    releasing: int = 0
    stopped: bool = False

    def save(self) -> None:
        # Without room for the account of it, the guard goes on.
        with contextlib.suppress(OSError):
            os.makedirs(os.path.dirname(PATH), exist_ok=True)
            _files.write(PATH, json.dumps(asdict(self), sort_keys=True) + "\n", 0o644)


def load() -> Watch | None:
    """As the guard has left it since the boot; one that can't be read is none."""
    try:
        return Watch(**json.loads(_files.read(PATH)))
    except (OSError, ValueError, TypeError):
        return None


def unseen() -> float | None:
    """For how many seconds this host has seen nobody, where that is more than its lease."""
    watch, (_me, terms) = load(), _terms.own()
    if watch is None or terms.lease <= 0 or not terms.delivery_hosts:
        return None
    seconds = time.monotonic() - watch.contact
    return seconds if seconds > terms.lease else None


def describe() -> dict[str, Any] | None:
    """The guard of this host as plain data, None where there is none."""
    try:
        unit = _units.states([UNIT])[UNIT]
    except ReplicationError as error:
        return _shown("unknown", str(error))
    if not unit.loaded:
        return None
    found = load()
    if not unit.active or found is None:
        return _shown("stopped", f"{UNIT} does not run: look at its journal, and start it")
    return _shown(found.state, found.reason, found.since, found.peers)


def _shown(
    state: str,
    reason: str | None,
    since: str | None = None,
    peers: Mapping[str, Mapping[str, Any]] | None = None,
) -> dict[str, Any]:
    return {"state": state, "since": since, "reason": reason, "peers": dict(peers or {})}
