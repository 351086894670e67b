# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All files of a host, made from what is there and what is asked for."""

from __future__ import annotations

import base64
import hashlib
import os
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _config,
    _configure,
    _cyrus_conf,
    _host_units,
    _rendered,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._config import Configuration, Request
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._rendered import File
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store

RECORDED = Path(__file__).parent / "recorded"
DEBIAN = (RECORDED / "debian-3.6.1-cyrus.conf").read_text()
STORE = Store.load(
    {
        "name": "s",
        "hosts": [{"name": f"imap{n}", "address": f"198.51.100.1{n}"} for n in (1, 2)],
    }
)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's files, without Cyrus."""
    monkeypatch.setattr(Install, "find", staticmethod(lambda: None))
    monkeypatch.setattr(_config, "HOSTS_ALLOW", str(tmp_path / "hosts.allow"))
    (tmp_path / "imapd.conf").write_text((RECORDED / "debian-3.6.1-imapd.conf").read_text())
    (tmp_path / "cyrus.conf").write_text(DEBIAN)
    return tmp_path


def configuration(host: Path, role: str = "replica", **given: Any) -> Configuration:
    request = {"settings": {}, "services": {}, "password": "pw", "store": STORE, **given}
    me = "imap1" if role == "master" else "imap2"
    return Configuration(
        Request(
            host=me,
            role=role,
            master="imap1",
            imapd_conf=str(host / "imapd.conf"),
            cyrus_conf=str(host / "cyrus.conf"),
            **request,
        )
    )


def test_a_site_s_file_is_kept(host: Path) -> None:
    assert _cyrus_conf.strip(configuration(host).cyrus) == DEBIAN


def test_debian_s_file_is_replaced_where_it_can_not_have_served(
    host: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_config, "_packaged", lambda path, text: text == DEBIAN)
    monkeypatch.setattr(_cyrus_conf, "check_services", lambda entries: ["pop3d is missing"])
    first = configuration(host, "master", services={"sieve": ""})
    assert _cyrus_conf.is_clean(first.cyrus)
    assert "timsieved" not in first.cyrus
    (host / "cyrus.conf").write_text(first.cyrus)
    assert "timsieved" in configuration(host, "master").cyrus
    monkeypatch.setattr(_cyrus_conf, "check_services", lambda entries: [])
    (host / "cyrus.conf").write_text(DEBIAN)
    assert not _cyrus_conf.is_clean(configuration(host, "master").cyrus)


def test_option_in_an_included_file_is_refused(host: Path) -> None:
    (host / "more.conf").write_text("sync_log: 1\nreadonly: no\n")
    with (host / "imapd.conf").open("a") as stream:
        stream.write(f"@include: {host}/more.conf\n")
    with pytest.raises(ReplicationError, match=r"more\.conf sets readonly, sync_log, which setup"):
        configuration(host).validate()


def test_option_that_setup_needs_is_not_the_site_s(host: Path) -> None:
    with pytest.raises(ReplicationError, match="must not set sync_log: setup does"):
        configuration(host, settings={"sync_log": "1"})


def test_hosts_allow_gets_and_loses_its_block(host: Path) -> None:
    plain = Store.load(
        {"name": "s", "link": "plain", "hosts": [vars(host) for host in STORE.hosts]}
    )
    allow = host / "hosts.allow"
    allow.write_text("ALL: ALL\n")
    (written,) = [f.text for f in configuration(host, store=plain).files() if f.path == str(allow)]
    assert written.index("replcsync: ALL : DENY") < written.index("ALL: ALL\n")
    allow.write_text(written)
    assert str(allow) not in [f.path for f in configuration(host, store=plain).files()]
    (restored,) = [f.text for f in configuration(host).files() if f.path == str(allow)]
    assert restored == "ALL: ALL\n"


def test_units_start_in_order_and_know_their_files(host: Path) -> None:
    made = configuration(host, "master")
    units = _host_units.unit_files(made.plan, made.request)
    assert [unit["name"] for unit in units] == [
        "cyrus-guard.service",
        "cyrus-imapd.service",
        "cyrus-link@imap2.service",
        "cyrus-link@guard-answer.service",
        "cyrus-replicator@imap2.service",
    ]
    assert "/etc/cyrus-replication/cert.pem" in units[2]["files"]
    assert [_config.LIBRARY in unit["files"] for unit in units] == [True, False, False, False, True]


def test_a_file_of_bytes_is_written_as_it_is(host: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = b"\x00PK\r\n\r\xff\n"
    path = str(host / "library.pyz")
    described = {"path": path, "content": base64.b64encode(data).decode(), "encoding": "base64"}
    file = _configure._given({**described, "executable": False})
    shown = _rendered.diff(file, _rendered.read(file))
    assert (shown["before"], shown["after"]) == (
        "",
        f"SHA-256 {hashlib.sha256(data).hexdigest()}\n",
    )
    monkeypatch.setattr(_rendered, "_owner", lambda file: (file.mode, os.getuid(), os.getgid()))
    _rendered.put(file)
    assert (host / "library.pyz").read_bytes() == data
    assert _rendered.read(file) == file.text
    with pytest.raises(ReplicationError, match="is no Base64"):
        _configure._given({**described, "content": "a", "executable": False})


def test_a_program_is_executable() -> None:
    described = {"path": "/p", "content": "#!/bin/sh\n", "encoding": "text"}
    modes = [_configure._given({**described, "executable": x}).mode for x in (False, True)]
    assert modes == [0o644, 0o755]


def test_a_difference_shows_no_secret() -> None:
    text = "sync_password: geheim\nsasl_ldapdb_pw: geheim\nservername: imap1\n"
    shown = _rendered.diff(File("/etc/imapd.conf", text, site=True), "ldap_password: geheim\n")
    assert "geheim" not in str(shown)
    assert "servername: imap1" in shown["after"]
    assert _rendered.diff(File("/x", "geheim", secret=True), "")["after"] == "(secret)\n"
