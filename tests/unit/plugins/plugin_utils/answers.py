# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the hosts of a store answer whose replicas follow their master imap1."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

Vars = dict[str, dict[str, Any]]


def record(host: str) -> dict[str, Any]:
    role = "master" if host == "imap1" else "replica"
    told = {"store": "store1", "host": host, "role": role, "master": "imap1", "epoch": 2}
    return {**told, "since": "2026-11-01T10:00:00Z"}


def channel(replica: str) -> dict[str, Any]:
    return {
        "name": replica,
        "replica": replica,
        "state": "active",
        "paused": False,
        "link": {"ok": True, "reason": None},
        "lag": 0.5,
        "quarantine": [],
    }


def answers(hosts: Sequence[str], readiness: Callable[[str], dict[str, Any]]) -> Vars:
    """Ansible's variables of all hosts, the master first."""
    found: Vars = {}
    for host in hosts:
        server = {"installed": True, "version": "3.6.1", "record": record(host), "history": []}
        channels = [channel(name) for name in hosts[1:]] if host == hosts[0] else []
        found[host] = {
            "cyrus_store": "store1",
            "cyrus_master": hosts[0],
            "cyrus_server": server,
            "cyrus_readiness": readiness(host),
            "cyrus_channels": {"channels": channels},
        }
    return found
