# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The units of a host by its role, and the files that each of them has read."""

from __future__ import annotations

from typing import Any

from . import _store, _units
from ._config import COMMAND, LIBRARY, UNIT_DIR, Request
from ._store import CONFIG_DIR


def units(plan: _store.Plan, request: Request) -> list[_units.Unit]:
    """Units of a host in the order in which they start."""
    return [_units.Unit(**unit) for unit in unit_files(plan, request)]


def unit_files(plan: _store.Plan, request: Request) -> list[dict[str, Any]]:
    """Units of a host in the order in which they start, each with the files it has read."""
    replicator = [f"{UNIT_DIR}/cyrus-replicator@.service", COMMAND, LIBRARY]
    own = [request.imapd_conf, _store.SECRETS, *replicator]
    keys = [f"{CONFIG_DIR}/{name}.pem" for name in ("ca", "cert", "key")]
    guard = [f"{CONFIG_DIR}/guard.json", f"{CONFIG_DIR}/store.json", COMMAND, LIBRARY, *keys]
    guard.append(f"{UNIT_DIR}/cyrus-guard.service")
    units: list[dict[str, Any]] = [
        {"name": "cyrus-guard.service", "files": guard, "sockets": []},
        {
            "name": _units.CYRUS,
            "files": [request.imapd_conf, request.cyrus_conf, _store.SECRETS],
            "sockets": [_store.CSYNC_SOCKET],
        },
    ]
    keys.append(f"{UNIT_DIR}/cyrus-link@.service")
    units += [
        {
            "name": f"cyrus-link@{name}.service",
            "files": [f"{CONFIG_DIR}/link-{name}.conf", *keys],
            "sockets": [],
        }
        for name in plan.links
    ]
    units += [
        {"name": f"cyrus-replicator@{channel}.service", "files": own, "sockets": []}
        for channel in plan.channels
    ]
    return units
