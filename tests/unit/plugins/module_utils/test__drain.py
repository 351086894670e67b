# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a channel counts as drained, and above all when it does not."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _audit,
    _channel,
    _control,
    _drain,
    _pair,
    _role,
    _state,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._drain import Compared
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Target, read
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._pair import Pair
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import Quarantine, path_of
from ansible_collections.mailops.cyrus.plugins.module_utils._report import Subject
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._state import Batch, Heartbeat, State
from ansible_collections.mailops.cyrus.plugins.module_utils._synclog import SyncLog
from ansible_collections.mailops.cyrus.plugins.module_utils._touched import Touched
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import Endpoint

START = "start the channel (module channel, name=imap2 state=started)"
TOUCHED = {"then": Touched(frozenset({"anna"}))}
DIFFERENCE = {"user": "anna", "mailbox": "user.anna.Sent"}


class Channel:
    """A channel of this host that is drained, until something is changed."""

    def __init__(self, root: Path) -> None:
        self.unit = "active"
        self.silent = False
        self.unlogged: str | None = None
        self.log = root / "sync/imap2/log"
        self.log.parent.mkdir(parents=True)
        os.makedirs(_state.folder("imap2"))
        self.report = {
            "in_sync": True,
            "compared": {"users": 8, "mailboxes": 30, "messages": 0, "bytes": 0},
            **{key: [] for key in ("differences", "lagging", "unknown", "skipped")},
        }
        self.compared = 0
        self.touched: Touched | None = None
        self.unaudited: str | None = None
        self.version = (3, 6, 1)
        now = time.time()
        beat = Heartbeat(10, now, now, 0.1)
        self.say(State("imap2", "imap2", "running", "2026-11-01T10:00:00Z", beat))

    def say(self, state: State) -> None:
        self.state = state
        state.save(_state.path_of("imap2"))

    def ask(self, channel: str, order: Mapping[str, str], timeout: float) -> dict[str, Any]:
        if self.silent:
            raise ReplicationError("the replicator of channel imap2 does not answer")
        return {"ok": True}

    def pair_of(self, options: Mapping[str, Any]) -> Pair:
        assert options["channel"] == "imap2"
        assert (options["master"]["name"], options["replica"]["name"]) == ("imap1", "imap2")
        if self.unlogged is not None:
            raise ReplicationError(self.unlogged)
        subject = Subject(options["store"], "imap1", "imap2", options["level"], options["epoch"])
        return Pair(subject, Endpoint("imap1"), Endpoint("imap2"), None, options["settle"])

    def check(self, pair: Pair, progress: Any, touched: Touched | None) -> dict[str, Any]:
        self.compared += 1
        self.touched = touched
        progress("compared", 1, 1)
        return self.report

    def touched_since(self, started: str) -> Touched:
        if self.unaudited is not None:
            raise ReplicationError(self.unaudited)
        return TOUCHED[started]

    def drain(self, compare: str = "all") -> _drain.Left:
        return _drain.drain("imap2", 0.05, compare)

    def reason(self) -> str:
        (reason,) = self.drain().reasons
        return reason


@pytest.fixture
def channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Channel:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path / "channels"))
    made = Channel(tmp_path)
    record = Record("store1", "imap1", "master", "imap1", 3, "2026-11-01T10:00:00Z")
    monkeypatch.setattr(_role, "read", lambda: record)
    monkeypatch.setattr(_channel, "names", lambda: {"imap2": "imap2"})
    monkeypatch.setattr(_channel, "unit_state", lambda name: made.unit)
    monkeypatch.setattr(
        Install,
        "discover",
        lambda: SimpleNamespace(config_directory=str(tmp_path), version=made.version),
    )
    monkeypatch.setattr(_audit, "touched_since", made.touched_since)
    monkeypatch.setattr(_channel, "last_full_check", lambda name: "then")
    monkeypatch.setattr(_control, "ask", made.ask)
    monkeypatch.setattr(_pair, "pair_of", made.pair_of)
    monkeypatch.setattr(_pair, "check", made.check)
    monkeypatch.setattr(_drain, "USER", "no such user")
    monkeypatch.setattr(_drain, "_LAST_SECONDS", 0.05)
    monkeypatch.setattr(_drain, "_POLL_SECONDS", 0.01)
    return made


def test_drained(channel: Channel) -> None:
    left = channel.drain()
    assert (left.reasons, left.report) == ((), channel.report)
    assert left.compared == Compared("all", 8, 30, None)
    assert (channel.compared, channel.touched) == (1, None)


def test_what_was_touched_is_compared(channel: Channel) -> None:
    left = channel.drain("touched")
    assert left == _drain.Left((), channel.report, Compared("touched", 8, 30, None))
    assert channel.touched == TOUCHED["then"]


def test_all_is_compared_where_it_is_not_known_who_was_touched(channel: Channel) -> None:
    channel.unaudited = "who was touched is not known"
    left = channel.drain("touched")
    assert left.compared == Compared("all", 8, 30, "who was touched is not known")
    assert (left.reasons, channel.touched) == ((), None)
    channel.unaudited, channel.version = None, (3, 2, 6)
    compared = channel.drain("touched").compared
    assert compared is not None
    assert compared.scope == "all"
    assert "does not tell mailboxes by their ids" in str(compared.why)


def test_nothing_is_compared(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    channel.log.write_text("USER anna\n")
    (reason,) = channel.drain("none").reasons
    assert "until now is not done yet" in reason

    def work(seconds: float) -> None:
        channel.log.unlink(missing_ok=True)
        channel.log.write_text("USER ben\n")
        channel.say(replace(channel.state, batch=Batch(1, "2026-11-01T10:00:00Z")))

    monkeypatch.setattr(time, "sleep", work)
    assert channel.drain("none") == _drain.Left(())
    assert channel.compared == 0


def test_a_master_that_serves_is_compared_in_spite_of_changes(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(*args: Any) -> dict[str, Any]:
        channel.log.write_text("USER ben\n")
        return channel.check(*args)

    monkeypatch.setattr(_pair, "check", check)
    assert channel.drain("live").reasons == ()
    assert channel.compared == 1
    channel.log.unlink()
    assert channel.drain("all").reasons


def test_even_without_a_comparison_what_is_kept_back_counts(channel: Channel) -> None:
    hold("user.anna")
    assert channel.drain("none").reasons == ("user.anna is in quarantine: damaged",)
    channel.silent = True
    assert "does not answer" in channel.drain("none").reasons[0]


@pytest.mark.parametrize("name", ["log", "log-run"])
def test_log_that_is_there(channel: Channel, name: str) -> None:
    path = channel.log.with_name(name)
    path.write_text("USER anna\nMAILBOX shared.x\n")
    assert channel.reason() == f"{path} is there, with events of anna, shared.x"
    path.write_text("")
    assert channel.reason() == f"{path} is there, with events of nobody"
    assert channel.compared == 0


def test_many_names_are_cut(channel: Channel) -> None:
    channel.log.write_text("".join(f"USER u{number:02}\n" for number in range(15)))
    assert channel.reason().endswith("u08, u09 and 5 more")


def test_log_that_goes_away_in_time(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    channel.log.write_text("USER anna\n")
    monkeypatch.setattr(time, "sleep", lambda seconds: channel.log.unlink())
    assert channel.drain().reasons == ()


@pytest.mark.parametrize("unit", ["inactive", "failed", "unknown"])
def test_stopped_channel_is_never_drained(channel: Channel, unit: str) -> None:
    channel.unit = unit
    assert channel.reason() == f"cyrus-replicator@imap2.service is {unit}: {START}"


def test_paused_channel_is_never_drained(channel: Channel) -> None:
    _state.set_paused("imap2", True)
    assert channel.reason() == f"channel imap2 is paused: {START}"


@pytest.mark.parametrize("state", ["starting", "away", "stalled", "paused", "stopped"])
def test_only_a_running_replicator_drains(channel: Channel, state: str) -> None:
    channel.say(replace(channel.state, state=state, reason="it says why"))
    assert channel.reason() == f"channel imap2 is {state}: it says why"


def test_replicator_that_does_not_answer(channel: Channel) -> None:
    channel.silent = True
    assert "does not answer" in channel.reason()


def test_batch_in_hand(channel: Channel) -> None:
    channel.say(replace(channel.state, batch=Batch(7, "2026-11-01T10:00:00Z")))
    assert channel.reason() == "7 events are in hand since 2026-11-01T10:00:00Z"


def test_log_that_nobody_is_known_to_write(channel: Channel) -> None:
    channel.say(replace(channel.state, heartbeat=Heartbeat(10)))
    assert "no heartbeat has come through" in channel.reason()
    channel.unlogged = "this host has sync_log off in imapd.conf"
    assert channel.reason() == "this host has sync_log off in imapd.conf"


def test_log_that_cyrus_cannot_write(channel: Channel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(SyncLog, "foreign_file", lambda self, user: "/x/log")
    assert "/x/log does not belong to" in channel.reason()


def hold(mailbox: str) -> None:
    registry = Quarantine(path_of("imap2"))
    events = [read(f"MAILBOX {mailbox}")]
    target = Target("mailbox", mailbox)
    registry.hold(target, "damaged", None, "replicator", events, 1.0)
    registry.save()


def test_quarantine(channel: Channel) -> None:
    hold("user.anna")
    assert channel.reason() == "user.anna is in quarantine: damaged"
    Path(path_of("imap2")).write_text("{")
    assert "is damaged" in channel.reason()


def test_state_that_differs(channel: Channel) -> None:
    channel.report.update(in_sync=False, differences=[DIFFERENCE, DIFFERENCE])
    left = channel.drain()
    assert left.reasons == ("2 things differ, of user.anna.Sent",)
    assert left.report == channel.report


def test_state_that_is_not_known(channel: Channel) -> None:
    channel.report.update(
        in_sync=None,
        lagging=[{"user": None, "mailbox": None}],
        unknown=[{"scope": "store", "reason": "imap2: nothing listens"}],
        skipped=[{"scope": "ben", "reason": "too much"}],
    )
    assert channel.drain().reasons == (
        "1 things are behind, of the server",
        "store was not compared: imap2: nothing listens",
        "ben was not compared: too much",
    )


def test_what_is_logged_while_it_is_compared(
    channel: Channel, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(pair: Pair, progress: Any, touched: Any) -> dict[str, Any]:
        channel.log.write_text("USER anna\n")
        return channel.report

    monkeypatch.setattr(_pair, "check", check)
    assert "is there, with events of anna" in channel.reason()


def test_host_that_has_no_such_channel(channel: Channel) -> None:
    (reason,) = _drain.drain("imap9", 0.05).reasons
    assert "no channel imap9" in reason
