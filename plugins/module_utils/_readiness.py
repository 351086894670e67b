# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Everything of one host that decides whether it can take part in a change of master.

What can't be found out is null, and why is said beside it; nothing hides the rest.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from . import (
    _activities,
    _backup,
    _certificate,
    _clearance,
    _doubt,
    _endpoints,
    _fence,
    _link,
    _peers,
    _received,
    _role,
    _stage,
    _trees,
    _unreplicated,
)
from ._errors import ReplicationError
from ._install import Install

_KINDS = ("partition", "metapartition", "archivepartition")


def describe() -> dict[str, Any]:
    """One entry for each thing, and `unknown` with a reason for each that is null for want of
    one."""
    unknown: dict[str, str] = {}

    def known(name: str, ask: Callable[[], Any]) -> Any:
        try:
            return ask()
        except ReplicationError as error:
            unknown[name] = str(error)
        except OSError as error:
            unknown[name] = f"{error.filename or name}: {error.strerror}"
        return None

    found: dict[str, Any] = {
        name: known(name, ask)
        for name, ask in {
            "version": lambda: Install.discover().version_text,
            "version_tuple": lambda: list(Install.discover().version),
            "record": lambda: _plain(_role.read()),
            "fence": lambda: _plain(_fence.read()),
            "cleared": _cleared,
            "layout": lambda: Install.discover().layout(),
            "partitions": _partitions,
            "config_directory": lambda: _space(Install.discover().config_directory),
            "certificate": _link_certificate,
            "peers": _ask_peers,
            "heartbeat": _received.heartbeat,
            "parity": _received.last_parity,
            "doubt": lambda: _plain(_doubt.read()),
            "activities": _activities.told,
            "reseed": lambda: _plain(_stage.read()),
            "backup": lambda: _plain(_backup.under_way()),
            "trees": _trees_here,
            "databases": lambda: [asdict(d) for d in _unreplicated.in_use(Install.discover())],
            "read_only": lambda: not os.access(_role.STATE_DIR, os.W_OK),
        }.items()
    }
    return {**found, "clock": round(time.time(), 3), "unknown": unknown}


def _plain(value: Any) -> dict[str, Any] | None:
    return None if value is None else asdict(value)


def _cleared() -> bool:
    record = _role.read()
    return record is not None and _clearance.valid(record.epoch)


def _space(path: str) -> dict[str, Any]:
    """Of the file system where the folder is, or will be; what is free is so for Cyrus, which is
    not root."""
    there = path
    while not os.path.exists(there):
        there = os.path.dirname(there)
    told = os.statvfs(there)
    return {
        "path": path,
        "free_bytes": told.f_bavail * told.f_frsize,
        "total_bytes": told.f_blocks * told.f_frsize,
        "used_bytes": (told.f_blocks - told.f_bfree) * told.f_frsize,
    }


def _partitions() -> dict[str, dict[str, Any]]:
    """By name; those for metadata and archives with their kind before it."""
    install = Install.discover()
    return {
        name if kind == "partition" else f"{kind}-{name}": _space(path)
        for kind in _KINDS
        for name, path in install.partitions(kind).items()
    }


def _link_certificate() -> dict[str, Any] | None:
    """The one of the link that ends first, the host's own or the authority's; none where the link
    is plain."""
    if _endpoints.read_store().link == "plain":
        return None
    now = time.time()
    validities = [_certificate.validity(f"{_link.DIR}/{name}.pem", now) for name in ("cert", "ca")]
    return asdict(min(validities, key=lambda validity: validity.days_left))


def _ask_peers() -> dict[str, dict[str, Any]]:
    """What each other host of the store answers just now."""
    record = _role.read()
    if record is None:
        return {}
    store = _endpoints.read_store()
    names = [host.name for host in store.hosts if host.name != record.host]
    return {name: _peer(heard) for name, heard in _peers.ask_all(store, names).items()}


def _peer(heard: _peers.Answer | ReplicationError) -> dict[str, Any]:
    if isinstance(heard, ReplicationError):
        told = dict.fromkeys(("epoch", "role", "master", "fenced"))
        return {"reached": False, **told, "reason": str(heard)}
    return {
        "reached": True,
        **{key: getattr(heard.record, key) for key in ("epoch", "role", "master")},
        "fenced": heard.fenced,
        "reason": None,
    }


def _trees_here() -> dict[str, Any]:
    """What a copy of this host consists of, and why it would not be all."""
    settings = Install.discover().settings
    found = {tree.name: tree.path for tree in _trees.trees(settings)}
    return {"paths": found, "troubles": list(_trees.troubles(settings))}
