# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a unit needs, from what systemd says."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _doubt, _role, _units
from ansible_collections.mailops.cyrus.plugins.module_utils._units import State

SHOWN = """\
ActiveEnterTimestampMonotonic=5000000
Id=cyrus-imapd.service
LoadState=loaded
ActiveState=active
UnitFileState=enabled
NeedDaemonReload=no

ActiveEnterTimestampMonotonic=0
Id=cyrus-link@imap2.service
LoadState=not-found
ActiveState=inactive
UnitFileState=
NeedDaemonReload=no
"""


def test_states_of_running_and_missing_units() -> None:
    assert _units.parse_states(SHOWN, boot=100.0) == {
        "cyrus-imapd.service": State(True, True, 105.0, False),
        "cyrus-link@imap2.service": State(False, False, 100.0, False, False),
    }


@pytest.mark.parametrize(
    ("state", "newest", "needed"),
    [
        (State(True, True, 10.0, False), 9.0, ""),
        (State(True, True, 10.0, False), 10.1, "restart"),
        (State(True, True, 10.0, True), 0.0, "restart"),
        (State(False, True, 0.0, False), 0.0, "start"),
    ],
)
def test_a_unit_is_younger_than_its_files(state: State, newest: float, needed: str) -> None:
    assert _units.action(state, newest) == needed


def test_running_cyrus_is_marked_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_role, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(_doubt, "RUNNING", str(tmp_path / "running"))
    active = False
    monkeypatch.setattr(
        _units, "states", lambda names: {name: State(active, True, 0.0, False) for name in names}
    )
    assert _units.mark_running(check=False) == []
    active = True
    done = ["mark cyrus-imapd.service as running"]
    assert _units.mark_running(check=True) == _units.mark_running(check=False) == done
    assert _units.mark_running(check=False) == []


def test_only_our_own_instances_are_stale() -> None:
    listed = ["cyrus-link@a.service", "cyrus-link@b.service", "cyrus-imapd.service", "x@c.service"]
    patterns = ["cyrus-link@*.service", "cyrus-replicator@*.service"]
    assert _units.stale(listed, ["cyrus-link@b.service"], patterns) == ["cyrus-link@a.service"]
