# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The file in which a long job notes how far it is."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _progress


def test_noted_at_most_every_half_second(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = [1000.0]
    monkeypatch.setattr(_progress, "time", SimpleNamespace(monotonic=lambda: now[0]))
    path = tmp_path / "progress"
    note = _progress.reporter(str(path))
    pid = os.getpid()
    assert path.read_text() == f"{pid} 0 of 0 being read\n"
    now[0] += 0.4
    note("users compared", 1, 8)
    assert path.read_text() == f"{pid} 0 of 0 being read\n"
    now[0] += 0.2
    note("users compared", 2, 8)
    assert path.read_text() == f"{pid} 2 of 8 users compared\n"
    assert os.listdir(tmp_path) == ["progress"]


def test_nothing_is_noted_without_a_file() -> None:
    _progress.reporter(None)("users compared", 1, 8)
