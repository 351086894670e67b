# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cached Debian trees: what a fresh server has, and the package cache as its only apt source."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from . import packages
from .command import run_job, say
from .lock import hold
from .mirror import Source, configured_sources, own_release, sources_for
from .settings import CACHE, tree_lock

_INCLUDE = (
    "systemd",
    "systemd-sysv",
    "dbus",
    "python3",
    "python3-apt",  # Ansible's apt module
    "openssh-server",
    "rsync",
    "iproute2",
    "iputils-ping",
    "procps",
    "tzdata",
    "ca-certificates",
)
_FORMAT = "1"  # raise it when a tree is prepared differently

_FILES = {
    "etc/hostname": "",
    "etc/machine-id": "",
    "etc/resolv.conf": "",
    "etc/default/locale": "LANG=C.UTF-8\n",
    "etc/apt/apt.conf.d/90lab": 'Acquire::Languages "none";\n',
    "etc/apt/sources.list": packages.SOURCE_LINE,
    "etc/systemd/journald.conf.d/lab.conf": "[Journal]\nStorage=persistent\nSystemMaxUse=48M\n",
}

# The package cache is mounted in a mount namespace that ends with the command.
_UPDATE = """
mkdir -p "$1$3"
mount --bind "$2" "$1$3"
exec chroot "$1" apt-get -q update
"""


@dataclass(frozen=True)
class Tree:
    """The read-only half of a host."""

    release: str
    key: str

    @property
    def root(self) -> Path:
        return CACHE / "trees" / self.key

    @property
    def packages(self) -> Path:
        return CACHE / "packages" / self.key

    def is_whole(self) -> bool:
        # Each half gets its name once it is complete, so what has the name can be used.
        return self.root.exists() and self.packages.exists()


def ensure(release: str) -> Tree:
    """Return the cached tree of a release, building it where it is missing."""
    tree = Tree(release, f"{release}-{packages.digest(_FORMAT, *_INCLUDE)}")
    with hold(tree_lock(release), f"the tree of {release}"):
        if not tree.is_whole():
            _build(tree)
    return tree


def _build(tree: Tree) -> None:
    sources = sources_for(tree.release, own_release(), configured_sources())
    partial = tree.root.with_name(f"{tree.root.name}.partial")
    CACHE.mkdir(parents=True, exist_ok=True)
    log = CACHE / f"{tree.release}.log"
    log.unlink(missing_ok=True)
    if not tree.root.exists():
        say(f"building the tree of {tree.release}, about a minute ({log})")
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _debootstrap(tree.release, partial, sources[0], log)
    base = tree.root if tree.root.exists() else partial
    if not tree.packages.exists():
        say(f"filling the package cache of {tree.release}")
        packages.build(tree.release, tree.packages, base, sources, log)
    if base == partial:
        _prepare(partial, tree.packages, log)
        partial.rename(tree.root)
    say(f"the tree of {tree.release} is ready")


def _debootstrap(release: str, target: Path, source: Source, log: Path) -> None:
    keyrings = [option for option in source.options if option.startswith("signed-by=")]
    arguments = [f"--keyring={option.partition('=')[2]}" for option in keyrings]
    include = f"--include={','.join(_INCLUDE)}"
    command = ["debootstrap", "--variant=minbase", *arguments, include, release]
    run_job([*command, target, source.uri], log)


def _prepare(root: Path, package_cache: Path, log: Path) -> None:
    for path in [
        *(root / "etc/ssh").glob("ssh_host_*"),
        *(root / "var/cache/apt/archives").glob("*.deb"),
        *(root / "etc/apt/sources.list.d").iterdir(),
        root / "var/lib/dbus/machine-id",
        root / "usr/sbin/policy-rc.d",
    ]:
        path.unlink(missing_ok=True)
    shutil.rmtree(root / "var/lib/apt/lists")
    (root / "var/lib/apt/lists/partial").mkdir(parents=True)
    for name, text in _FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.write_text(text)
        path.chmod(0o644)
    run_job(["sh", "-euc", _UPDATE, "sh", root, package_cache, packages.MOUNT_POINT], log)
