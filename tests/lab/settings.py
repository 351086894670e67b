# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where one lab keeps its things, from LAB_ID, LAB_DIR, LAB_NET and LAB_DISK_SIZE."""

from __future__ import annotations

import os
from dataclasses import dataclass
from ipaddress import IPv4Network
from pathlib import Path

from .plan import check_lab_id, network_of

CACHE = Path("/var/cache/mailops-lab")
_STATE = Path("/var/lib/mailops-lab")
_RUN = Path("/run/mailops-lab")
_CHECKOUT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Settings:
    lab_id: str
    network: IPv4Network
    folder: Path  # in the checkout: inventory, key, known_hosts
    disk_size: str

    @property
    def state(self) -> Path:
        return _STATE / self.lab_id

    @property
    def run(self) -> Path:
        """Sockets and locks: gone with a reboot of the machine, as what they stand for is."""
        return _RUN / self.lab_id

    @property
    def disk(self) -> Path:
        """The tmpfs that holds what the hosts write."""
        return self.state / "disk"

    @property
    def snapshots(self) -> Path:
        return self.state / "snapshots"

    @property
    def key(self) -> Path:
        return self.state / "id_ed25519"

    @property
    def ssh_sockets(self) -> Path:
        return self.run / "ssh"

    def host_key(self, host: str) -> Path:
        return self.state / "hosts" / host / "ssh_host_ed25519_key"


def lab_ids() -> list[str]:
    """Return the labs that exist on this machine."""
    return sorted(path.name for path in _STATE.glob("*"))


def tree_lock(release: str) -> Path:
    return _RUN / f"tree-{release}.lock"


def machine_lock() -> Path:
    return _RUN / "machine.lock"


def from_environment() -> Settings:
    lab_id = check_lab_id(os.environ.get("LAB_ID") or "lab")
    return Settings(
        lab_id=lab_id,
        network=network_of(lab_id, os.environ.get("LAB_NET") or None),
        folder=_CHECKOUT / (os.environ.get("LAB_DIR") or ".lab"),
        disk_size=os.environ.get("LAB_DISK_SIZE") or _default_disk_size(),
    )


def _default_disk_size() -> str:
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2**20
    return f"{min(8192, memory // 2)}M"
