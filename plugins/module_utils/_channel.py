# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The channels of a master: does each one run, does its link work, and what waits for it.

What cannot be found out is null, and never counted as fine.
"""

from __future__ import annotations

import json
import os
from contextlib import closing
from dataclasses import asdict
from typing import Any

from . import _command, _endpoints, _files, _role
from ._errors import ReplicationError
from ._install import USER, Install
from ._session import Session
from ._store import Store
from ._synclog import Backlog, SyncLog

PARITY_DIR = f"{_role.STATE_DIR}/parity"

_SYSTEMCTL_SECONDS = 20


def channels() -> list[dict[str, Any]]:
    """One entry for each replica of the store whose master this host is; none on other hosts."""
    record = _role.read()
    if record is None or record.role != "master":
        return []
    install = Install.discover()
    store = _endpoints.read_store()
    return [
        _describe(install, store, host.name) for host in store.hosts if host.name != record.host
    ]


def _describe(install: Install, store: Store, replica: str) -> dict[str, Any]:
    name = store.channels()[replica]
    backlog, unread_log = _backlog(install, name)
    parity, unread_parity = _last_parity(name)
    reason = _link_trouble(install, store, replica)
    state = _unit_state(f"cyrus-replicator@{name}.service")
    return {
        "name": name,
        "replica": replica,
        "state": state,
        "link": {"ok": reason is None, "reason": reason},
        "backlog": asdict(backlog) if backlog else None,
        "lag": _lag(backlog, state == "active" and reason is None),
        "reason": unread_log or unread_parity,
        "parity": parity,
    }


def _backlog(install: Install, channel: str) -> tuple[Backlog | None, str | None]:
    log = SyncLog(install.config_directory, channel)
    try:
        foreign = log.foreign_file(USER)
        if foreign:
            # Such events are lost, and only syslog tells.
            return None, f"{foreign} does not belong to {USER}: Cyrus can't log to it"
        return log.backlog(), None
    except ReplicationError as error:
        return None, str(error)


def _lag(backlog: Backlog | None, works: bool) -> float | None:
    """Seconds that the oldest waiting event waits. Nothing waiting means no lag only where the
    channel works: a log that nobody writes or reads is empty too."""
    if backlog is None:
        return None
    if backlog.oldest is not None:
        return round(backlog.oldest, 1)
    return 0.0 if works else None


def _link_trouble(install: Install, store: Store, replica: str) -> str | None:
    """Why sync_client could not log in to the replica now; None where it could."""
    try:
        with closing(Session(_endpoints.receiving(store, replica, install.settings))):
            return None
    except ReplicationError as error:
        return str(error)


def _unit_state(unit: str) -> str:
    """As systemd names it: active, inactive, failed, activating ..."""
    command = ["systemctl", "show", "--property=ActiveState", "--value", unit]
    try:
        return _command.run(command, timeout=_SYSTEMCTL_SECONDS).stdout.strip() or "unknown"
    except ReplicationError:
        return "unknown"


def _last_parity(channel: str) -> tuple[dict[str, Any] | None, str | None]:
    path = os.path.join(PARITY_DIR, f"{channel}.json")
    if not os.path.exists(path):
        return None, None
    try:
        return json.loads(_files.read(path)), None
    except (OSError, ValueError) as error:
        return None, f"{path} can't be read ({error}): remove it"
