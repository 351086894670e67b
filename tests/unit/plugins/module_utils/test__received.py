# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a replica can tell of its master by itself."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _endpoints,
    _received,
    _role,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._session import FullMailbox
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store

HOSTS = [{"name": name, "address": name} for name in ("imap1", "imap2", "imap3")]
RECORD = (
    b"%(UID 1 MODSEQ 9 LAST_UPDATED 1793527200 FLAGS () INTERNALDATE 1793000000 SIZE 10 "
    b"GUID 0123456789012345678901234567890123456789)"
)


class Session:
    def __init__(self, records: dict[str, list[bytes]]) -> None:
        self._records = records

    def full_mailboxes(self, names: list[str]) -> Any:
        for name in names:
            found = self._records.get(name)
            yield FullMailbox(None if found else "no such mailbox", {}, iter(found or ()))

    def close(self) -> None:
        pass


@pytest.fixture
def records(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, list[bytes]]:
    found: dict[str, list[bytes]] = {}
    record = _role.Record("store1", "imap2", "replica", "imap1", 3, "2026-11-01T09:00:00Z")
    monkeypatch.setattr(_role, "read", lambda: record)
    store = Store.load({"name": "store1", "hosts": HOSTS})
    monkeypatch.setattr(_endpoints, "read_store", lambda: store)
    monkeypatch.setattr(_received, "Session", lambda _endpoint: Session(found))
    monkeypatch.setattr(_role, "PARITY_DIR", str(tmp_path))
    return found


def test_the_heartbeat_of_its_own_channel_counts(records: dict[str, list[bytes]]) -> None:
    records["cyrus-heartbeat-imap3"] = [RECORD.replace(b"1793527200", b"1793527300")]
    with pytest.raises(ReplicationError, match="no heartbeat has ever come"):
        _received.heartbeat()
    records["cyrus-heartbeat-imap2"] = [RECORD]
    assert _received.heartbeat() == {"written": 1793527200, "at": "2026-11-01T10:00:00Z"}


def test_the_last_comparison_is_its_own(records: dict[str, list[bytes]], tmp_path: Path) -> None:
    assert _received.last_parity() is None
    kept = {"in_sync": True, "level": "summary", "started": "2026-11-01T09:00:00Z", "epoch": 3}
    path = tmp_path / "imap2.json"
    path.write_text(json.dumps({**kept, "differences": 0}))
    assert _received.last_parity() == kept
    path.write_text("{")
    with pytest.raises(ReplicationError, match="run parity"):
        _received.last_parity()


def test_a_master_has_no_master(
    records: dict[str, list[bytes]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_role, "read", lambda: None)
    assert _received.heartbeat() is _received.last_parity() is None
