# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What each driver runs, and what it says at its end.

Recorded are answers of tar 1.34, rsync 3.2.7 and restic 0.14.
"""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _backup_drivers
from ansible_collections.mailops.cyrus.plugins.module_utils._backup_drivers import Made, Paths
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._trees import Tree

WANTED = Paths("/", ("/var/mail", "/var/lib/x.db"), ("/var/mail/sync.",), "/var/content.gz")
RESTIC = (
    '{"message_type":"status","percent_done":1,"total_files":3}\n'
    '{"message_type":"summary","files_new":3,"total_bytes_processed":4711,'
    '"snapshot_id":"a1b2c3d4"}\n'
)


def test_a_folder_of_which_only_some_entries_belong_to_the_mail_is_taken_by_these() -> None:
    trees = [Tree("partition-default", "/var/mail"), Tree("config", "/var/lib", ("x.db", "y.db"))]
    found = _backup_drivers.paths(trees, "/c", "/", ["/var/lib/x.db"])
    assert found.included == ("/var/mail", "/var/lib/x.db")
    assert "/var/mail/sync." in found.excluded
    assert found.beside == "/c"


@pytest.mark.parametrize(
    ("driver", "words"),
    [
        ("tar", ["--file=/to/n.tar.part", "--exclude=var/mail/sync.", "var/lib/x.db"]),
        ("rsync", ["--link-dest=/to/m", "--exclude=/var/mail/sync.", "/./var/mail", "/to/n.part/"]),
        ("restic", ["--tag=n", "--repo=/to", "--exclude=/var/mail/sync.", "/var/lib/x.db"]),
    ],
)
def test_commands(driver: str, words: list[str]) -> None:
    found = _backup_drivers.command(driver, "/to", "n", WANTED, "/to/m")
    assert [word for word in words if word not in found] == []
    assert found[0] == driver


def test_a_snapshot_elsewhere() -> None:
    wanted = Paths("/mnt/", ("/var/m[a]il",), ("/var/m[a]il/sync.",), "/var/content.gz")
    tar = _backup_drivers.command("tar", "/to", "n", wanted, None)
    assert "--directory=/mnt/" in tar
    assert tar[-3:] == ["var/m[a]il", "--directory=/", "var/content.gz"]
    restic = _backup_drivers.command("restic", "", "n", wanted, None)
    assert "--exclude=/mnt/var/m\\[a]il/sync." in restic
    assert restic[-2:] == ["/mnt/var/m[a]il", "/var/content.gz"]
    assert not [word for word in restic if word.startswith("--repo")]
    assert "/mnt/./var/m[a]il" in _backup_drivers.command("rsync", "/to", "n", wanted, None)


@pytest.mark.parametrize("driver", ["tar", "rsync"])
def test_what_is_this_hosts_own_is_left_out(driver: str, tmp_path: Path) -> None:
    if shutil.which(driver) is None:
        pytest.fail(f"{driver} is missing: run make tools")
    source, to = tmp_path / "var" / "m[a]il", tmp_path / "to"
    for name in ("user", "sync.", "user/sync."):
        (source / name).mkdir(parents=True)
        (source / name / "1.").write_text(name)
    to.mkdir()
    beside = tmp_path / "content.gz"
    beside.write_text("content")
    inside = str(source)
    wanted = Paths("/", (inside,), (f"{inside}/sync.",), str(beside))
    command = _backup_drivers.command(driver, str(to), "n", wanted, None)
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    assert _backup_drivers.made(driver, done.stdout + done.stderr, "n").bytes > 0
    part = _backup_drivers.grows(driver, str(to), "n")
    assert part is not None
    if driver == "tar":
        (to / "whole").mkdir()
        subprocess.run(["tar", "-C", str(to / "whole"), "-xf", part], check=True)
        part = str(to / "whole")
    copied = Path(part + inside)
    assert (copied / "user" / "sync." / "1.").read_text() == "user/sync."
    assert not (copied / "sync.").exists()
    assert Path(part + str(beside)).read_text() == "content"


def test_what_was_made() -> None:
    assert _backup_drivers.made("restic", RESTIC, "n") == Made("snapshot a1b2c3d4", 4711)
    tar = "Total bytes written: 10240 (10KiB, 27MiB/s)\n"
    assert _backup_drivers.made("tar", tar, "n") == Made("n", 10240)
    rsync = "Number of files: 3\nTotal file size: 812 bytes\n"
    assert _backup_drivers.made("rsync", rsync, "n") == Made("n", 812)
    for driver in ("tar", "rsync", "restic"):
        with pytest.raises(ReplicationError):
            _backup_drivers.made(driver, '{"message_type":"status"}\n[]\n', "n")


def test_why_a_driver_has_failed() -> None:
    tar = (
        "Total bytes written: 61440 (60KiB, ?/s)\ntar: /to/n.tar.part: Cannot write: No space "
        "left on device\ntar: Error is not recoverable: exiting now\n"
    )
    assert "No space left on device" in _backup_drivers.complaint(tar)
    assert _backup_drivers.complaint("") == "it says nothing"
