# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The hosts' disks, saved and restored as a set."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path

from .command import run, say
from .errors import LabError
from .files import write
from .host import Host
from .lab import Lab, in_parallel
from .settings import Settings

# Overlayfs keeps its marks in trusted.* attributes; Cyrus links messages and leaves holes.
_TAR = ("tar", "--numeric-owner", "--acls", "--xattrs", "--xattrs-include=*")
_ABOUT = "snapshot.json"


def save(lab: Lab, name: str) -> None:
    """Shut the hosts down in order, copy their disks, and boot those that ran."""
    releases = lab.releases()
    hosts = [Host(lab.settings, host) for host in releases]
    if not hosts:
        raise LabError(f"the lab {lab.settings.lab_id} has no hosts: run `up` first")
    target = _folder(lab.settings, name)
    partial = target.with_name(f".{name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    running = [host.name for host in hosts if host.is_running()]
    say(f"stopping {', '.join(running) or 'nothing'}")
    in_parallel(Host.stop, hosts)
    try:
        say("copying the disks")
        in_parallel(lambda host: _pack(host, partial / f"{host.name}.tar"), hosts)
        about = {"releases": releases, "running": {name: releases[name] for name in running}}
        write(partial / _ABOUT, json.dumps(about))
        shutil.rmtree(target, ignore_errors=True)
        partial.rename(target)
    finally:
        lab.boot(running)
    say(f"saved {name}")


def restore(lab: Lab, name: str) -> None:
    """Put the saved disks back, whatever the hosts hold now, and boot those that ran."""
    source = _folder(lab.settings, name)
    about = _about(source)
    if about is None:
        known = ", ".join(names(lab.settings)) or "none"
        raise LabError(f"no snapshot {name}: there is {known}")
    saved = [Host(lab.settings, host) for host in about["releases"]]
    say(f"restoring {', '.join(host.name for host in saved)}")
    lab.prepare_state()
    in_parallel(lambda host: _unpack(host, source / f"{host.name}.tar"), saved)
    lab.remember(about["releases"])
    lab.boot(list(about["running"]))
    lab.write_access()
    say(f"restored {name}")


def names(settings: Settings) -> list[str]:
    if not settings.snapshots.exists():
        return []
    return sorted(path.name for path in settings.snapshots.iterdir() if _about(path) is not None)


def _folder(settings: Settings, name: str) -> Path:
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._-]*", name):
        raise LabError(f"snapshot name {name!r}: use letters, digits, dots, dashes, underscores")
    return settings.snapshots / name


def _about(folder: Path) -> Mapping[str, Mapping[str, str]] | None:
    try:
        found: Mapping[str, Mapping[str, str]] = json.loads((folder / _ABOUT).read_text())
    except FileNotFoundError:
        return None
    return found


def _pack(host: Host, archive: Path) -> None:
    # Sockets belong to processes and come back with them.
    create = (*_TAR, "--sparse", "--warning=no-file-ignored")
    run([*create, "-C", host.disk, "-cf", archive, *host.saved_parts()])


def _unpack(host: Host, archive: Path) -> None:
    host.power_off()
    shutil.rmtree(host.disk, ignore_errors=True)
    new = host.disk.with_name(f".{host.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    run([*_TAR, "-C", new, "-xpf", archive])
    new.rename(host.disk)
