# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master's channels: what cannot be found out is null, and never counted as fine."""

from __future__ import annotations

import json
import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _channel,
    _command,
    _endpoints,
    _role,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
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

    def record(self) -> Record:
        return Record("store1", "imap1", self.role, "imap1", 3, "2026-11-01T10:00:00Z")

    def session(self, endpoint: object) -> Any:
        if self.refusal is not None:
            raise WireError(self.refusal)
        return SimpleNamespace(close=lambda: None)

    def run(self, cmd: list[str], timeout: float) -> _command.Completed:
        assert cmd[-1].startswith("cyrus-replicator@imap")
        if not self.unit:
            raise ReplicationError(f"systemctl did not end within {timeout:g} s")
        return _command.Completed(cmd, 0, self.unit, "")

    def channel(self) -> dict[str, Any]:
        return _channel.channels()[0]


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    install = SimpleNamespace(config_directory=str(tmp_path), settings={})
    store = Store.load({"name": "store1", "hosts": HOSTS})
    monkeypatch.setattr(_role, "read", made.record)
    monkeypatch.setattr(Install, "discover", lambda: install)
    monkeypatch.setattr(_endpoints, "read_store", lambda: store)
    monkeypatch.setattr(_channel, "Session", made.session)
    monkeypatch.setattr(_command, "run", made.run)
    monkeypatch.setattr(_channel, "PARITY_DIR", str(tmp_path))
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
        "link": {"ok": True, "reason": None},
        "backlog": {"entries": 0, "bytes": 0, "oldest": None},
        "lag": 0.0,
        "reason": None,
        "parity": None,
    }


def test_other_hosts_have_none(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.role = "replica"
    assert _channel.channels() == []
    monkeypatch.setattr(_role, "read", lambda: None)
    assert _channel.channels() == []


def test_backlog(host: Host) -> None:
    host.log.write_text("USER anna\nUSER ben\n")
    channel = host.channel()
    assert channel["backlog"]["entries"] == 2
    assert channel["lag"] is not None


@pytest.mark.parametrize(("unit", "refusal"), [("failed\n", None), ("active\n", "imap2: no")])
def test_empty_log_of_a_broken_channel_is_no_lag_of_zero(
    host: Host, unit: str, refusal: str | None
) -> None:
    host.unit, host.refusal = unit, refusal
    channel = host.channel()
    assert channel["lag"] is None
    assert channel["link"] == {"ok": refusal is None, "reason": refusal}
    assert channel["state"] == unit.strip()


def test_log_that_cannot_be_read(host: Host) -> None:
    host.log.symlink_to("log")
    channel = host.channel()
    assert (channel["backlog"], channel["lag"]) == (None, None)
    assert "cannot be read" in channel["reason"]


@pytest.mark.parametrize("said", ["", "\n"], ids=["fails", "empty"])
def test_unit_of_which_systemd_says_nothing(host: Host, said: str) -> None:
    host.unit = said
    assert host.channel()["state"] == "unknown"
    assert host.channel()["lag"] is None


def test_last_parity(host: Host) -> None:
    host.parity.write_text(json.dumps({"in_sync": True}))
    assert host.channel()["parity"] == {"in_sync": True}
    host.parity.write_text("{")
    damaged = host.channel()
    assert damaged["parity"] is None
    assert re.search(r"imap2\.json can't be read .*: remove it", damaged["reason"])
