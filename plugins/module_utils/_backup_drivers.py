# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What each driver of a backup runs, and how what it wrote gets its name. Pure.

What grows has the suffix `.part`; only what is whole has its name, so a backup that was cut off is
never taken for one.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ._errors import ReplicationError
from ._trees import Tree

DRIVERS = ("tar", "rsync", "restic", "none")
PART = ".part"
_SAID = 2


@dataclass(frozen=True)
class Paths:
    """What is backed up below `root`: absolute paths as they are on the host, and the ones in them
    that are this host's own. `beside` is never below another root."""

    root: str
    included: tuple[str, ...]
    excluded: tuple[str, ...]
    beside: str


@dataclass(frozen=True)
class Made:
    """What names a backup, and how many bytes there are in it."""

    name: str
    bytes: int


def paths(trees: Iterable[Tree], beside: str, root: str, there: Sequence[str]) -> Paths:
    """Of which paths a backup of the folders consists. `there`: the entries of a folder that has
    only some of them copied, as absolute paths that exist."""
    included, excluded = [], []
    for tree in trees:
        if tree.kept:
            named = [os.path.join(tree.path, entry) for entry in tree.kept]
            included += [path for path in named if path in there]
        else:
            included.append(tree.path)
            excluded += [os.path.join(tree.path, entry) for entry in tree.own()]
    return Paths(root, tuple(included), tuple(excluded), beside)


def grows(driver: str, to: str, name: str) -> str | None:
    """Where the backup is while it is made; None where the driver sees to that."""
    if driver == "tar":
        return os.path.join(to, f"{name}.tar{PART}")
    return os.path.join(to, f"{name}{PART}") if driver == "rsync" else None


def command(driver: str, to: str, name: str, wanted: Paths, before: str | None) -> list[str]:
    """The argv. `before` is the newest backup of rsync, whose files are linked where equal."""
    return _COMMANDS[driver](to, name, wanted, before)


def _tar(to: str, name: str, wanted: Paths, _before: str | None) -> list[str]:
    return [
        *("tar", "--create", f"--file={grows('tar', to, name)}", "--numeric-owner", "--totals"),
        *("--no-wildcards", "--anchored", f"--directory={wanted.root}"),
        *(f"--exclude={_relative(path)}" for path in wanted.excluded),
        *(_relative(path) for path in wanted.included),
        *("--directory=/", _relative(wanted.beside)),
    ]


def _rsync(to: str, name: str, wanted: Paths, before: str | None) -> list[str]:
    return [
        *("rsync", "--archive", "--hard-links", "--numeric-ids", "--relative", "--stats"),
        # Cyrus changes an index within one second and without changing its size.
        *("--no-human-readable", "--modify-window=-1"),
        *((f"--link-dest={before}",) if before else ()),
        *(f"--exclude={_escaped(path)}" for path in wanted.excluded),
        "--",
        *(f"{wanted.root.rstrip('/')}/./{_relative(path)}" for path in wanted.included),
        f"/./{_relative(wanted.beside)}",
        f"{grows('rsync', to, name)}/",
    ]


def _restic(to: str, name: str, wanted: Paths, _before: str | None) -> list[str]:
    below = wanted.root.rstrip("/")
    return [
        *("restic", "backup", "--json", f"--tag={name}"),
        *((f"--repo={to}",) if to else ()),
        *(f"--exclude={_escaped(below + path)}" for path in wanted.excluded),
        "--",
        *(below + path for path in wanted.included),
        wanted.beside,
    ]


_COMMANDS = {"tar": _tar, "rsync": _rsync, "restic": _restic}


def _relative(path: str) -> str:
    return path.lstrip("/")


def _escaped(path: str) -> str:
    """A pattern that means just this path."""
    return "".join(f"\\{char}" if char in "*?[\\" else char for char in path)


def made(driver: str, stdout: str, name: str) -> Made:
    """What came of it, by what the driver has printed at its end."""
    if driver == "restic":
        return _of_restic(stdout)
    found = re.search(r"^Total (?:bytes written|file size): ([0-9]+)", stdout, re.MULTILINE)
    if found is None:
        raise ReplicationError(f"{driver} does not say how much it has written")
    return Made(name, int(found.group(1)))


def complaint(stderr: str) -> str:
    """Why a driver has failed: what it says first, as what follows from that comes later."""
    lines = [line.strip() for line in stderr.splitlines()]
    said = [line for line in lines if line and not line.startswith("Total bytes written")]
    return "; ".join(said[:_SAID]) or "it says nothing"


def _of_restic(stdout: str) -> Made:
    for line in reversed(stdout.splitlines()):
        found = _summary(line)
        if found is not None:
            return found
    raise ReplicationError("restic did not say which snapshot it has made")


def _summary(line: str) -> Made | None:
    try:
        told = json.loads(line)
        if told["message_type"] != "summary":
            return None
        return Made(f"snapshot {told['snapshot_id']}", int(told["total_bytes_processed"]))
    except (ValueError, TypeError, KeyError):
        return None
