# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""At which moment of the replication a fault comes, seen from outside, and faster than by ssh."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from tests.integration import lab
from tests.lab.host import Host
from tests.lab.settings import from_environment

# Waiting: changes are logged, and nobody has taken them. Asking: a batch is in hand, and one end or
# the other is asked what it has. Sending: sync_client runs.
MOMENTS = ("waiting", "asking", "sending")
_EVERY = 0.002


def moment(host: Host, channel: str) -> str:
    """Where the channel is now; empty when it has nothing to do."""
    logs = host.file(f"/var/lib/cyrus/sync/{channel}")
    if (logs / "log-run").exists():
        return "sending" if any(map(_is_client, _processes(_group(host, channel)))) else "asking"
    return "waiting" if (logs / "log").exists() else ""


def wait_for(wanted: str, master: str, channel: str, seconds: float) -> str:
    """Wait for a moment, and no longer than so many seconds; the moment that it is."""
    host = Host(from_environment(), master)
    deadline = time.monotonic() + seconds
    while (now := moment(host, channel)) != wanted and time.monotonic() < deadline:
        time.sleep(_EVERY)
    return now


def hang(master: str) -> None:
    """Let every channel stand still where it is."""
    for group in _group(Host(from_environment(), master), "*"):
        (group / "cgroup.freeze").write_text("1")


def end(master: str) -> None:
    """Kill every channel where it stands, so that none goes on when nobody serves any more."""
    lab.ssh(master, "systemctl stop --no-block 'cyrus-replicator@*'")
    for group in _group(Host(from_environment(), master), "*"):
        (group / "cgroup.kill").write_text("1")


def _group(host: Host, channel: str) -> list[Path]:
    return list(host.group.glob(f"payload/system.slice/*/cyrus-replicator@{channel}.service"))


def _processes(groups: list[Path]) -> Iterator[str]:
    for group in groups:
        yield from (group / "cgroup.procs").read_text().split()


def _is_client(pid: str) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip() == "sync_client"
    except OSError:
        return False
