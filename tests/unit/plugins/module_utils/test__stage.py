# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A new copy beside the old one, and in its place, however it is interrupted."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _stage, _trees
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._stage import Stage
from ansible_collections.mailops.cyrus.plugins.module_utils._trees import Tree


class Stopped(Exception):
    """Where a power cut would be."""


@pytest.fixture
def trees(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Tree]:
    monkeypatch.setattr(_stage, "PATH", str(tmp_path / "reseed.json"))
    spool, config = tmp_path / "spool", tmp_path / "config"
    write(spool / "user/anna/1.", "one")
    write(spool / "user/anna/cyrus.index", "old index")
    write(spool / "sync./1/x", "own")
    write(config / "mailboxes.db", "old list")
    write(config / "deliver.db", "own")
    write(config / "statuscache.db", "stale")
    settings = {"partition-default": str(spool), "configdirectory": str(config)}
    return _trees.trees({**settings, "sieveusehomedir": "1"})


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def begun(trees: list[Tree], over: bool = False) -> Stage:
    stage = _stage.begin("imap2", "2026-11-01T10:00:00Z", trees, over)
    spool, config = (Path(stage.grows(tree)) for tree in trees)
    if not over:
        (spool / "user/anna").mkdir(parents=True, exist_ok=True)
        for name in ("1.", "cyrus.index"):
            source = Path(trees[0].path) / "user/anna" / name
            target = spool / "user/anna" / name
            if not target.exists():
                os.link(source, target)
    write(spool / "user/anna/2.", "two")
    write(config / "mailboxes.db", "new list")
    return stage


def read(tree: Tree, name: str) -> str:
    return (Path(tree.path) / name).read_text()


def test_the_new_copy_takes_the_place_of_the_old_one(trees: list[Tree]) -> None:
    spool, config = trees
    stage = begun(trees)
    assert read(config, "mailboxes.db") == "old list"
    _stage.unshare(stage, float("inf"))
    _stage.place(stage)
    assert read(spool, "user/anna/2.") == "two"
    assert read(config, "mailboxes.db") == "new list"
    # This host's own things are where they were, and what would be stale is gone.
    assert read(spool, "sync./1/x") == read(config, "deliver.db") == "own"
    assert not os.path.exists(os.path.join(config.path, "statuscache.db"))
    assert _stage.former() == [spool.former, config.former]
    # What Cyrus changes in place is not the old copy's.
    (Path(spool.path) / "user/anna/cyrus.index").write_text("new index")
    former = Path(spool.former) / "user/anna"
    assert (former / "cyrus.index").read_text() == "old index"
    assert (former / "1.").stat().st_ino == (Path(spool.path) / "user/anna/1.").stat().st_ino
    assert _stage.discard()
    assert not os.path.exists(spool.former)
    assert not _stage.discard()


@pytest.mark.parametrize("point", ["synced", "out", "in"])
def test_what_is_cut_off_is_ended_before_cyrus_starts(
    trees: list[Tree], point: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    stage = begun(trees)

    def stop(reached: str) -> None:
        if reached == point:
            raise Stopped

    monkeypatch.setattr(_stage, "reach", stop)
    with pytest.raises(Stopped):
        _stage.place(stage)
    monkeypatch.setattr(_stage, "reach", lambda reached: None)
    _stage.complete()
    if point == "synced":
        assert read(trees[1], "mailboxes.db") == "old list"
        _stage.place(stage)
    assert read(trees[1], "mailboxes.db") == "new list"
    assert read(trees[0], "user/anna/2.") == "two"
    found = _stage.read()
    assert found is not None
    assert found.phase == "placed"


def test_a_cut_between_two_renames(trees: list[Tree], monkeypatch: pytest.MonkeyPatch) -> None:
    stage = begun(trees)
    real, count = os.rename, 0

    def rename(old: str, new: str) -> None:
        nonlocal count
        count += 1
        if count == 2:
            raise Stopped
        real(old, new)

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(Stopped):
        _stage.place(stage)
    monkeypatch.setattr(os, "rename", real)
    # As a Cyrus would that was started all the same.
    write(Path(trees[1].path) / "mailboxes.db", "made anew")
    _stage.complete()
    assert read(trees[1], "mailboxes.db") == "new list"


def test_what_was_changed_lately_is_compared_again(trees: list[Tree]) -> None:
    stage = begun(trees)
    path = Path(trees[0].new) / "user/anna/cyrus.index"
    _stage.unshare(stage, os.stat(path).st_mtime + 100)
    assert os.stat(path).st_mtime > 1
    _stage.unshare(stage, os.stat(path).st_mtime - 100)
    assert os.stat(path).st_mtime == 0
    # The file that is in use keeps its time.
    assert os.stat(Path(trees[0].path) / "user/anna/cyrus.index").st_mtime > 1
    assert os.stat(Path(trees[0].new) / "user/anna/2.").st_mtime > 1


def test_written_over_cyrus_does_not_start_before_it_is_whole(trees: list[Tree]) -> None:
    stage = begun(trees, over=True)
    with pytest.raises(ReplicationError, match="Cyrus does not start: run reseed again"):
        _stage.complete()
    with pytest.raises(ReplicationError, match="nothing else is whole"):
        _stage.discard()
    # Also where the next run is not told to write over it.
    assert begun(trees, over=True).phase == _stage.begin("imap2", "now", trees, False).phase
    _stage.place(stage)
    _stage.complete()
    assert read(trees[1], "mailboxes.db") == "new list"
    assert read(trees[0], "sync./1/x") == "own"
    assert _stage.former() == []


def test_another_one_does_not_begin_before_the_first_is_settled(trees: list[Tree]) -> None:
    _stage.place(begun(trees))
    with pytest.raises(ReplicationError, match="not shown to be equal"):
        begun(trees)
    _stage.discard()
    begun(trees)


def test_a_state_that_can_not_be_read_is_no_state(trees: list[Tree]) -> None:
    Path(_stage.PATH).write_text('{"source": "imap2"}')
    with pytest.raises(ReplicationError, match="can't be read"):
        _stage.read()
