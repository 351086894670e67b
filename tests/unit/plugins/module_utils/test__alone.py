# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One at a time: who comes second waits, or is told."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _role
from ansible_collections.mailops.cyrus.plugins.module_utils._alone import alone, changing
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def test_who_comes_second_is_told(tmp_path: Path) -> None:
    with (
        alone(str(tmp_path), "busy"),
        pytest.raises(ReplicationError, match="busy"),
        alone(str(tmp_path), "busy"),
    ):
        pass
    with alone(str(tmp_path), "busy"):
        pass


def test_who_waits_gets_a_turn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_role, "STATE_DIR", str(tmp_path))
    taken, done = threading.Event(), []

    def first() -> None:
        with changing(0):
            taken.set()
            time.sleep(0.2)
            done.append("first")

    thread = threading.Thread(target=first)
    thread.start()
    taken.wait()
    with changing(30):
        done.append("second")
    thread.join()
    assert done == ["first", "second"]


def test_a_host_that_was_never_set_up_has_no_turns(tmp_path: Path) -> None:
    with (
        pytest.raises(ReplicationError, match="can't be used: No such file"),
        alone(str(tmp_path / "none"), "busy"),
    ):
        pass
