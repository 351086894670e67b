# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A new copy of a replica's mail beside the old one, and the one put in the place of the other.

The new copy grows in a folder of each tree, where messages that the old one has as well are links.
It takes the place by renames alone, which are noted before: what a power cut leaves half done is
ended before Cyrus starts again. The old copy stays beside it until it is discarded.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from . import _files, _role, _trees
from ._errors import ReplicationError
from ._points import reach
from ._trees import Tree

PATH = f"{_role.STATE_DIR}/reseed.json"
# What is there of it. `copying`: the new copy grows; the old one is in use. `over`: the old one is
# written over, so Cyrus must not run. `out`: the old one is taken out of its place. `in`: the new
# one is put there. `placed`: it is there, the old one beside it where it was kept.
PHASES = ("copying", "over", "out", "in", "placed")
_MESSAGE = re.compile(r"[1-9][0-9]*\.")


@dataclass(frozen=True)
class Stage:
    """A reseed of this host: from whom, since when, how far it is, and the folders it is about."""

    source: str
    since: str
    phase: str
    trees: tuple[Tree, ...]

    def grows(self, tree: Tree) -> str:
        """The folder in which the new copy of a tree grows."""
        return tree.path if self.phase == "over" else tree.new


def read() -> Stage | None:
    """The reseed that this host is in; None where it is in none."""
    text = _files.read(PATH)
    if not text:
        return None
    try:
        told = json.loads(text)
        trees = tuple(Tree(**{**t, "kept": tuple(t["kept"])}) for t in told.pop("trees"))
        stage = Stage(**told, trees=trees)
        if stage.phase not in PHASES:
            raise ValueError(f"there is no phase {stage.phase!r}")
        return stage
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReplicationError(f"{PATH} can't be read ({error}): restore it") from error


def begin(source: str, since: str, trees: Sequence[Tree], over: bool) -> Stage:
    """A new copy begins, beside the old one or `over` it; of one that was begun before, what came
    over is kept, and one that was written over already is no copy to keep."""
    there = read()
    refuse_placing(there)
    over = over or (there is not None and there.phase == "over")
    for tree in trees:
        if over:
            # What is there of it lies in the file system that has no room.
            _remove([tree.new])
        else:
            os.makedirs(tree.new, mode=0o700, exist_ok=True)
    stage = Stage(source, since, "over" if over else "copying", tuple(trees))
    _write(stage)
    return stage


def refuse_placing(there: Stage | None) -> None:
    """Why another copy can't begin; pure."""
    if there is not None and there.phase in ("out", "in"):
        raise ReplicationError(
            f"a copy from {there.source} is being put in place: run reseed again"
        )
    if there is not None and there.phase == "placed":
        raise ReplicationError(
            f"the copy from {there.source} of {there.since} is in place and not shown to be equal: "
            "run reseed again, or give the former copy up (module copy_target, state=discarded)"
        )


def unshare(stage: Stage, newer: float) -> None:
    """Make what Cyrus changes in place a file of its own, so that the old copy stays as it is; and
    forget the time of what was changed since `newer`, so that the next pass compares its content.

    A file may have been changed while it was read, in the same tick of the clock.
    """
    for tree in stage.trees:
        for path in _changed_in_place(stage.grows(tree), tree):
            status = os.lstat(path)
            if status.st_nlink > 1:
                _copy(path)
            if status.st_mtime >= newer:
                os.utime(path, (0, 0))


def place(stage: Stage) -> None:
    """Put the new copy in the place of the old one; Cyrus does not run."""
    os.sync()
    reach("synced")
    if stage.phase == "over":
        _drop_stale(stage)
        _write(replace(stage, phase="placed"))
        return
    _write(replace(stage, phase="out"))
    complete()


def complete() -> None:
    """Before Cyrus starts: end what was begun, where something was."""
    stage = read()
    if stage is not None and stage.phase == "over":
        raise ReplicationError(
            f"a copy from {stage.source} is written over the mail of this host since "
            f"{stage.since}, so Cyrus does not start: run reseed again"
        )
    if stage is None or stage.phase not in ("out", "in"):
        return
    try:
        if stage.phase == "out":
            _take_out(stage)
            reach("out")
            stage = replace(stage, phase="in")
            _write(stage)
        _put_in(stage)
        reach("in")
        _write(replace(stage, phase="placed"))
    except OSError as error:
        raise ReplicationError(
            f"{error.filename} can't be put in its place ({error.strerror}): mend that, and run "
            "reseed again"
        ) from error


def discard() -> bool:
    """Remove the copy that is not in use, the old one or one that was not completed; whether there
    was one."""
    stage = read()
    if stage is None:
        return False
    if stage.phase in ("over", "out", "in"):
        raise ReplicationError(
            f"a copy from {stage.source} is under way, and nothing else is whole: run reseed again"
        )
    _remove(path for tree in stage.trees for path in (tree.new, tree.former))
    os.unlink(PATH)
    return True


def former() -> list[str]:
    """The folders in which an old copy is."""
    stage = read()
    trees = stage.trees if stage is not None else ()
    return [tree.former for tree in trees if os.path.isdir(tree.former)]


def _take_out(stage: Stage) -> None:
    for tree in stage.trees:
        os.makedirs(tree.former, mode=0o700, exist_ok=True)
        for entry in sorted(os.listdir(tree.path)):
            if tree.means(entry):
                os.rename(os.path.join(tree.path, entry), os.path.join(tree.former, entry))
        _files.sync_directory(tree.path)
        _files.sync_directory(tree.former)


def _put_in(stage: Stage) -> None:
    for tree in stage.trees:
        if os.path.isdir(tree.new):
            for entry in sorted(os.listdir(tree.new)):
                if tree.means(entry):
                    _move(os.path.join(tree.new, entry), os.path.join(tree.path, entry))
            _files.sync_directory(tree.path)
            shutil.rmtree(tree.new)
    _drop_stale(stage)


def _drop_stale(stage: Stage) -> None:
    for tree in stage.trees:
        if tree.name == _trees.CONFIG:
            for entry in _trees.STALE:
                with contextlib.suppress(FileNotFoundError):
                    os.unlink(os.path.join(tree.path, entry))


def _move(path: str, target: str) -> None:
    """What a start of Cyrus in between has made anew gives way."""
    if os.path.isdir(target) and not os.path.islink(target):
        shutil.rmtree(target)
    os.replace(path, target)


def _changed_in_place(root: str, tree: Tree) -> Iterator[str]:
    for path, folders, files in os.walk(root):
        if path == root:
            folders[:] = filter(tree.means, folders)
            files = list(filter(tree.means, files))
        for name in files:
            whole = os.path.join(path, name)
            if not _MESSAGE.fullmatch(name) and not os.path.islink(whole):
                yield whole


def _copy(path: str) -> None:
    beside = f"{path}.{_trees.NEW}"
    shutil.copy2(path, beside)
    status = os.stat(path)
    os.chown(beside, status.st_uid, status.st_gid)
    os.replace(beside, path)


def _remove(paths: Iterable[str]) -> None:
    try:
        for path in paths:
            if os.path.isdir(path):
                shutil.rmtree(path)
    except OSError as error:
        raise ReplicationError(f"{error.filename} can't be removed: {error.strerror}") from error


def _write(stage: Stage) -> None:
    try:
        _files.write(PATH, json.dumps(asdict(stage), sort_keys=True) + "\n", 0o600)
    except OSError as error:
        raise ReplicationError(f"{PATH} can't be written: {error.strerror}") from error
