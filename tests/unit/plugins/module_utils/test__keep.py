# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of what would be left behind: all of it or nothing, and once."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _files, _keep, _mbpath
from ansible_collections.mailops.cyrus.plugins.module_utils._command import Completed
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install, MailboxEntry
from ansible_collections.mailops.cyrus.plugins.module_utils._session import FullMailbox

HEAD = {
    "UNIQUEID": "id-anna",
    "MBOXNAME": "user.anna",
    **dict.fromkeys(("SYNC_CRC", "LAST_UID", "HIGHESTMODSEQ", "POP3_SHOW_AFTER"), "1"),
    "UIDVALIDITY": "17",
}
RECORD = b"%(UID 1 MODSEQ 1 LAST_UPDATED 1 FLAGS (\\Seen $X) INTERNALDATE 99 SIZE 1 GUID a)"


class Host:
    """A master with the mailboxes of two users and a shared one."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.folder = str(root / "archive")
        self.version = "3.6.1"
        self.names = ["shared", "user.anna", "user.anna.Sent", "user.anna^b", "user.annabel"]
        for name in self.names:
            self.write(f"spool/{name}/1.", f"message of {name}")
            self.write(f"spool/{name}/cyrus.index", "index")
        self.write("spool/user.anna/Sent/1.", "of another mailbox")
        self.write("meta/user.anna/cyrus.cache", "cache")
        for name in ("anna.sub", "anna.seen", "annabel.sub"):
            self.write(f"users/{name}", name)
        self.write("sieve/anna/main.bc", "script")
        (root / "sieve/anna/defaultbc").symlink_to("main.bc")
        self.told = FullMailbox("BADFORMAT", {}, iter(()))
        self.errors: list[ReplicationError] = []

    def write(self, path: str, text: str) -> Path:
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        os.utime(file, (1000, 2000))
        return file

    def keep(self, name: str, check: bool = False) -> _keep.Archive:
        mailbox, user = (name, None) if "." in name or name == "shared" else (None, name)
        return _keep.keep(mailbox, user, check, self.folder)

    def index(self, archive: _keep.Archive) -> dict[str, Any]:
        found: dict[str, Any] = json.loads((Path(archive.where) / "index.json").read_text())
        return found

    # -- what the library asks

    def install(self) -> Install:
        install = Install(str(self.root), "/x", "/x", {"configdirectory": str(self.root)})
        install._version_text = self.version
        return install

    def run(self, tool: str, *args: str) -> Completed:
        assert (tool, args[:-1]) == ("mbpath", ("-a", "-7", "--"))
        name = args[-1].replace("/", ".")
        user = name.split(".")[1] if "." in name else "nobody"
        told = {
            "Archive": f"{self.root}/spool/{name}",
            "Data": f"{self.root}/spool/{name}",
            "Meta": f"{self.root}/meta/{name}",
            "Sieve": f"{self.root}/sieve/{user}",
            "User": f"{self.root}/users/{user}",
        }
        return Completed([], 0, "".join(f"{key}: {path}\n" for key, path in told.items()), "")

    def entries(self) -> Iterator[MailboxEntry]:
        return (MailboxEntry(name, "", "default", "", None) for name in self.names)

    def full_mailboxes(self, names: list[str]) -> Iterator[FullMailbox]:
        if self.errors:
            raise self.errors[0]
        return iter([self.told])

    def close(self) -> None:
        pass


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(Install, "discover", made.install)
    monkeypatch.setattr(Install, "run", made.run)
    monkeypatch.setattr(Install, "mailboxes", lambda install: made.entries())
    monkeypatch.setattr(_keep, "Session", lambda endpoint: made)
    monkeypatch.setattr(_keep, "_SPARE", 0)
    return made


def files(archive: _keep.Archive) -> set[str]:
    root = Path(archive.where)
    return {str(path.relative_to(root)) for path in root.rglob("*") if not path.is_dir()}


def test_a_mailbox(host: Host) -> None:
    host.told = FullMailbox(None, dict(HEAD), iter([RECORD]))
    kept = host.keep("user.anna")
    assert files(kept) == {
        "index.json",
        "mailboxes/00001/data/1.",
        "mailboxes/00001/data/cyrus.index",
        "mailboxes/00001/meta/cyrus.cache",
    }
    assert (kept.count, kept.unread, kept.present) == (1, {}, False)
    (box,) = host.index(kept)["mailboxes"]
    assert (box["mailbox"], box["uniqueid"], box["uidvalidity"]) == ("user.anna", "id-anna", 17)
    assert box["messages"] == [
        {
            "uid": 1,
            "file": "mailboxes/00001/data/1.",
            "size": 20,
            "guid": hashlib.sha1(b"message of user.anna").hexdigest(),
            "internaldate": 99,
            "flags": ["$x", "\\seen"],
        }
    ]
    copy = Path(kept.where) / "mailboxes/00001/data/1."
    assert copy.read_text() == "message of user.anna"
    assert (copy.stat().st_mtime, copy.stat().st_mode & 0o777) == (2000, 0o600)
    assert Path(kept.where).stat().st_mode & 0o777 == 0o700


def test_a_user(host: Host) -> None:
    kept = host.keep("anna")
    assert {box["mailbox"] for box in host.index(kept)["mailboxes"]} == {
        "user.anna",
        "user.anna.Sent",
    }
    assert {"user/anna.sub", "user/anna.seen", "sieve/main.bc"} <= files(kept)
    assert "user/annabel.sub" not in files(kept)
    assert os.readlink(Path(kept.where) / "sieve/defaultbc") == "main.bc"


@pytest.mark.parametrize(
    ("errors", "reason"),
    [([], "BADFORMAT"), ([ReplicationError("it closed the connection")], "closed the connection")],
)
def test_a_mailbox_that_cyrus_can_t_open(
    host: Host, errors: list[ReplicationError], reason: str
) -> None:
    host.errors = errors
    kept = host.keep("shared")
    assert reason in kept.unread["shared"]
    (message,) = host.index(kept)["mailboxes"][0]["messages"]
    assert (message["uid"], message["flags"], message["internaldate"]) == (1, None, None)
    assert kept.count == 1


def test_the_same_is_not_copied_twice(host: Host) -> None:
    first = host.keep("anna")
    again = host.keep("anna")
    assert (again.present, again.where, again.count) == (True, first.where, first.count)
    assert again.unread == first.unread
    host.write("spool/user.anna/2.", "new")
    other = host.keep("anna")
    assert not other.present
    assert other.where != first.where
    assert set(os.listdir(host.folder)) == {Path(first.where).name, Path(other.where).name}


def test_check_mode_makes_nothing(host: Host) -> None:
    would = host.keep("anna", check=True)
    assert (would.present, would.count) == (False, 2)
    assert not os.path.exists(host.folder)
    assert host.keep("anna").where == would.where


def test_cut_off_and_run_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    class CutError(BaseException):
        pass

    def cut(path: str) -> None:
        raise CutError

    with monkeypatch.context() as patch:
        # As after a kill: nobody cleans up.
        patch.setattr(shutil, "rmtree", lambda path, ignore_errors: None)
        patch.setattr(_files, "sync_directory", cut)
        with pytest.raises(CutError):
            host.keep("anna")
    (left,) = os.listdir(host.folder)
    assert left == ".anna.partial"
    kept = host.keep("anna")
    assert os.listdir(host.folder) == [Path(kept.where).name]


def test_no_room(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_keep, "_SPARE", 1 << 60)
        with pytest.raises(ReplicationError, match="MiB free and the archive needs"):
            host.keep("anna")

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(ReplicationError, match=r"No space left on device\): make room"):
            host.keep("anna")
    assert os.listdir(host.folder) == []


def test_a_file_that_is_changed_or_goes_away(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def change(folder: str, found: list[_keep.Source]) -> None:
        host.write("spool/shared/1.", "changed")

    def remove(folder: str, found: list[_keep.Source]) -> None:
        (host.root / "spool/shared/1.").unlink()

    monkeypatch.setattr(_keep, "_refuse_without_room", change)
    with pytest.raises(ReplicationError, match="was changed while it was copied"):
        host.keep("shared")
    monkeypatch.setattr(_keep, "_refuse_without_room", remove)
    with pytest.raises(ReplicationError, match="went away while it was read"):
        host.keep("shared")
    assert os.listdir(host.folder) == []


@pytest.mark.parametrize(
    ("name", "reason"), [("user.ben", "no mailbox user.ben"), ("ben", "no user ben")]
)
def test_what_is_not_there(host: Host, name: str, reason: str) -> None:
    with pytest.raises(ReplicationError, match=reason):
        host.keep(name)


def test_a_damaged_archive_is_no_archive(host: Host) -> None:
    kept = host.keep("shared")
    (Path(kept.where) / "index.json").write_text("{")
    with pytest.raises(ReplicationError, match="move its folder away"):
        host.keep("shared")


def test_cyrus_tells_no_places(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Install, "run", lambda *args: Completed([], 0, "other!default\n", ""))
    with pytest.raises(ReplicationError, match="does not tell where the mailbox shared lies"):
        _mbpath.of(host.install(), "shared")


def test_an_old_version_takes_names_as_they_are(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    host.version = "3.2.6"
    asked = []

    def run(_install: Install, *args: str) -> Completed:
        asked.append(args)
        return host.run("mbpath", "-a", "-7", "--", args[-1])

    monkeypatch.setattr(Install, "run", run)
    _mbpath.of(host.install(), "user.anna.&ANw-bung")
    assert asked == [("mbpath", "-a", "--", "user/anna/&ANw-bung")]
