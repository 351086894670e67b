# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One pass of rsync: its command, and what it says."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _rsync
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._rsync import Options, Remote

REMOTE = Remote("192.0.2.12", "root", 2222, "/k", "/known")
# rsync 3.2.3 (Debian 11), 3.2.7 (12) and 3.4.1 (13) say the same.
SAID = """
              0   0%    0.00kB/s    0:00:00 (xfr#0, to-chk=0/4)\r        412  33%    1.00MB/s

Number of files: 1,204 (reg: 1,100, dir: 104)
Number of created files: 3 (reg: 2, dir: 1)
Number of deleted files: 0
Number of regular files transferred: 2
Total file size: 4096 bytes
Total transferred file size: 412 bytes
Literal data: 412 bytes
Matched data: 0 bytes
File list size: 0
File list generation time: 0.001 seconds
File list transfer time: 0.000 seconds
Total bytes sent: 100
Total bytes received: 500
"""


def test_what_it_says() -> None:
    said = SAID.replace("1,204", "1204")
    found = _rsync.parse(said, 1.23456)
    assert (found.files, found.moved_files, found.bytes, found.moved_bytes) == (1204, 2, 4096, 412)
    assert (found.sent, found.received, found.seconds) == (100, 500, 1.235)
    with pytest.raises(ReplicationError, match="number of files"):
        _rsync.parse("nothing", 1.0)


def test_the_command() -> None:
    found = _rsync.command(REMOTE, "config", "/to", ["+ /a", "- /*"], Options(100, True), "/old")
    assert found[:3] == ["ionice", "-c", "3"]
    assert found[-2:] == ["root@192.0.2.12::config/", "/to/"]
    assert "--link-dest=/old" in found
    assert "--bwlimit=100" in found
    assert found.index("--filter=+ /a") < found.index("--filter=- /*")
    # Nothing that is in use is ever changed in place.
    assert not any(word.startswith(("--inplace", "--append")) for word in found)
    (shell,) = [word for word in found if word.startswith("--rsh=")]
    assert "StrictHostKeyChecking=yes" in shell
    assert "-p 2222" in shell
    assert "--dry-run" in _rsync.command(REMOTE, "x", "/to", [], Options(), dry=True)
    six = Remote("2001:db8::1", "root", 22, "/k", "/known")
    assert _rsync.command(six, "x", "/to", [], Options())[-2] == "root@[2001:db8::1]::x/"


def test_a_failure_says_why_and_a_time_limit_ends_it() -> None:
    def note(_percent: int) -> None:
        pass

    with pytest.raises(ReplicationError, match="rsync ended with 3: no such folder"):
        _rsync.run(["sh", "-c", "echo no such folder >&2; exit 3"], 10, note)
    with pytest.raises(ReplicationError, match="time for this pass"):
        _rsync.run(["sleep", "10"], 0.1, note)


def test_a_change_within_a_second_that_keeps_the_size_is_seen(tmp_path: Path) -> None:
    assert shutil.which("rsync"), "rsync is missing: run make tools"
    source, target = tmp_path / "source", tmp_path / "target"
    source.mkdir()
    index = source / "cyrus.index"
    index.write_bytes(b"seen")
    whole = _rsync.command(REMOTE, "x", str(target), [], Options(idle=False))
    ours = [word for word in whole[:-2] if not word.startswith(("--rsh", "--chown"))]

    def passes(command: list[str]) -> bytes:
        shutil.rmtree(target, ignore_errors=True)
        for number, text in enumerate((b"seen", b"none")):
            index.write_bytes(text)
            os.utime(index, ns=(0, 10**18 + number * 10**6))
            subprocess.run([*command, f"{source}/", f"{target}/"], check=True, capture_output=True)
        return (target / "cyrus.index").read_bytes()

    assert passes(["rsync", "-a"]) == b"seen"
    assert passes(ours) == b"none"
