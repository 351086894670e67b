# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a replicator says of itself."""

from __future__ import annotations

import syslog
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _notify, _reporter, _state
from ansible_collections.mailops.cyrus.plugins.module_utils._reporter import Reporter


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(_reporter, "time", clock)
    return clock


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    said: list[str] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: said.append(text))
    return said


@pytest.fixture
def reporter(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, said: list[str]
) -> Reporter:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    (tmp_path / "imap2").mkdir()
    return Reporter("imap2", "imap2", 10.0)


def written() -> _state.State:
    found = _state.load("imap2")
    assert found is not None
    return found


def test_each_change_is_one_line(reporter: Reporter, said: list[str]) -> None:
    for reason in ("no answer", "no answer", "refused"):
        reporter.enter("away", reason)
    reporter.enter("running")
    assert said == ["channel imap2: away: no answer", "channel imap2: running"]


def test_the_state_lasts_while_only_its_reason_changes(reporter: Reporter) -> None:
    reporter.enter("away", "no answer")
    since = written().since
    reporter.enter("away", "refused")
    assert (written().state, written().reason, written().since) == ("away", "refused", since)


def test_what_changes_all_the_time_is_written_once_a_second(
    reporter: Reporter, clock: Clock
) -> None:
    reporter.begin(5)
    assert written().batch is None
    clock.now += 2
    reporter.alive()
    found = written().batch
    assert found is not None
    assert found.events == 5
    reporter.finish()
    clock.now += 2
    reporter.alive()
    assert written().batch is None
    assert written().replicated is not None


def test_heartbeats_are_remembered_over_restarts(reporter: Reporter) -> None:
    reporter.beat(50.0, 50.0, 0.2)
    reporter.beat(60.0)
    again = Reporter("imap2", "imap2", 20.0)
    beat = again.state.heartbeat
    assert (beat.interval, beat.written, beat.seen, beat.delay) == (20.0, 60.0, 50.0, 0.2)


def test_a_damaged_state_is_begun_anew(reporter: Reporter, tmp_path: Path) -> None:
    (tmp_path / "imap2" / "state.json").write_text("{")
    assert Reporter("imap2", "imap2", 10.0).state.state == "starting"


def test_the_watchdog_is_fed_in_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clock: Clock, reporter: Reporter
) -> None:
    fed: list[tuple[str, ...]] = []
    monkeypatch.setattr(_notify, "notify", lambda *what: fed.append(what))
    monkeypatch.setattr(_notify, "watchdog_interval", lambda: 30.0)
    again = Reporter("imap2", "imap2", 10.0)
    again.alive()
    again.alive()
    clock.now += 16
    again.alive()
    assert fed == [("WATCHDOG=1",)] * 2
