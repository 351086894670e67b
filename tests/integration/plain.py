# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cyrus's own rolling replication in place of ours, under systemd's care, to watch it fail."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from . import lab

_UNIT = "plain-replication"


@dataclass(frozen=True)
class Plain:
    """A running `sync_client -R`."""

    master: str
    since: float

    def loops(self) -> int:
        """How often it has read the same log again since it was started."""
        found = lab.ssh(
            self.master,
            f"journalctl -o cat --since @{self.since:.3f} -u {_UNIT}"
            " | grep -c 'Reprocessing sync log file'",
            check=False,
        )
        return int(found.stdout)


@contextmanager
def replication(channel: str, master: str = "imap1") -> Iterator[Plain]:
    """Stop our replicator for a while and let plain Cyrus do its work."""
    ours = f"cyrus-replicator@{channel}"
    lab.ssh(master, f"systemctl stop {ours}")
    since = time.time()
    lab.ssh(
        master,
        f"systemd-run --quiet --collect --unit={_UNIT} -p User=cyrus -p Group=mail"
        " -p Restart=always -p RestartSec=1 -p StartLimitIntervalSec=0"
        f" /usr/lib/cyrus/bin/sync_client -R -l -n {channel}",
    )
    try:
        yield Plain(master, since)
    finally:
        lab.ssh(master, f"systemctl stop {_UNIT}; systemctl start {ours}")
