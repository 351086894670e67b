# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the servers of a store are read, from the description that setup has left on the host."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _endpoints
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._store import CSYNC_SOCKET, Store

HOSTS = [{"name": "imap1", "address": "a1"}, {"name": "imap-2.example", "address": "a2"}]
STORE = Store.load({"name": "store1", "hosts": HOSTS})
SETTINGS = {
    "sync_authname": "any",
    "sync_password": "any password",
    "imap2example_sync_authname": "replication",
    "imap2example_sync_password": "secret",
}


def test_store_is_read(tmp_path: Path) -> None:
    path = tmp_path / "store.json"
    path.write_text(json.dumps({"name": "store1", "hosts": HOSTS, "link": None}))
    assert _endpoints.read_store(str(path)) == STORE


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"hosts": [{}]}', '{"hosts": [], "x": 1}'])
def test_store_that_cannot_be_read(tmp_path: Path, text: str) -> None:
    path = tmp_path / "store.json"
    path.write_text(text)
    with pytest.raises(ReplicationError, match=r"store\.json can't be read .*: run setup"):
        _endpoints.read_store(str(path))


def test_store_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match="run setup, or say how to reach the servers"):
        _endpoints.read_store(str(tmp_path / "none"))


def test_this_host() -> None:
    local = _endpoints.local("imap1")
    assert (local.name, local.path, local.transport) == ("imap1", CSYNC_SOCKET, "csync")


def test_replica_over_the_link() -> None:
    reading = _endpoints.reading(STORE, "imap-2.example", SETTINGS)
    assert (reading.host, reading.port, reading.transport) == ("a2", 2016, "imap")
    assert (reading.user, reading.password) == ("replication", "secret")
    assert (reading.tls, reading.tls_name) == ("implicit", "imap-2.example")
    assert reading.ca_file is not None
    assert reading.cert_file is not None
    assert reading.key_file is not None
    receiving = _endpoints.receiving(STORE, "imap-2.example", SETTINGS)
    assert (receiving.port, receiving.transport) == (2015, "csync")


def test_plain_link_has_no_tls() -> None:
    plain = Store.load({"name": "store1", "hosts": HOSTS, "link": "plain"})
    reading = _endpoints.reading(plain, "imap1", SETTINGS)
    assert (reading.tls, reading.ca_file, reading.cert_file) == ("none", None, None)
    assert reading.user == "any"


def test_host_that_is_not_in_the_store() -> None:
    with pytest.raises(ReplicationError, match="imap9 is no host of store store1"):
        _endpoints.reading(STORE, "imap9", SETTINGS)


@pytest.mark.parametrize(
    ("value", "on"), [("off", False), ("no", False), ("userid", True), ("on", True), (None, False)]
)
def test_virtual_domains(value: str | None, on: bool) -> None:
    settings = {} if value is None else {"virtdomains": value}
    assert _endpoints.reading(STORE, "imap1", settings).virtdomains == on


def test_login() -> None:
    assert _endpoints.login("imap2example", SETTINGS) == ("replication", "secret")
    assert _endpoints.login("", SETTINGS) == ("any", "any password")
    assert _endpoints.login("other", {}) == (None, None)
