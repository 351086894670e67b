# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes parity unknown, and what does not."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _doubt, _role
from ansible_collections.mailops.cyrus.plugins.module_utils._doubt import Doubt
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

EARLY, LATE = "2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's folder, with a channel in it."""
    monkeypatch.setattr(_role, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(_doubt, "HOST", str(tmp_path / "doubt.json"))
    monkeypatch.setattr(_doubt, "RUNNING", str(tmp_path / "running"))
    monkeypatch.setattr(_doubt, "CHANNELS", str(tmp_path / "channels"))
    (tmp_path / "channels/imap2").mkdir(parents=True)
    return tmp_path


def test_end_in_order_leaves_no_doubt(state: Path) -> None:
    for _run in range(2):
        _doubt.started(EARLY)
        assert (state / "running").exists()
        _doubt.ended("success", LATE)
        assert not (state / "running").exists()
    assert _doubt.read("imap2") is None


def test_loss_of_power_is_seen_at_the_next_start(state: Path) -> None:
    _doubt.started(EARLY)
    os.utime(state / "running", (0, 0))
    _doubt.started(LATE)
    found = _doubt.read()
    assert found is not None
    assert found.since == LATE
    assert "ran since 1970-01-01T00:00:00Z and was not stopped in order" in found.reason
    assert (state / "running").stat().st_mtime > 0
    assert (state / "doubt.json").stat().st_mode & 0o777 == 0o644


@pytest.mark.parametrize("result", ["signal", "exit-code", "timeout", ""])
def test_other_end_is_a_doubt(state: Path, result: str) -> None:
    _doubt.started(EARLY)
    _doubt.ended(result, LATE)
    assert not (state / "running").exists()
    found = _doubt.read()
    assert found is not None
    assert found.since == LATE
    assert (result or "unknown") in found.reason
    # It stands until everything has been compared, whatever happens to Cyrus.
    _doubt.started(LATE)
    _doubt.ended("success", LATE)
    assert _doubt.read() == found


def test_mark_stays_where_the_doubt_can_not_be_noted(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _doubt.started(EARLY)
    monkeypatch.setattr(_doubt, "HOST", str(state / "missing/doubt.json"))
    with pytest.raises(ReplicationError, match=r"doubt\.json can't be written"):
        _doubt.ended("signal", LATE)
    with pytest.raises(ReplicationError, match=r"doubt\.json can't be written"):
        _doubt.started(LATE)
    assert (state / "running").exists()


def test_mark_is_made_once() -> None:
    assert _doubt.mark_running()
    assert not _doubt.mark_running()


def test_newer_of_host_and_channel_counts() -> None:
    _doubt.raise_("the host", EARLY)
    assert _doubt.read("imap2") == Doubt(EARLY, "the host")
    _doubt.note("imap2", "the channel", LATE)
    assert _doubt.read("imap2") == Doubt(LATE, "the channel")
    assert _doubt.read("imap3") == _doubt.read() == Doubt(EARLY, "the host")


@pytest.mark.parametrize(
    "text",
    ["", "{", "[]", "{}", '{"since": "now", "reason": "x"}', json.dumps({"since": LATE})],
)
def test_damaged_note_is_a_doubt(state: Path, text: str) -> None:
    (state / "doubt.json").write_text(text)
    os.utime(state / "doubt.json", (0, 0))
    found = _doubt.read()
    assert found is not None
    assert found.since == "1970-01-01T00:00:00Z"
    assert "doubt.json is damaged" in found.reason


def shown(state: Path, monkeypatch: pytest.MonkeyPatch, started: str, in_sync: bool) -> None:
    """The host was compared with its master, as the replica that it was."""
    record = _role.Record("store1", "imap2", "master", "imap2", 4, LATE)
    monkeypatch.setattr(_role, "read", lambda: record)
    monkeypatch.setattr(_role, "PARITY_DIR", str(state))
    (state / "imap2.json").write_text(json.dumps({"started": started, "in_sync": in_sync}))


def test_a_doubt_that_was_settled_is_none_in_another_role_too(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _doubt.raise_("x", EARLY)
    shown(state, monkeypatch, LATE, in_sync=True)
    assert _doubt.read() is None
    assert _doubt.read("imap2") is None
    _doubt.note("imap2", "y", EARLY)
    assert _doubt.read("imap2") == Doubt(EARLY, "y")
    _doubt.settle()
    assert not (state / "doubt.json").exists()


def test_who_has_got_all_may_not_have_logged_all_for_those_behind(
    state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _doubt.raise_("x", EARLY)
    shown(state, monkeypatch, LATE, in_sync=True)
    replica = _role.Record("store1", "imap2", "replica", "imap1", 4, LATE)
    monkeypatch.setattr(_role, "read", lambda: replica)
    assert _doubt.read() is None
    assert _doubt.read("imap3") == Doubt(EARLY, "x")


@pytest.mark.parametrize(("started", "in_sync"), [(EARLY, True), (LATE, False)])
def test_a_doubt_that_is_newer_or_was_not_settled_stands(
    started: str, in_sync: bool, state: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _doubt.raise_("x", EARLY)
    shown(state, monkeypatch, started, in_sync)
    _doubt.settle()
    assert _doubt.read() == Doubt(EARLY, "x")
    (state / "imap2.json").write_text("{")
    assert _doubt.read() == Doubt(EARLY, "x")
