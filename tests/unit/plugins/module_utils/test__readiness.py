# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What decides whether a host can take part in a change of master."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _activities,
    _certificate,
    _clearance,
    _command,
    _doubt,
    _endpoints,
    _fence,
    _peers,
    _readiness,
    _role,
    _stage,
    _units,
    _unreplicated,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._command import Completed
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store

RECORD = Record("store1", "imap1", "master", "imap1", 3, "2026-11-01T10:00:00Z")
HOSTS = [{"name": f"imap{n}", "address": f"198.51.100.1{n}"} for n in (1, 2, 3)]
# As OpenSSL 3.0.11 and 1.1.1w say it.
END = "notAfter=Nov 11 12:00:00 2026 GMT\n"
NOW = 1793707200.0  # 2026-11-03T12:00:00Z


class Host:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.record: Record | None = RECORD
        self.store = Store.load({"name": "store1", "hosts": HOSTS})
        self.settings = {
            "configdirectory": str(root),
            "partition-default": str(root / "not/yet/there"),
            "metapartition-default": str(root),
            "duplicatesuppression": "no",
            "sasl_sasldb_path": str(root / "sasldb2"),
        }
        self.openssl = Completed([], 0, END, "")
        self.heard: dict[str, _peers.Answer | ReplicationError] = {
            "imap2": _peers.Answer(RECORD, False),
            "imap3": ReplicationError("imap3 gives no answer"),
        }

    def ask_all(self, store: Store, names: list[str]) -> _peers.Heard:
        assert names == ["imap2", "imap3"]
        return self.heard

    def install(self) -> Install:
        install = Install(str(self.root), "/x/imapd.conf", "/x/cyrus.conf", self.settings)
        install._version_text = "cyrus-imapd 3.6.1-Debian-3.6.1-4+deb12u5"
        return install

    def databases(self) -> dict[str, Any]:
        return {found.name: found for found in _unreplicated.in_use(self.install())}


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Host:
    made = Host(tmp_path)
    monkeypatch.setattr(Install, "discover", made.install)
    monkeypatch.setattr(_role, "read", lambda: made.record)
    monkeypatch.setattr(_role, "STATE_DIR", str(tmp_path))
    monkeypatch.setattr(_activities, "_PREFIX", str(tmp_path / "activity-"))
    monkeypatch.setattr(_units, "active", lambda _patterns: [])
    monkeypatch.setattr(_stage, "PATH", str(tmp_path / "reseed.json"))
    monkeypatch.setattr(_fence, "PATH", str(tmp_path / "fence.json"))
    monkeypatch.setattr(_clearance, "PATH", str(tmp_path / "cleared.json"))
    monkeypatch.setattr(_doubt, "HOST", str(tmp_path / "doubt.json"))
    monkeypatch.setattr(_endpoints, "read_store", lambda: made.store)
    monkeypatch.setattr(_peers, "ask_all", made.ask_all)
    monkeypatch.setattr(_command, "run", lambda cmd, timeout: made.openssl)
    return made


def test_a_host_that_is_well(host: Host) -> None:
    _clearance.grant(3)
    found = _readiness.describe()
    assert found["unknown"] == {}
    assert found["version_tuple"] == [3, 6, 1]
    assert (found["record"]["epoch"], found["cleared"], found["fence"]) == (3, True, None)
    assert set(found["partitions"]) == {"default", "metapartition-default"}
    room = found["partitions"]["default"]
    assert room["path"].endswith("not/yet/there")
    assert 0 < room["used_bytes"] <= room["total_bytes"]
    assert found["peers"]["imap2"] == {
        "reached": True,
        "epoch": 3,
        "role": "master",
        "master": "imap1",
        "fenced": False,
        "reason": None,
    }
    assert found["peers"]["imap3"]["reason"] == "imap3 gives no answer"
    assert found["peers"]["imap3"]["reached"] is False
    assert (found["reseed"], found["backup"]) == (None, None)
    assert {"partition-default", "config"} <= set(found["trees"]["paths"])
    assert (found["activities"], found["databases"], found["read_only"]) == ([], [], False)


def test_what_is_not_known_hides_nothing_else(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> Install:
        raise ReplicationError("Cyrus IMAP is not installed on this host: run setup first")

    def unreadable() -> Record:
        raise PermissionError(13, "Permission denied", "/x/role.json")

    monkeypatch.setattr(Install, "discover", missing)
    monkeypatch.setattr(_role, "read", unreadable)
    found = _readiness.describe()
    assert (found["version"], found["layout"], found["record"]) == (None, None, None)
    assert found["unknown"]["layout"].startswith("Cyrus IMAP is not installed")
    assert found["unknown"]["record"] == "/x/role.json: Permission denied"
    assert found["certificate"] is not None


def test_a_host_without_a_role(host: Host) -> None:
    host.record = None
    found = _readiness.describe()
    assert (found["record"], found["cleared"], found["peers"]) == (None, False, {})
    assert found["unknown"] == {}


def test_certificate_that_ends_first(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    ends = {"cert": "Nov 11 12:00:00 2026 GMT", "ca": "Nov  5 00:00:00 2026 GMT"}

    def run(cmd: list[str], timeout: float) -> Completed:
        name = Path(cmd[-1]).stem
        return Completed(cmd, 0, f"notAfter={ends[name]}\n", "")

    monkeypatch.setattr(_command, "run", run)
    monkeypatch.setattr(time, "time", lambda: NOW)
    assert _readiness.describe()["certificate"] == {
        "not_after": "2026-11-05T00:00:00Z",
        "days_left": 1.5,
    }


@pytest.mark.parametrize(
    ("done", "reason"),
    [
        (Completed([], 1, "", "Could not open file\nmore"), r"\(Could not open file\): run setup"),
        (Completed([], 0, "", ""), r"\(no end\): run setup"),
        (Completed([], 0, "notAfter=some day\n", ""), "is no time"),
    ],
)
def test_certificate_that_cannot_be_read(host: Host, done: Completed, reason: str) -> None:
    host.openssl = done
    with pytest.raises(ReplicationError, match=reason):
        _certificate.validity("/x/cert.pem", NOW)
    found = _readiness.describe()
    assert found["certificate"] is None
    assert found["unknown"]["certificate"]


def test_plain_link_needs_no_certificate(host: Host) -> None:
    host.store = Store.load({"name": "store1", "hosts": HOSTS, "link": "plain"})
    found = _readiness.describe()
    assert (found["certificate"], found["unknown"]) == (None, {})


def test_what_is_under_way(host: Host) -> None:
    path = host.root / "activity-reseed.json"
    path.write_text(json.dumps({"what": "reseed of imap3", "since": "2026-11-01T10:00:00Z"}))
    (host.root / "activity-x.json").write_text("{")
    reseed, other = _readiness.describe()["activities"]
    assert reseed == "reseed of imap3 is under way since 2026-11-01T10:00:00Z"
    assert "does not say what" in other


def test_state_that_cannot_be_written(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert _readiness.describe()["read_only"] is True


def test_databases_that_are_not_replicated(host: Host) -> None:
    assert host.databases() == {}
    for name in ("user_deny.db", "sasldb2", "deliver.db", "statuscache.db", "httpd"):
        (host.root / name).write_text("x")
    assert set(host.databases()) == {"user_deny", "sasldb"}
    host.openssl = Completed([], 0, "zoe@h: userPassword\nann@h: userPassword\n", "")
    assert host.databases()["sasldb"].accounts == ["ann", "zoe"]
    host.openssl = Completed([], 1, "", "damaged")
    assert host.databases()["sasldb"].accounts is None
    host.settings.update(
        duplicatesuppression="1",
        statuscache="yes",
        conversations="on",
        httpmodules="admin CalDAV",
        search_engine="xapian",
    )
    found = host.databases()
    assert set(found) == {
        *("user_deny", "sasldb", "deliver", "statuscache"),
        *("conversations", "dav", "search"),
    }
    assert (found["deliver"].bytes, found["dav"].bytes) == (1, None)


def test_databases_that_hold_nothing(host: Host) -> None:
    (host.root / "user_deny.db").write_text("")
    host.settings["httpmodules"] = "caldav carddav"
    assert host.databases() == {}
