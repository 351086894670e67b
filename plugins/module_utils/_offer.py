# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""This host's mail offered to one other host for reading, for as long as a reseed takes.

The key that is let in can do one thing: read the folders that a copy consists of, from one address,
until it expires.
"""

from __future__ import annotations

import contextlib
import glob
import os
import pwd
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

from . import _files, _role, _trees
from ._errors import ReplicationError
from ._install import Install
from ._trees import Tree

FOLDER = f"{_role.STATE_DIR}/reseed"
CONFIG = f"{FOLDER}/rsyncd.conf"
_COMMENT = "mailops.cyrus-reseed"
_KEY = re.compile(r"(ssh-ed25519|ecdsa-[a-z0-9-]+|ssh-rsa) [A-Za-z0-9+/=]+")
_ADDRESS = re.compile(r"[0-9A-Fa-f.:]+")
_HOST_KEYS = "/etc/ssh/ssh_host_*_key.pub"


@dataclass(frozen=True)
class Asked:
    """Which key reads this host's mail, from which address, as whom, and for so many hours. What it
    reads lies below `root`, with the paths that it has here."""

    key: str
    address: str
    user: str
    hours: float
    root: str = "/"


@dataclass(frozen=True)
class Offer:
    """What is offered: the folders, this host's ssh keys, and what marks the folders as its."""

    trees: list[Tree]
    host_keys: list[str]
    mark: str


def present(asked: Asked, check: bool, anew: bool = False) -> tuple[Offer, bool]:
    """Let a key read this host's mail from an address; whether that changed anything. With `anew`
    the folders are marked anew, by which a snapshot that is taken later is known."""
    key = _checked(_KEY, asked.key, "public key of ssh")
    address = _checked(_ADDRESS, asked.address, "IP address")
    settings = Install.discover().settings
    for trouble in _trees.troubles(settings):
        raise ReplicationError(trouble)
    trees = _trees.trees(settings)
    there = [tree for tree in trees if os.path.isdir(tree.path)]
    mark = None if anew else _mark(there)
    offer = Offer(there, _host_keys(), mark or "new")
    below = asked.root.rstrip("/")
    if below:
        _refuse_another(there, below, mark)
    conf = rsyncd_conf(there, below)
    path = _authorized_keys(asked.user)
    text = _files.read(path)
    line = _line(key, address, time.time() + asked.hours * 3600)
    # When it expires is no change.
    changed = conf != _files.read(CONFIG) or mark is None or key not in text
    if check or not changed:
        return offer, changed
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    _files.write(CONFIG, conf, 0o600)
    if mark is None:
        mark = os.urandom(16).hex()
        for tree in there:
            _files.write(tree.mark, mark + "\n", 0o600)
    _put(path, without(text) + line, asked.user)
    return replace(offer, mark=mark), True


def _refuse_another(trees: Sequence[Tree], below: str, mark: str | None) -> None:
    """What lies there has to be a snapshot of now, with all folders."""
    for tree in trees:
        if mark is None or _files.read(below + tree.mark).strip() != mark:
            raise ReplicationError(
                f"{below}{tree.path} is no snapshot of {tree.path} that was taken just now: let "
                "the hook take it anew and mount it there"
            )


def absent(user: str, check: bool) -> bool:
    """Let nobody in any more; whether that changed anything."""
    path = _authorized_keys(user)
    text = _files.read(path)
    marks = [tree.mark for tree in _trees.trees(Install.discover().settings)]
    left = [name for name in (CONFIG, *marks) if os.path.exists(name)]
    let_in = any(_is_ours(line) for line in text.splitlines())
    changed = let_in or bool(left)
    if changed and not check:
        if let_in:
            _put(path, without(text), user)
        for name in left:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(name)
        with contextlib.suppress(OSError):
            os.rmdir(FOLDER)
    return changed


def rsyncd_conf(trees: Sequence[Tree], below: str = "") -> str:
    """What the key can be used for; pure."""
    lines = ["uid = root", "gid = root", "use chroot = yes", "read only = yes", "list = no"]
    for tree in trees:
        lines += [f"[{tree.name}]", f"path = {below}{tree.path}"]
        rules = [rule.split(" ", 1) for rule in tree.filters()]
        for word, sign in (("include", "+"), ("exclude", "-")):
            patterns = [pattern for found, pattern in rules if found == sign]
            if patterns:
                lines.append(f"{word} = {' '.join(patterns)}")
    return "\n".join(lines) + "\n"


def without(text: str) -> str:
    """A file of authorized keys without ours; pure."""
    return "".join(f"{line}\n" for line in text.splitlines() if not _is_ours(line))


def _is_ours(line: str) -> bool:
    return line.endswith(f" {_COMMENT}")


def _line(key: str, address: str, expires: float) -> str:
    until = time.strftime("%Y%m%d%H%M", time.localtime(expires))
    command = f"rsync --server --daemon --config={CONFIG} ."
    options = f'restrict,from="{address}",expiry-time="{until}",command="{command}"'
    return f"{options} {key} {_COMMENT}\n"


def _checked(pattern: re.Pattern[str], given: str, what: str) -> str:
    match = pattern.match(given.strip())
    if match is None or (pattern is _ADDRESS and match.group() != given.strip()):
        raise ReplicationError(f"{given!r} is no {what}")
    return match.group()


def _mark(trees: Sequence[Tree]) -> str | None:
    """What marks all of them alike; None where that is not so."""
    found = {_files.read(tree.mark).strip() for tree in trees}
    return found.pop() if len(found) == 1 and "" not in found else None


def _host_keys() -> list[str]:
    found = [" ".join(_files.read(path).split()[:2]) for path in sorted(glob.glob(_HOST_KEYS))]
    if not found:
        raise ReplicationError(f"there is no {_HOST_KEYS}: install openssh-server")
    return found


def _authorized_keys(user: str) -> str:
    try:
        return os.path.join(pwd.getpwnam(user).pw_dir, ".ssh", "authorized_keys")
    except KeyError:
        raise ReplicationError(f"this host has no user {user}: correct cyrus_reseed_user") from None


def _put(path: str, text: str, user: str) -> None:
    owner = pwd.getpwnam(user)
    folder = os.path.dirname(path)
    if not os.path.isdir(folder):
        os.mkdir(folder, 0o700)
        os.chown(folder, owner.pw_uid, owner.pw_gid)
    _files.write(path, text, 0o600, owner.pw_uid, owner.pw_gid)
