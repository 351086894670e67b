# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A channel brought into a state: what is switched, in which order, and what counts as there."""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _command,
    _control,
    _state,
    _steer,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._state import Heartbeat, State
from ansible_collections.mailops.cyrus.plugins.module_utils._steer import Switches

UNIT = "cyrus-replicator@imap2.service"


class Unit:
    """The unit of a channel and its replicator, and what was done to them."""

    def __init__(self) -> None:
        self.active, self.enabled, self.deaf = "active", "enabled", False
        self.done: list[str] = []
        self.say("running")

    def say(self, state: str) -> None:
        since = "2026-11-01T10:00:00Z"
        State("imap2", "imap2", state, since, Heartbeat(10)).save(_state.path_of("imap2"))

    def run(self, cmd: list[str], timeout: float) -> _command.Completed:
        program, verb, *args = cmd
        assert program == "systemctl"
        assert args[-1] == UNIT
        if verb == "show":
            shown = f"ActiveState={self.active}\nUnitFileState={self.enabled}\n"
            return _command.Completed(cmd, 0, shown, "")
        self.done.append(verb + (" paused" if _state.paused("imap2") else ""))
        if verb == "start":
            self.active = "active"
            self.say("paused" if _state.paused("imap2") else "running")
        elif verb == "stop":
            self.active = "inactive"
        elif verb == "enable":
            self.enabled = "enabled"
        return _command.Completed(cmd, 0, "", "")

    def ask(self, channel: str, order: Mapping[str, str], timeout: float) -> dict[str, Any]:
        assert (channel, timeout > 0) == ("imap2", True)
        if self.active != "active":
            raise _control.NotRunningError("it is not running")
        if order["do"] != "status":
            self.done.append(order["do"])
            if not self.deaf:
                _state.set_paused("imap2", order["do"] == "pause")
                self.say("paused" if order["do"] == "pause" else "running")
        return {"ok": True}


@pytest.fixture
def unit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Unit:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    (tmp_path / "imap2").mkdir()
    made = Unit()
    monkeypatch.setattr(_command, "run", made.run)
    monkeypatch.setattr(_control, "ask", made.ask)
    monkeypatch.setattr(time, "sleep", lambda seconds: None)
    return made


def down(unit: Unit, paused: bool = False, enabled: bool = True) -> None:
    unit.active = "inactive"
    unit.enabled = "enabled" if enabled else "disabled"
    _state.set_paused("imap2", paused)
    unit.say("stopped")


def up(unit: Unit, paused: bool = False) -> None:
    _state.set_paused("imap2", paused)
    unit.say("paused" if paused else "running")


CASES = [
    ("started", up, []),
    ("started", lambda u: up(u, paused=True), ["resume"]),
    ("started", down, ["start"]),
    ("started", lambda u: down(u, paused=True, enabled=False), ["enable", "start"]),
    ("paused", up, ["pause"]),
    ("paused", lambda u: up(u, paused=True), []),
    ("paused", down, ["start paused"]),
    ("paused", lambda u: down(u, paused=True), ["start paused"]),
    ("stopped", up, ["stop"]),
    ("stopped", lambda u: up(u, paused=True), ["stop paused"]),
    ("stopped", down, []),
]


@pytest.mark.parametrize(("state", "given", "done"), CASES)
def test_what_is_done(unit: Unit, state: str, given: Any, done: list[str]) -> None:
    given(unit)
    foreseen = _steer.ensure("imap2", state, 1, check=True)
    assert unit.done == []
    before, after = _steer.ensure("imap2", state, 1, check=False)
    assert (before, after) == foreseen
    assert unit.done == done
    assert (before != after) is bool(done)
    assert _steer.switches("imap2") == after
    assert _steer.ensure("imap2", state, 1, check=False) == (after, after)
    assert unit.done == done


def test_time_to_wait() -> None:
    assert _steer.seconds(0.5) == 0.5
    for timeout in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ReplicationError, match="timeout has to be"):
            _steer.seconds(timeout)


def test_differences() -> None:
    before = Switches(running=True, enabled=True, paused=False)
    told = _steer.differences(before, _steer.wanted(before, "paused"))
    assert told == {
        "before": {"running": True, "enabled": True, "paused": False},
        "after": {"running": True, "enabled": True, "paused": True},
    }


def test_one_that_does_not_get_there_in_time(unit: Unit) -> None:
    unit.deaf = True
    with pytest.raises(ReplicationError, match="imap2 is not paused in time: look at journalctl"):
        _steer.ensure("imap2", "paused", 0.01, check=False)


def test_one_that_is_being_started_is_running(unit: Unit) -> None:
    unit.active = "activating"
    assert _steer.switches("imap2").running


def test_one_that_dies_again(unit: Unit, monkeypatch: pytest.MonkeyPatch) -> None:
    down(unit)

    def run(cmd: list[str], timeout: float) -> _command.Completed:
        if cmd[1] == "start":
            return _command.Completed(cmd, 1, "", "Job failed. See journalctl.\n")
        return unit.run(cmd, timeout)

    monkeypatch.setattr(_command, "run", run)
    with pytest.raises(ReplicationError, match=r"systemctl start .* failed: Job failed"):
        _steer.ensure("imap2", "started", 1, check=False)


def test_one_that_never_listens(unit: Unit) -> None:
    down(unit)
    unit.active = "activating"
    with pytest.raises(_control.NotRunningError):
        _steer.ensure("imap2", "started", 0.01, check=False)
