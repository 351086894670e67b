# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A replica's mail copied anew from another host: its key, the passes, and the copy put in place.

The old copy stays in use until the new one is whole, and is kept until that is discarded.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from . import (
    _alone,
    _command,
    _files,
    _host_units,
    _posture,
    _role,
    _rsync,
    _stage,
    _state,
    _trees,
    _units,
)
from ._errors import ReplicationError
from ._install import Install
from ._rsync import Moved, Options, Remote
from ._stage import Stage
from ._trees import Tree

FOLDER = f"{_role.STATE_DIR}/reseed"
KEY = f"{FOLDER}/key"
KNOWN_HOSTS = f"{FOLDER}/known_hosts"
# Two hosts' clocks may be so far apart without a change being missed, in seconds.
_APART = 300.0
# For a pass that is about to end by itself.
_TURN_SECONDS = 30.0
# What a copy takes beside its bytes, as a part of them.
_SPARE = 0.05


# What is being done, how much of it, and how much there is.
Note = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Source:
    """Who offers its mail: how it is reached, its ssh keys, its folders by name, and their mark."""

    host: str
    address: str
    port: int
    host_keys: Sequence[str]
    trees: Sequence[str]
    mark: str


def public_key(check: bool) -> tuple[str | None, bool]:
    """This host's key for reading another one's mail, made where there is none; whether it was."""
    there = os.path.exists(KEY)
    if not there:
        if check:
            return None, True
        os.makedirs(FOLDER, mode=0o700, exist_ok=True)
        keygen = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", KEY]
        done = _command.run(keygen, timeout=60)
        if done.rc != 0:
            raise ReplicationError(f"ssh-keygen failed: {done.stderr.strip()}")
    return _files.read(f"{KEY}.pub").strip(), not there


def begin(source: Source, over: bool, check: bool) -> Stage:
    """Note a copy from a source; refuses where this host's mail must not be replaced."""
    _refuse(_role.known())
    settings = Install.discover().settings
    mine = {tree.name: tree for tree in _trees.trees(settings)}
    for trouble in _trees.troubles(settings):
        raise ReplicationError(trouble)
    missing = sorted(set(source.trees) - set(mine))
    if missing:
        raise ReplicationError(
            f"this host has no {', '.join(missing)}, {source.host} has: set both up alike"
        )
    trees = [mine[name] for name in source.trees]
    for tree in trees:
        if not os.path.isdir(tree.path):
            raise ReplicationError(f"{tree.path} is missing here: mount it, or run setup")
        if source.mark and _files.read(tree.mark).strip() == source.mark:
            raise ReplicationError(
                f"{tree.path} is the very folder that {source.host} offers: both hosts have the "
                "same file system mounted, so there is nothing to copy"
            )
    if check:
        _stage.refuse_placing(_stage.read())
        return Stage(source.host, _state.timestamp(), "copying", tuple(trees))
    if over:
        _units.stop([_units.CYRUS])
    os.makedirs(FOLDER, mode=0o700, exist_ok=True)
    _files.write(KNOWN_HOSTS, _known_hosts(source), 0o600)
    return _stage.begin(source.host, _state.timestamp(), trees, over)


def _refuse(record: _role.Record) -> None:
    if record.role != "replica":
        raise ReplicationError(
            f"{record.host} is {record.role}, and what it has may be all there is of it: only a "
            "replica is copied over"
        )


def _known_hosts(source: Source) -> str:
    where = source.address if source.port == 22 else f"[{source.address}]:{source.port}"
    return "".join(f"{where} {key}\n" for key in source.host_keys)


def copy(remote: Remote, options: Options, last: bool, note: Note) -> dict[str, Moved]:
    """One pass over all folders. In the `last` the source is at rest, so nothing has to be looked
    at again."""
    busy = "a pass of a run that died still copies to this host: wait for it, and run it again"
    stage = _copying()
    with _alone.alone(FOLDER, busy, _TURN_SECONDS):
        began = time.time()
        try:
            moved = _passes(stage, remote, options, note)
        except ReplicationError:
            _stage.unshare(stage, began - _APART)
            raise
        _stage.unshare(stage, float("inf") if last else began - _APART)
        return moved


def measure(remote: Remote, options: Options, note: Note) -> tuple[dict[str, Moved], list[str]]:
    """What a pass would move, and for what there is no room."""
    stage = _copying()
    moved = _passes(stage, remote, options, note, dry=True)
    return moved, _lacking(stage, moved)


def _passes(
    stage: Stage,
    remote: Remote,
    options: Options,
    note: Note,
    dry: bool = False,
) -> dict[str, Moved]:
    end = time.monotonic() + options.seconds
    return {tree.name: _pass(stage, tree, remote, options, end, note, dry) for tree in stage.trees}


def _copying() -> Stage:
    stage = _stage.read()
    if stage is None or stage.phase not in ("copying", "over"):
        raise ReplicationError("no copy was begun on this host: run reseed")
    return stage


def _pass(
    stage: Stage,
    tree: Tree,
    remote: Remote,
    options: Options,
    end: float,
    note: Note,
    dry: bool,
) -> Moved:
    cmd = _rsync.command(
        remote,
        tree.name,
        stage.grows(tree),
        tree.filters(),
        options,
        None if stage.phase == "over" else tree.path,
        dry,
    )
    try:
        return _rsync.run(
            cmd,
            end - time.monotonic(),
            lambda percent: note(f"percent of {tree.name} from {stage.source}", percent, 100),
        )
    except ReplicationError as error:
        raise ReplicationError(f"{tree.name} from {stage.source}: {error}") from error


def _lacking(stage: Stage, moved: Mapping[str, Moved]) -> list[str]:
    if stage.phase == "over":
        return []
    needed: dict[int, float] = {}
    for tree in stage.trees:
        device = os.stat(tree.path).st_dev
        found = moved[tree.name]
        needed[device] = needed.get(device, 0.0) + found.moved_bytes + _SPARE * found.bytes
    reasons = []
    for device, bytes_ in needed.items():
        paths = [tree.path for tree in stage.trees if os.stat(tree.path).st_dev == device]
        free = shutil.disk_usage(paths[0]).free
        if free < bytes_:
            reasons.append(
                f"a new copy beside the old one needs {bytes_ / 1e6:.0f} MB in {paths[0]}, where "
                f"{free / 1e6:.0f} MB are free"
            )
    return reasons


def place(seconds: float, check: bool) -> bool:
    """Put the new copy in the place of the old one, and start Cyrus on it; whether anything was to
    do."""
    with _alone.changing(seconds):
        _refuse(_role.known())
        stage = _stage.read()
        if stage is None:
            raise ReplicationError("no copy was begun on this host: run reseed")
        placed = stage.phase == "placed"
        if check:
            return not placed
        if not placed:
            _units.stop([_units.CYRUS])
            if stage.phase in ("copying", "over"):
                _stage.place(stage)
            else:
                _stage.complete()
        rendered = _posture.configuration()
        units = _host_units.units(rendered.plan, rendered.request)
        done = _units.ensure(units, _units.TEMPLATES, check=False, seconds=seconds)
        return not placed or bool(done)


def discard(check: bool) -> bool:
    """Forget the copy that is not in use, and the key; whether there was any."""
    there = _stage.read() is not None or os.path.isdir(FOLDER)
    if there and not check:
        _stage.discard()
        shutil.rmtree(FOLDER, ignore_errors=True)
    return there
