# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master's channels: what cannot be found out is null, and never counted as fine."""

from __future__ import annotations

import json
import os
import re
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _channel,
    _command,
    _control,
    _doubt,
    _endpoints,
    _role,
    _state,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Target, read
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import Quarantine, path_of
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._state import Heartbeat, State
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import WireError

HOSTS = [{"name": name, "address": name} for name in ("imap1", "imap2", "imap3")]


class Host:
    """The master, with what its files, its units and its replicas say."""

    def __init__(self, root: Path) -> None:
        self.role = "master"
        self.unit = "active\n"
        self.refusal: str | None = None
        self.log = root / "sync/imap2/log"
        self.log.parent.mkdir(parents=True)
        self.parity = root / "imap2.json"
        self.answers = True
        for name in ("imap2", "imap3"):
            os.makedirs(_state.folder(name))
        now = time.time()
        beat = Heartbeat(10, now - 3, now - 3, 0.24)
        self.save(State("imap2", "imap2", "running", "2026-11-01T10:00:00Z", beat))

    def record(self) -> Record:
        master = "imap1" if self.role == "master" else "imap2"
        return Record("store1", "imap1", self.role, master, 3, "2026-11-01T10:00:00Z")

    def session(self, endpoint: object) -> Any:
        if self.refusal is not None:
            raise WireError(self.refusal)
        return SimpleNamespace(close=lambda: None)

    def run(self, cmd: list[str], timeout: float) -> _command.Completed:
        assert cmd[-1].startswith("cyrus-replicator@imap")
        if not self.unit:
            raise ReplicationError(f"systemctl did not end within {timeout:g} s")
        return _command.Completed(cmd, 0, self.unit, "")

    def save(self, state: State) -> None:
        self.state = state
        state.save(_state.path_of("imap2"))

    def ask(self, channel: str, order: dict[str, str], timeout: float) -> dict[str, Any]:
        assert order == {"do": "status"}
        if not self.answers:
            raise ReplicationError(f"the replicator of channel {channel} does not answer")
        return {"ok": True}

    def channel(self) -> dict[str, Any]:
        return _channel.channels()[0]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path / "channels"))
    monkeypatch.setattr(_doubt, "CHANNELS", str(tmp_path / "channels"))
    monkeypatch.setattr(_doubt, "HOST", str(tmp_path / "doubt.json"))
    made = Host(tmp_path)
    monkeypatch.setattr(_control, "ask", made.ask)
    install = SimpleNamespace(config_directory=str(tmp_path), settings={})
    store = Store.load({"name": "store1", "hosts": HOSTS})
    monkeypatch.setattr(_role, "read", made.record)
    monkeypatch.setattr(Install, "discover", lambda: install)
    monkeypatch.setattr(_endpoints, "read_store", lambda: store)
    monkeypatch.setattr(_channel, "Session", made.session)
    monkeypatch.setattr(_command, "run", made.run)
    monkeypatch.setattr(_role, "PARITY_DIR", str(tmp_path))
    return made


def test_channels_of_a_master(host: Host) -> None:
    assert [(c["name"], c["replica"]) for c in _channel.channels()] == [
        ("imap2", "imap2"),
        ("imap3", "imap3"),
    ]
    assert host.channel() == {
        "name": "imap2",
        "replica": "imap2",
        "state": "active",
        "paused": False,
        "replicator": {
            "state": "running",
            "reason": None,
            "since": "2026-11-01T10:00:00Z",
            "replicated": None,
        },
        "link": {"ok": True, "reason": None},
        "backlog": {"entries": 0, "bytes": 0, "oldest": None, "run_age": None, "held": 0},
        "lag": 0.2,
        "quarantine": [],
        "doubt": None,
        "parity": None,
        "reason": None,
    }


def test_other_hosts_have_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.role = "replica"
    assert _channel.channels() == []
    monkeypatch.setattr(_role, "read", lambda: None)
    assert _channel.channels() == []


def test_a_replica_has_those_that_it_feeds(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.role = "replica"
    hosts = [*HOSTS[:2], {**HOSTS[2], "upstream": "imap1"}]
    chain = Store.load({"name": "store1", "hosts": hosts})
    monkeypatch.setattr(_endpoints, "read_store", lambda: chain)
    assert _channel.names() == {"imap3": "imap3"}
    host.role = "fenced"
    assert _channel.names() == {}


def test_one_channel(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _channel.one("imap2") == host.channel()
    with pytest.raises(ReplicationError, match="no channel imap9: its channels are imap2, imap3"):
        _channel.one("imap9")
    host.role = "replica"
    with pytest.raises(ReplicationError, match="no channel imap2: it feeds no replica"):
        _channel.one("imap2")


def test_backlog(host: Host) -> None:
    host.log.write_text("USER anna\nUSER ben\n")
    run = host.log.with_name("log-run")
    run.write_text("USER carla\n")
    os.utime(run, (time.time() - 90, time.time() - 90))
    backlog = host.channel()["backlog"]
    assert backlog["entries"] == 3
    assert 90 <= backlog["run_age"] < 100
    assert backlog["oldest"] >= 90


def test_link_that_does_not_work_is_told(host: Host) -> None:
    host.refusal = "imap2: no"
    channel = host.channel()
    assert channel["link"] == {"ok": False, "reason": "imap2: no"}


@pytest.mark.parametrize("unit", ["failed", "inactive", "unknown"])
def test_lag_of_a_channel_that_nobody_works_at(host: Host, unit: str) -> None:
    host.unit = "" if unit == "unknown" else unit + "\n"
    channel = host.channel()
    assert (channel["lag"], channel["state"]) == (None, unit)
    assert channel["reason"] == (
        f"the lag is not known: cyrus-replicator@imap2.service is {unit}, start the channel"
    )


def test_lag_where_the_replicator_does_not_answer(host: Host) -> None:
    host.answers = False
    channel = host.channel()
    assert channel["lag"] is None
    assert "does not answer" in channel["reason"]


def test_lag_before_the_first_heartbeat(host: Host) -> None:
    host.save(replace(host.state, heartbeat=Heartbeat(10)))
    assert host.channel()["lag"] is None
    os.unlink(_state.path_of("imap2"))
    channel = host.channel()
    assert (channel["lag"], channel["replicator"]) == (None, None)
    assert "no heartbeat has reached the replica yet" in channel["reason"]


def test_lag_of_a_replica_that_is_away(host: Host) -> None:
    beat = Heartbeat(10, time.time() - 60, time.time() - 70, 0.1)
    host.save(replace(host.state, state="away", reason="imap2: gone", heartbeat=beat))
    channel = host.channel()
    assert 60 <= channel["lag"] < 70
    assert channel["replicator"]["reason"] == "imap2: gone"


def test_replicator_that_was_killed_is_not_running(host: Host) -> None:
    host.unit = "failed\n"
    replicator = host.channel()["replicator"]
    assert (replicator["state"], replicator["reason"]) == ("stopped", "its unit is failed")
    assert replicator["since"] > "2026-11-01T10:00:00Z"


def test_state_that_cannot_be_read(host: Host) -> None:
    Path(_state.path_of("imap2")).write_text("{")
    channel = host.channel()
    assert (channel["replicator"], channel["lag"]) == (None, None)
    assert "state.json can't be read" in channel["reason"]


def test_paused(host: Host) -> None:
    _state.set_paused("imap2", True)
    assert host.channel()["paused"] is True


def test_log_that_cannot_be_read(host: Host) -> None:
    host.log.symlink_to("log")
    channel = host.channel()
    assert (channel["backlog"], channel["lag"]) == (None, None)
    assert "cannot be read" in channel["reason"]


def test_quarantine(host: Host) -> None:
    registry = Quarantine(path_of("imap2"))
    target = Target("mailbox", "user.anna.Sent")
    events = [read("MAILBOX user.anna.Sent"), read("APPEND user.anna.Sent")]
    registry.hold(target, "damaged", "drop it", "replicator", events, 1e9)
    registry.save()
    channel = host.channel()
    assert channel["backlog"]["held"] == 2
    (entry,) = channel["quarantine"]
    assert entry == {
        "channel": "imap2",
        "replica": "imap2",
        "scope": "mailbox",
        "name": "user.anna.Sent",
        "user": "anna",
        "mailbox": "user.anna.Sent",
        "reason": "damaged",
        "advice": "drop it",
        "since": "2001-09-09T01:46:40Z",
        "by": "replicator",
        "tries": 0,
        "tried": None,
        "next": 1e9 + 5,
        "held": 2,
    }


def test_quarantine_that_cannot_be_read(host: Host) -> None:
    Path(path_of("imap2")).write_text("{")
    channel = host.channel()
    assert (channel["quarantine"], channel["backlog"]["held"]) == (None, None)
    assert "is damaged" in channel["reason"]


def test_last_parity(host: Host) -> None:
    noted = {"in_sync": True, "started": "2026-11-01T10:00:00Z"}
    host.parity.write_text(json.dumps(noted))
    assert host.channel()["parity"] == noted
    host.parity.write_text("{")
    damaged = host.channel()
    assert damaged["parity"] is None
    assert re.search(r"imap2\.json can't be read .*: remove it", damaged["reason"])


@pytest.mark.parametrize(
    ("in_sync", "started", "counts", "stands"),
    [
        (True, "2026-11-01T09:59:59Z", None, True),
        (True, "2026-11-01T10:00:00Z", None, True),
        (True, "2026-11-01T10:00:01Z", True, False),
        (False, "2026-11-01T09:59:59Z", False, True),
        (False, "2026-11-01T10:00:01Z", False, True),
        (None, "2026-11-01T10:00:01Z", None, True),
    ],
)
def test_doubt_ends_with_a_comparison_that_began_later(
    host: Host, in_sync: bool | None, started: str, counts: bool | None, stands: bool
) -> None:
    _doubt.note("imap2", "a log could not be written", "2026-11-01T10:00:00Z")
    host.parity.write_text(json.dumps({"in_sync": in_sync, "started": started}))
    channel = host.channel()
    assert channel["parity"]["in_sync"] is counts
    assert (channel["doubt"] is not None) is stands
    if counts is None:
        assert channel["parity"]["reason"] == "a log could not be written"


def test_doubt_before_the_first_comparison(host: Host) -> None:
    _doubt.raise_("Cyrus did not end in order", "2026-11-01T10:00:00Z")
    channel = host.channel()
    assert channel["parity"] is None
    assert channel["doubt"] == {
        "since": "2026-11-01T10:00:00Z",
        "reason": "Cyrus did not end in order",
    }


def test_last_full_check(host: Host) -> None:
    def refusal() -> str:
        with pytest.raises(ReplicationError) as caught:
            _channel.last_full_check("imap2")
        return str(caught.value)

    epoch = host.record().epoch
    noted = {"in_sync": True, "started": "2026-11-01T10:00:00Z", "epoch": epoch}
    assert refusal() == "channel imap2 was never compared in full"
    host.parity.write_text(json.dumps(noted))
    assert _channel.last_full_check("imap2") == noted["started"]
    host.parity.write_text(json.dumps({**noted, "epoch": epoch - 1}))
    assert f"was in epoch {epoch - 1}, now it is epoch {epoch}" in refusal()
    host.parity.write_text(json.dumps(noted))
    _doubt.note("imap2", "a log could not be written", "2026-11-01T10:00:00Z")
    assert refusal().endswith("is in doubt: a log could not be written")
    host.parity.write_text(json.dumps({**noted, "in_sync": None}))
    assert "did not find all equal" in refusal()
    host.parity.write_text(json.dumps({**noted, "started": "yesterday"}))
    assert "can't be read" in refusal()
