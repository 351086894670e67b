# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One control group a host: it is the record of which processes are the host's."""

from __future__ import annotations

import time
from pathlib import Path

from .errors import LabError

_STANDARD = Path("/sys/fs/cgroup")


def mount_point() -> Path:
    """Return where version 2 of the hierarchy is mounted."""
    for line in Path("/proc/mounts").read_text().splitlines():
        path, kind = line.split()[1:3]
        if kind == "cgroup2":
            return Path(path)
    raise LabError("this machine mounts no cgroup2 hierarchy: the hosts' systemd needs one")


def is_hybrid() -> bool:
    """Tell whether version 1 is mounted where a host's systemd looks for version 2."""
    return mount_point() != _STANDARD


def of_lab(lab_id: str) -> Path:
    return mount_point() / f"mailops-lab-{lab_id}"


def of_host(lab_id: str, host: str) -> Path:
    return of_lab(lab_id) / host


def is_populated(group: Path) -> bool:
    try:
        events = (group / "cgroup.events").read_text()
    except OSError:
        return False
    return "populated 1" in events


def processes(group: Path) -> list[int]:
    try:
        return [int(pid) for pid in (group / "cgroup.procs").read_text().split()]
    except OSError:
        return []


def kill(group: Path, seconds: float = 20) -> None:
    """End every process in the group at once, as a power cut does."""
    if not is_populated(group):
        return
    (group / "cgroup.kill").write_text("1")
    if not wait_empty(group, seconds):
        raise LabError(f"processes in {group} survive SIGKILL: see its cgroup.procs")


def freeze(group: Path, seconds: float = 2) -> None:
    """Let no process of the group run any more; one that waits for its disk is let be."""
    if not is_populated(group):
        return
    (group / "cgroup.freeze").write_text("1")
    deadline = time.monotonic() + seconds
    while "frozen 1" not in (group / "cgroup.events").read_text():
        if time.monotonic() > deadline:
            return
        time.sleep(0.005)


def wait_empty(group: Path, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while is_populated(group):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def remove(group: Path) -> None:
    """Remove an empty group with the groups in it."""
    if not group.exists():
        return
    for folder in sorted((p for p in group.rglob("*") if p.is_dir()), reverse=True):
        folder.rmdir()
    group.rmdir()
