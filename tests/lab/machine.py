# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab needs of the machine it runs on."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from .command import run, say
from .errors import LabError

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


def require_root() -> None:
    if os.geteuid() != 0:
        raise LabError("the lab mounts and makes namespaces: run it as root")


def prepare() -> None:
    """Install the tools that are missing, and make room for several init systems."""
    missing = sorted({package for tool, package in _TOOLS.items() if shutil.which(tool) is None})
    if missing:
        say(f"installing {', '.join(missing)} on this machine")
        env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
        run(["apt-get", "-q", "update"], env=env)
        run(["apt-get", "-qy", "install", "--no-install-recommends", *missing], env=env)
    # All hosts share root's allowance of inotify instances; systemd takes several in each.
    if int(_INOTIFY.read_text()) < 1024:
        say("raising fs.inotify.max_user_instances to 1024")
        _INOTIFY.write_text("1024")
