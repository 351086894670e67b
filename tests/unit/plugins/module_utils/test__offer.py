# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is let in, and what it can do."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _offer
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._offer import Asked

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "spool").mkdir()
    (tmp_path / "config").mkdir()
    settings = {
        "partition-default": str(tmp_path / "spool"),
        "configdirectory": str(tmp_path / "config"),
        "sievedir": str(tmp_path / "no/scripts/yet"),
    }
    monkeypatch.setattr(Install, "discover", lambda: Install("/x", "/x", "/x", settings))
    monkeypatch.setattr(_offer, "FOLDER", str(tmp_path / "reseed"))
    monkeypatch.setattr(_offer, "CONFIG", str(tmp_path / "reseed/rsyncd.conf"))
    monkeypatch.setattr(_offer, "_host_keys", lambda: ["ssh-ed25519 HOST"])
    path = tmp_path / ".ssh/authorized_keys"
    path.parent.mkdir()
    path.write_text("ssh-rsa AAAA an administrator")
    monkeypatch.setattr(_offer, "_authorized_keys", lambda user: str(path))
    monkeypatch.setattr(os, "chown", lambda *args: None)
    return tmp_path


def keys(home: Path) -> list[str]:
    return (home / ".ssh/authorized_keys").read_text().splitlines()


def test_a_key_is_let_in_for_one_thing_and_out_again(home: Path) -> None:
    offer, changed = _offer.present(Asked(f"{KEY} somebody", "192.0.2.13", "root", 1), False)
    assert changed
    assert [tree.name for tree in offer.trees] == ["partition-default", "config"]
    theirs, ours = keys(home)
    assert theirs == "ssh-rsa AAAA an administrator"
    assert ours.startswith('restrict,from="192.0.2.13",expiry-time="')
    assert f'command="rsync --server --daemon --config={_offer.CONFIG} ."' in ours
    assert KEY in ours
    assert oct((home / "reseed/rsyncd.conf").stat().st_mode)[-3:] == "600"
    assert (home / "spool/reseed-source.").read_text().strip() == offer.mark
    again, changed = _offer.present(Asked(KEY, "192.0.2.13", "root", 1), False)
    assert (again.mark, changed) == (offer.mark, False)
    assert _offer.absent("root", False)
    assert keys(home) == ["ssh-rsa AAAA an administrator"]
    assert not (home / "spool/reseed-source.").exists()
    assert not _offer.absent("root", False)


def test_check_mode_lets_nobody_in(home: Path) -> None:
    assert _offer.present(Asked(KEY, "192.0.2.13", "root", 1), True)[1]
    assert keys(home) == ["ssh-rsa AAAA an administrator"]


@pytest.mark.parametrize(
    ("key", "address"),
    [('command="x" ssh-ed25519 AAAA', "192.0.2.13"), (KEY, '192.0.2.13",no-restrict,x="')],
)
def test_what_is_no_key_or_address_is_refused(home: Path, key: str, address: str) -> None:
    with pytest.raises(ReplicationError, match="is no "):
        _offer.present(Asked(key, address, "root", 1), False)


def test_what_rsync_can_read(home: Path) -> None:
    offer, _changed = _offer.present(Asked(KEY, "192.0.2.13", "root", 1), False)
    text = _offer.rsyncd_conf(offer.trees)
    assert "read only = yes" in text
    assert "use chroot = yes" in text
    spool, config = text.split("[config]")
    assert "exclude = /sync. /stage." in spool
    assert "include = /mailboxes.db" in config
    assert config.rstrip().endswith("exclude = /*")


def test_a_snapshot_is_offered_if_it_is_of_now(home: Path) -> None:
    asked = Asked(KEY, "192.0.2.13", "root", 1)
    first, _changed = _offer.present(asked, False)
    snapshot = replace(asked, root=str(home / "mnt"))

    def take() -> None:
        for name in ("spool", "config"):
            shutil.copytree(home / name, f"{snapshot.root}{home / name}", dirs_exist_ok=True)

    take()
    second, changed = _offer.present(asked, False, anew=True)
    assert changed
    assert second.mark != first.mark
    with pytest.raises(ReplicationError, match="is no snapshot of"):
        _offer.present(snapshot, False)
    take()
    third, changed = _offer.present(snapshot, False)
    assert (third.mark, changed) == (second.mark, True)
    conf = (home / "reseed/rsyncd.conf").read_text()
    assert f"path = {snapshot.root}{home}/spool\n" in conf
    again, changed = _offer.present(asked, False)
    assert (again.mark, changed) == (second.mark, True)
    assert f"path = {home}/spool\n" in (home / "reseed/rsyncd.conf").read_text()
    shutil.rmtree(f"{snapshot.root}{home}/config")
    with pytest.raises(ReplicationError, match="config is no snapshot"):
        _offer.present(snapshot, False)
