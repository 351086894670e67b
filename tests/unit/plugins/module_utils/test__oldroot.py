# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A disk whose host is gone: what is asked of it, and what its Cyrus is told."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _command, _oldroot, _role
from ansible_collections.mailops.cyrus.plugins.module_utils._command import Completed
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._oldroot import Disk
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record

OWN = Record("store1", "imap2", "master", "imap2", 4, "2026-11-01T10:00:00Z")
RECORD = Record("store1", "imap1", "master", "imap1", 2, "2026-10-01T10:00:00Z")
IMAPD = "configdirectory: /var/lib/cyrus\nsync_log: 1\nsync_log_channels: audit imap2\n"


@pytest.fixture
def disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Disk:
    root = tmp_path / "old"
    for name, text in {
        "etc/imapd.conf": IMAPD,
        "etc/hostname": "imap1\n",
        "etc/passwd": f"root:x:0:0:::\ncyrus:x:{os.getuid()}:{os.getgid()}:::\n",
        "etc/cyrus-replication/store.json": "{}",
        "usr/sbin/cyrmaster": "",
        "var/lib/cyrus-replication/role.json": json.dumps(asdict(RECORD)),
    }.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    monkeypatch.setattr(_oldroot, "ROOT", str(root))
    monkeypatch.setattr(_role, "known", lambda: OWN)
    return Disk("imap1", str(root), str(tmp_path / "scratch"))


def test_a_folder_that_is_no_old_root_is_refused(disk: Disk) -> None:
    _oldroot.refuse(disk)
    os.unlink(f"{disk.path}/usr/sbin/cyrmaster")
    with pytest.raises(ReplicationError, match="has no usr/sbin/cyrmaster: mount the whole root"):
        _oldroot.refuse(disk)


def test_a_name_that_mount_would_misread_is_refused(disk: Disk) -> None:
    with pytest.raises(ReplicationError, match="choose plain names"):
        _oldroot.refuse(replace(disk, scratch="/run/a,b"))


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"host": "imap3"}, "is the disk of imap3 of store store1, and not that of imap1"),
        ({"store": "other"}, "is the disk of imap1 of store other"),
        ({"epoch": 5}, "as master of epoch 5, and the store is in epoch 4"),
        ({"role": "replica", "master": "imap2", "epoch": 4}, "as replica of epoch 4"),
    ],
)
def test_another_disk_is_refused(changed: dict[str, Any], reason: str, disk: Disk) -> None:
    record = replace(RECORD, **changed)
    if record.role == "master":
        record = replace(record, master=record.host)
    path = Path(disk.path + _role.RECORD)
    path.write_text(json.dumps(asdict(record)))
    with pytest.raises(ReplicationError, match=reason):
        _oldroot.refuse(disk)


def test_a_disk_that_was_superseded_before_it_died_is_read(disk: Disk) -> None:
    record = replace(RECORD, role="fenced", master="imap2", epoch=4)
    Path(disk.path + _role.RECORD).write_text(json.dumps(asdict(record)))
    _oldroot.refuse(disk)
    os.unlink(disk.path + _role.RECORD)
    with pytest.raises(ReplicationError, match="mount all partitions"):
        _oldroot.refuse(disk)


def test_its_cyrus_logs_nothing_and_serves_one_socket(disk: Disk) -> None:
    _oldroot._configure()
    settings = Path(disk.path, "etc/imapd.conf").read_text().splitlines()
    assert settings == ["configdirectory: /var/lib/cyrus", "", "sync_log: 0", "servername: imap1"]
    conf = Path(disk.path, "etc/cyrus.conf").read_text()
    assert conf.count("listen=") == 1
    assert 'listen="/run/cyrus/private/imap"' in conf
    assert Path(disk.path, "run/cyrus/private").is_dir()


def test_a_name_that_the_site_has_given_stays(disk: Disk) -> None:
    Path(disk.path, "etc/imapd.conf").write_text("servername: mail\n")
    _oldroot._configure()
    assert Path(disk.path, "etc/imapd.conf").read_text().count("servername") == 1


def test_a_disk_without_cyrus_is_told(disk: Disk) -> None:
    Path(disk.path, "etc/passwd").write_text("root:x:0:0:::\n")
    with pytest.raises(ReplicationError, match="no user cyrus"):
        _oldroot._configure()


def test_what_can_not_be_mounted_leaves_nothing(
    disk: Disk, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran = []

    def run(cmd: list[str], timeout: float) -> Completed:
        ran.append(cmd[0])
        return Completed(cmd, int(cmd[0] == "mount"), "", "wrong fs type\n")

    monkeypatch.setattr(_command, "run", run)
    with pytest.raises(ReplicationError, match="does not run: mount says wrong fs type"):
        _oldroot.ensure(disk)
    assert ran == ["systemctl", "mount", "systemctl"]
    assert not os.path.exists(f"{disk.scratch}/upper")


def test_what_does_not_run_needs_no_ending(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_command, "run", lambda cmd, timeout: Completed(cmd, 5, "", ""))
    assert not _oldroot.end(disk.scratch)
