# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is set aside before it is dropped: all of it, beside where it lay, and nobody else's."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _aside, _mbpath, _reset, _role
from ansible_collections.mailops.cyrus.plugins.module_utils._aside import Aside
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install, MailboxEntry
from ansible_collections.mailops.cyrus.plugins.module_utils._mbpath import Places
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record

NAMES = ["DELETED.user.anna.Old.5f3a", "cyrus-heartbeat-imap2", "shared", "user.anna", "user.ben"]


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in NAMES:
        for file in ("1.", "cyrus.index"):
            write(tmp_path / "spool" / name / file)
    write(tmp_path / "conf/mailboxes.db")
    write(tmp_path / "conf/user/anna.seen")
    write(tmp_path / "sieve/anna/main.bc")
    (tmp_path / "sieve/anna/defaultbc").symlink_to("main.bc")
    monkeypatch.setattr(_aside, "BESIDE", str(tmp_path / "beside"))
    monkeypatch.setattr(_mbpath, "of", lambda install, name: places(tmp_path, name))
    monkeypatch.setattr(
        Install,
        "mailboxes",
        lambda install: (MailboxEntry(name, "", "default", "", None) for name in NAMES),
    )
    return tmp_path


def write(path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(path.name)


def places(root: Path, name: str) -> Places:
    folder = str(root / "spool" / name)
    # Of a mailbox without a user Cyrus tells the folders of its configuration.
    user = "/anna" if "anna" in name else ""
    return Places(
        {"data": folder, "meta": folder},
        f"{root}/conf{user and '/user'}{user}",
        f"{root}/sieve{user}",
    )


def install(root: Path) -> Install:
    settings = {
        "configdirectory": f"{root}/conf",
        "partition-default": f"{root}/spool/",
        "sievedir": f"{root}/sieve",
    }
    return Install("/x", "/x", "/x", settings)


def aside(root: Path) -> list[str]:
    found = (path for path in root.rglob("*") if not path.is_dir() or path.is_symlink())
    return sorted(str(path.relative_to(root)) for path in found if "aside./" in str(path))


def test_all_of_whom_is_meant_is_set_aside(root: Path) -> None:
    made = _aside.make(install(root), Aside(2, ("anna",), shared=True))
    assert aside(root) == [
        "conf/rejoin-aside./2/user/anna.seen",
        "sieve/rejoin-aside./2/anna/defaultbc",
        "sieve/rejoin-aside./2/anna/main.bc",
        *(
            f"spool/rejoin-aside./2/{name}/{file}"
            for name in NAMES
            if name != "user.ben"
            for file in ("1.", "cyrus.index")
        ),
    ]
    assert made.complete
    assert _aside.read(2) == made
    assert _aside.epochs() == [2]


def test_messages_are_linked_and_what_changes_in_place_is_copied(root: Path) -> None:
    _aside.make(install(root), Aside(2, ("anna",), shared=False))
    folder = root / "spool/user.anna"
    kept = root / "spool/rejoin-aside./2/user.anna"
    assert (folder / "1.").samefile(kept / "1.")
    assert not (folder / "cyrus.index").samefile(kept / "cyrus.index")


def test_what_was_begun_and_not_ended_is_made_again(root: Path) -> None:
    wanted = Aside(2, ("anna",), shared=False)
    _aside.make(install(root), wanted)
    (root / "spool/user.anna/cyrus.index").write_text("changed")
    _aside.make(install(root), wanted)
    assert (root / "spool/rejoin-aside./2/user.anna/cyrus.index").read_text() == "changed"


def test_only_what_is_aside_remains_to_be_removed(root: Path) -> None:
    made = _aside.make(install(root), Aside(2, ("anna",), shared=True))
    write(root / "spool/user.anna/2.")
    os.unlink(root / "spool/shared/1.")
    found = set(_aside.remains(install(root), made))
    assert f"{root}/spool/user.anna/1." in found
    assert f"{root}/conf/user/anna.seen" in found
    assert f"{root}/spool/user.anna/2." not in found
    assert f"{root}/spool/shared/1." not in found
    assert f"{root}/conf/mailboxes.db" not in found


def test_another_file_system_costs_a_copy(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_args: object, **_more: object) -> None:
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    monkeypatch.setattr(os, "link", link)
    _aside.make(install(root), Aside(2, ("anna",), shared=False))
    assert (root / "spool/rejoin-aside./2/user.anna/1.").read_text() == "1."


def test_a_full_disk_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def copy(path: str, *_args: object, **_more: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", path)

    monkeypatch.setattr(shutil, "copy2", copy)
    with pytest.raises(ReplicationError, match="No space left on device"):
        _aside.make(install(root), Aside(2, ("anna",), shared=False))
    begun = _aside.read(2)
    assert begun is not None
    assert not begun.complete


def test_what_is_aside_can_be_discarded(root: Path) -> None:
    _aside.make(install(root), Aside(2, ("anna",), shared=True))
    _aside.discard(install(root), 2)
    assert aside(root) == []
    assert _aside.epochs() == []
    assert (root / "spool/user.anna/1.").exists()


def test_a_file_outside_all_folders_has_a_place_too() -> None:
    assert (
        _aside.mirror("/home/anna/sieve", ["/spool"], 2)
        == f"{_aside.BESIDE}/2/aside/home/anna/sieve"
    )


def record(role: str = "fenced", epoch: int = 2) -> Record:
    return Record("store1", "imap1", role, "imap2", epoch, "2026-01-01T00:00:00Z")


def test_only_a_superseded_host_drops_anything() -> None:
    quiet = Install("/x", "/etc/imapd.conf", "/x", {"sync_log": "0"})
    _reset.refuse(record(), 2, quiet)
    for found in (None, record("replica"), record(epoch=3)):
        with pytest.raises(ReplicationError, match="is not superseded in epoch 2"):
            _reset.refuse(found, 2, quiet)


def test_nothing_is_dropped_where_it_would_be_logged() -> None:
    logging = Install("/x", "/etc/imapd.conf", "/x", {"sync_log": "1"})
    with pytest.raises(ReplicationError, match="sync_log switched on"):
        _reset.refuse(record(), 2, logging)


def test_what_was_begun_is_not_widened() -> None:
    begun = Aside(2, ("anna", "ben"), shared=False, complete=True)
    _reset.refuse_others(begun, Aside(2, ("ben",), shared=False))
    with pytest.raises(ReplicationError, match="without carla"):
        _reset.refuse_others(begun, Aside(2, ("ben", "carla"), shared=False))
    with pytest.raises(ReplicationError, match="without shared mailboxes"):
        _reset.refuse_others(begun, Aside(2, (), shared=True))


@pytest.fixture
def dropped(root: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    """A host that has dropped things in epoch 2 and is a replica."""
    monkeypatch.setattr(Install, "discover", lambda: install(root))
    monkeypatch.setattr(_role, "read", lambda: record("replica"))
    _aside.make(install(root), Aside(2, ("anna",), shared=True))
    return install(root)


def test_only_what_is_proven_is_discarded(dropped: Install) -> None:
    with pytest.raises(ReplicationError, match=r"there is of it \(nobody has compared"):
        _reset.discard(2)
    assert _reset.prove(2, check=True).changed
    assert _reset.prove(2).changed
    assert not _reset.prove(2).changed
    assert _reset.discard(2).changed
    assert _aside.places(dropped, 2) == []
    assert not _reset.prove(2).changed
    assert not _reset.discard(2).changed


def test_what_could_not_be_read_is_never_discarded(dropped: Install) -> None:
    _aside.make(dropped, Aside(2, ("anna",), shared=True, whole=False))
    _reset.prove(2)
    with pytest.raises(ReplicationError, match="something could not be read"):
        _reset.discard(2)
    assert _aside.places(dropped, 2)


def test_what_is_aside_on_another_than_a_replica_stays(
    dropped: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_role, "read", record)
    for order in (_reset.prove, _reset.discard):
        with pytest.raises(ReplicationError, match="this host is no replica"):
            order(2)


def test_a_damaged_list_is_never_guessed(root: Path) -> None:
    write(root / "beside/2/aside.json")
    with pytest.raises(ReplicationError, match="can't be read"):
        _aside.read(2)
