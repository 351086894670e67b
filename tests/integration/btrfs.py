# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A real host whose mail is in a real btrfs for a while, and a site's tasks for its snapshots."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tests.lab.host import Host
from tests.lab.settings import from_environment

from . import lab

_FOLDERS = ("/var/spool/cyrus", "/var/spool/sieve", "/var/lib/cyrus")
_IMAGE, _NODE, _TOP = "/srv/btrfs.img", "/srv/btrfs.node", "/srv/btrfs"
_MAIL = f"{_TOP}/mail"
SNAPSHOT = f"{_TOP}/snapshot"
HOOK = f"""
- name: Take a snapshot
  ansible.builtin.shell: |
    if [ -e {SNAPSHOT} ]; then btrfs subvolume delete {SNAPSHOT}; fi
    btrfs subvolume snapshot -r {_MAIL} {SNAPSHOT}
  when: cyrus_snapshot_action == 'take'

- name: Remove it
  ansible.builtin.command: btrfs subvolume delete {SNAPSHOT}
  when: cyrus_snapshot_action == 'remove'
"""


@contextmanager
def below(name: str) -> Iterator[None]:
    """The host's mail is in a subvolume meanwhile."""
    lab.ssh(
        name,
        "DEBIAN_FRONTEND=noninteractive apt-get install -y -qq btrfs-progs >/dev/null"
        f" && truncate -s 1G {_IMAGE} && mkfs.btrfs -q {_IMAGE} && mkdir -p {_TOP}",
    )
    _mount(Host(from_environment(), name))
    _moved(name, f"btrfs subvolume create {_MAIL}", _to_btrfs)
    try:
        yield
    finally:
        _moved(name, "true", _back)
        lab.ssh(name, f"umount {_TOP}; rm {_IMAGE} {_NODE}")


def _mount(host: Host) -> None:
    """From outside, since a lab's host may not open a device; which goes with the mount."""
    device = _run(["losetup", "--find", "--show", str(host.file(_IMAGE))]).strip()
    try:
        number = device.removeprefix("/dev/loop")
        _run(host.command(["mknod", _NODE, "b", "7", number]))
        _run(host.command(["mount", _NODE, _TOP]))
    finally:
        _run(["losetup", "--detach", device])


def _run(argv: list[str]) -> str:
    return subprocess.run(argv, check=True, stdout=subprocess.PIPE, text=True).stdout


def _to_btrfs(folder: str) -> str:
    there = f"{_MAIL}{folder}"
    return f"mkdir -p {there} && rsync -aHX {folder}/ {there} && mount --bind {there} {folder}"


def _back(folder: str) -> str:
    return f"umount {folder} && rsync -aHX --delete {_MAIL}{folder}/ {folder}"


def _moved(name: str, first: str, move: Callable[[str], str]) -> None:
    """While Cyrus stands still."""
    steps = ["systemctl stop cyrus-imapd", first, *map(move, _FOLDERS)]
    lab.ssh(name, " && ".join([*steps, "systemctl start cyrus-imapd"]))
