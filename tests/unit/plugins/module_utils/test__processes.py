# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cyrus's processes, from a /proc that was made for it."""

from __future__ import annotations

import time
from pathlib import Path

from ansible_collections.mailops.cyrus.plugins.module_utils import _processes


def process(root: Path, pid: str, exe: str, comm: str = "x", ticks: int = 0) -> None:
    folder = root / pid
    folder.mkdir()
    (folder / "exe").symlink_to(exe)
    fields = " ".join(["0"] * 18 + [str(ticks)] + ["0"] * 30)
    (folder / "stat").write_text(f"{pid} ({comm}) S {fields}\n")


def test_cyrus_s_programs_are_told_by_their_place(tmp_path: Path) -> None:
    process(tmp_path, "7", "/usr/lib/cyrus/bin/imapd", "a ) S 1 2 (b", 500)
    process(tmp_path, "8", "/usr/lib/cyrus/bin/lmtpd (deleted)")
    process(tmp_path, "9", "/usr/bin/python3")
    (tmp_path / "10").mkdir()
    (tmp_path / "uptime").write_text("")
    found = {process.pid: process for process in _processes.cyrus(str(tmp_path))}
    assert {pid: process.program for pid, process in found.items()} == {7: "imapd", 8: "lmtpd"}
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    assert abs(found[7].started - boot - 500 / _processes._TICKS) < 1
