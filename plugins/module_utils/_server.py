# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a host has to say about itself before anything is done to it."""

from __future__ import annotations

import dataclasses
import os
import socket
from typing import Any

from . import (
    _clearance,
    _command,
    _cyrus_conf,
    _doubt,
    _endpoints,
    _fence,
    _guard_state,
    _rejoins,
    _role,
    _terms,
)
from ._install import Install, site_settings

_HISTORY_SHOWN = 10


def missing_packages(wanted: list[str]) -> list[str]:
    """Those that dpkg does not have installed."""
    if not wanted:
        return []
    query = ["dpkg-query", "-W", "-f", "${Package} ${db:Status-Status}\n", *wanted]
    done = _command.run(query, timeout=30)
    present = {
        words[0]
        for line in done.stdout.splitlines()
        if (words := line.split())[1:] == ["installed"]
    }
    return [name for name in wanted if name not in present]


def describe(found: dict[str, Any], packages: list[str], settings: dict[str, str]) -> None:
    """Fill in what is known step by step: a failure leaves what was learned before it."""
    found.update(
        installed=False,
        version=None,
        record=None,
        fence=None,
        cleared=None,
        history=[],
        doubt=None,
        guard=None,
        guards={},
        awaited=[],
        store_hosts=[],
        source=None,
        layout=None,
        wanted_layout=None,
        services=[],
        missing=[],
        missing_packages=missing_packages(packages),
        realm=socket.gethostname(),
    )
    record = _role.read()
    found["record"] = dataclasses.asdict(record) if record else None
    fence = _fence.read()
    found["fence"] = dataclasses.asdict(fence) if fence else None
    if record and record.role == "master":
        found["cleared"] = _clearance.valid(record.epoch)
    found["history"] = _role.last_history(_HISTORY_SHOWN)
    doubt = _doubt.read()
    found["doubt"] = dataclasses.asdict(doubt) if doubt else None
    found["guard"] = _guard_state.describe() if record else None
    found["guards"] = _terms.heard()
    found["awaited"] = [dataclasses.asdict(entry) for entry in _rejoins.read()]
    if record and os.path.exists(_endpoints.DESCRIPTION):
        store = _endpoints.read_store()
        found["store_hosts"] = [host.name for host in store.hosts]
        if record.role == "replica":
            found["source"] = store.source(record.host, record.master)
    if Install.find() is None:
        return
    found["installed"] = True
    install = Install.discover()
    found["version"] = install.version_text
    found["layout"] = install.layout()
    wanted = {**site_settings(install.imapd_conf), **settings}
    found["wanted_layout"] = install.with_settings(wanted).layout()
    found["realm"] = install.setting("servername", found["realm"])
    entries = install.services
    found["services"] = [entry.name for entry in entries if entry.section == "SERVICES"]
    found["missing"] = _cyrus_conf.check_services(
        entries, (install.bin_dir, *_cyrus_conf.LIBEXEC_DIRS)
    )
