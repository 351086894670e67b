# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replicator's state on disk, its lag, and the flag that pauses it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _state
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._state import Batch, Heartbeat, State

NEW = State("imap2", "imap2", "running", "2026-11-01T10:00:00Z", Heartbeat(5))
BUSY = replace(
    NEW,
    state="away",
    reason="imap2: nothing listens",
    replicated="2026-11-01T10:01:00Z",
    batch=Batch(7, "2026-11-01T10:02:00Z"),
    heartbeat=Heartbeat(5, 1000.0, 990.0, 0.4),
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    made = tmp_path / "imap2"
    made.mkdir()
    return made


@pytest.mark.parametrize("state", [NEW, BUSY], ids=["new", "busy"])
def test_what_is_saved_is_loaded(state: State) -> None:
    state.save(_state.path_of("imap2"))
    loaded = _state.load("imap2")
    assert loaded is not None
    assert loaded.written is not None
    assert replace(loaded, written=None) == state


def test_document_is_the_one_of_the_contract(folder: Path) -> None:
    BUSY.save(_state.path_of("imap2"))
    document = json.loads((folder / "state.json").read_text())
    assert document.pop("written")
    assert document == {
        "channel": "imap2",
        "replica": "imap2",
        "state": "away",
        "reason": "imap2: nothing listens",
        "since": "2026-11-01T10:00:00Z",
        "replicated": "2026-11-01T10:01:00Z",
        "batch": {"events": 7, "started": "2026-11-01T10:02:00Z"},
        "heartbeat": {"interval": 5, "written": 1000.0, "seen": 990.0, "delay": 0.4},
    }


def test_no_replicator_has_ever_run() -> None:
    assert _state.load("imap2") is None
    assert _state.load("imap3") is None


def test_what_a_newer_version_adds_is_passed_over(folder: Path) -> None:
    document = {**json.loads(_saved()), "new": 1}
    assert _state.parse(json.dumps(document)).channel == "imap2"


def _saved() -> str:
    NEW.save(_state.path_of("imap2"))
    return Path(_state.path_of("imap2")).read_text()


@pytest.mark.parametrize(
    "text",
    ["{", "[]", "{}", '{"state": "running"}', '{"state": "fine", "heartbeat": {}}', "\udcff"],
)
def test_what_is_no_state_is_refused(folder: Path, text: str) -> None:
    (folder / "state.json").write_bytes(text.encode("utf-8", "surrogateescape"))
    with pytest.raises(ReplicationError, match=r"state\.json can't be read .*: restart"):
        _state.load("imap2")


@pytest.mark.parametrize(
    ("beat", "lag"),
    [
        (Heartbeat(5), None),
        (Heartbeat(5, written=1000.0), None),
        (Heartbeat(5, 1000.0, 995.0, 0.3), 20.0),  # on its way for 20 s
        (Heartbeat(5, 1005.0, 1005.0, 0.3), 0.3),
        (Heartbeat(5, 1004.0, 1004.0, 0.3), 16.0),  # none was written when it was due
        (Heartbeat(5, 1021.0, 1015.0, 0.3), 0.0),  # the clock was set back
    ],
)
def test_lag(beat: Heartbeat, lag: float | None) -> None:
    assert replace(NEW, heartbeat=beat).lag(1020.0) == lag


def test_pause_and_resume() -> None:
    assert not _state.paused("imap2")
    for wanted in (True, True, False, False):
        _state.set_paused("imap2", wanted)
        assert _state.paused("imap2") is wanted


def test_a_folder_that_setup_has_not_made() -> None:
    assert not _state.paused("imap3")
    with pytest.raises(ReplicationError, match="run setup"):
        _state.set_paused("imap3", True)


def test_lag_counts_what_is_in_hand() -> None:
    now = 1793527360.0  # 2026-11-01T10:02:40Z
    beat = Heartbeat(10.0, now - 42, now - 42, 0.2)
    assert replace(NEW, heartbeat=beat, batch=Batch(7, "2026-11-01T10:02:00Z")).lag(now) == 42
    beat = Heartbeat(10.0, now - 1, now - 1, 0.2)
    assert replace(NEW, heartbeat=beat, batch=Batch(7, "2026-11-01T10:02:00Z")).lag(now) == 40


def test_no_lag_from_a_time_that_is_yet_to_come() -> None:
    assert replace(NEW, heartbeat=Heartbeat(10.0, 900.0, 900.0, 0.2)).lag(100.0) is None
