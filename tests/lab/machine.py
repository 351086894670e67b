# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab needs of the machine it runs on."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from .command import run, say
from .errors import LabError
from .lock import hold
from .settings import machine_lock

_TOOLS = {
    "debootstrap": "debootstrap",
    "systemd-nspawn": "systemd-container",
    "nft": "nftables",
    "ip": "iproute2",
    "rsync": "rsync",
    "ssh": "openssh-client",
    "unshare": "util-linux",
    "tar": "tar",
}
_INOTIFY = Path("/proc/sys/fs/inotify/max_user_instances")
_PATIENCE = 600.0  # seconds


def require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab mounts and makes namespaces: run it as root")


def prepare() -> None:
    """Install the tools that are missing, and make room for several init systems."""
    # Two labs that are booted side by side on a new machine would both install.
    with hold(machine_lock(), "this machine's packages"):
        _install()
    # All hosts share root's allowance of inotify instances; systemd takes several in each.
    if int(_INOTIFY.read_text()) < 1024:
        say("raising fs.inotify.max_user_instances to 1024")
        _INOTIFY.write_text("1024")


def _install() -> None:
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})
    if missing:
        say(f"installing {', '.join(missing)} on this machine")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
        _apt_get("-q", "update", env=env)
        _apt_get("-qy", "install", "--no-install-recommends", *missing, env=env)


def _apt_get(*words: str, env: Mapping[str, str]) -> None:
    """Whoever else installs packages, such as the machine's own upgrades, is waited for; apt has an
    option for that which `update` does not heed."""
    end = time.monotonic() + _PATIENCE
    while True:
        try:
            run(["apt-get", *words], env=env)
            return
        except LabError as error:
            if "Could not get lock" not in str(error) or time.monotonic() > end:
                raise
        time.sleep(1)
