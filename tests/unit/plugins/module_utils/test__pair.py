# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A pair from the module's options to the document of the contract."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterable
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _endpoints, _pair, _report
from ansible_collections.mailops.cyrus.plugins.module_utils._check import Findings
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install, MailboxEntry
from ansible_collections.mailops.cyrus.plugins.module_utils._look import Unknown
from ansible_collections.mailops.cyrus.plugins.module_utils._parity import Difference, Tally
from ansible_collections.mailops.cyrus.plugins.module_utils._report import Subject
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import Endpoint, Wire
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.scripted import (
    ScriptedSocket,
)

SUBJECT = Subject("store1", "imap1", "imap2", "summary", 3)
DIFFERENCE = Difference("message_flags", "anna", "user.anna", 7, "\\seen", True, False)
ENDPOINT = {field.name: field.default for field in dataclasses.fields(Endpoint)}


# -- the document


def test_document_has_the_keys_of_the_contract() -> None:
    findings = Findings(
        differences=[DIFFERENCE],
        lagging=[DIFFERENCE],
        unknown=[Unknown("ben", "imap2 refuses: NO", "ben")],
        skipped=[Unknown("report", "5 further differences are not listed")],
        tally=Tally(users=8, mailboxes=30, messages=100),
    )
    difference = {
        "kind": "message_flags",
        "user": "anna",
        "mailbox": "user.anna",
        "uid": 7,
        "field": "\\seen",
        "master": True,
        "replica": False,
    }
    assert _report.document(SUBJECT, findings, "2026-11-01T10:00:00Z", 1.23456) == {
        "store": "store1",
        "master": "imap1",
        "replica": "imap2",
        "level": "summary",
        "epoch": 3,
        "in_sync": False,
        "started": "2026-11-01T10:00:00Z",
        "seconds": 1.235,
        "compared": {"users": 8, "mailboxes": 30, "messages": 100, "bytes": 0},
        "differences": [difference],
        "lagging": [difference],
        "unknown": [{"scope": "ben", "reason": "imap2 refuses: NO"}],
        "skipped": [{"scope": "report", "reason": "5 further differences are not listed"}],
    }


@pytest.mark.parametrize("lagging", [[], [DIFFERENCE]])
@pytest.mark.parametrize("unknown", [[], [Unknown("x", "y")]])
@pytest.mark.parametrize("skipped", [[], [Unknown("x", "y")]])
def test_unknown_is_never_taken_for_good(
    lagging: list[Difference], unknown: list[Unknown], skipped: list[Unknown]
) -> None:
    certain = not (lagging or unknown or skipped)
    findings = Findings([], lagging, unknown, skipped)
    assert _report.in_sync(findings) is (True if certain else None)
    findings.differences = [DIFFERENCE]
    assert _report.in_sync(findings) is False


# -- two servers

OK = b"OK success\r\n"
MAILBOX = (
    b"* MAILBOX %(UNIQUEID u1 MBOXNAME user.anna SYNC_CRC 5 SYNC_CRC_ANNOT 12345678 LAST_UID 1"
    b" HIGHESTMODSEQ 9 POP3_SHOW_AFTER 0 UIDVALIDITY 9 PARTITION default ACL x OPTIONS x)\r\n"
)
LOCAL = Endpoint("imap1", path="/run/csync")
REMOTE = Endpoint("imap2", transport="imap", host="h", user="u", password="p")


def csync(request: bytes) -> bytes:
    return (MAILBOX if b"MAILBOXES" in request else b"") + OK


def imap(request: bytes) -> bytes:
    tag, command = request.split(b" ", 1) if b" " in request else (b"S1", request)
    if command == b"AUTHENTICATE PLAIN":
        return b"+ \r\n"
    listed = b'* LIST () "." user.anna\r\n' if command.startswith(b"LIST") else b""
    told = MAILBOX if b"MAILBOXES" in command else b""
    return listed + told + tag + b" " + OK


def serve(monkeypatch: pytest.MonkeyPatch) -> None:
    def connect(wire: Wire) -> ScriptedSocket:
        if wire._endpoint is LOCAL:
            return ScriptedSocket(b"* OK imap1 Cyrus sync server 3.6.1\r\n", csync)
        return ScriptedSocket(b"* OK imap2 Cyrus IMAP 3.6.1 server ready\r\n", imap)

    monkeypatch.setattr(Wire, "_connect", connect)


def install(names: Iterable[tuple[str, str]]) -> Any:
    entries = [MailboxEntry(name, kind, "default", "", None) for name, kind in names]
    settings = {
        "configdirectory": "/nowhere",
        "sync_log": "yes",
        "sync_log_channels": "imap2",
        "imap2_sync_authname": "repl",
        "imap2_sync_password": "secret",
    }
    found = Install("/nowhere", "/etc/imapd.conf", "/etc/cyrus.conf", settings)
    found.mailboxes = lambda timeout=0.0: iter(entries)  # type: ignore[method-assign]
    return found


def pair(**changes: Any) -> _pair.Pair:
    return dataclasses.replace(_pair.Pair(SUBJECT, LOCAL, REMOTE, None, 0.0), **changes)


def quiet(what: str, done: int, total: int) -> None:
    pass


def test_two_servers_in_sync(monkeypatch: pytest.MonkeyPatch) -> None:
    serve(monkeypatch)
    entries = [("user.anna", "e"), ("user.far", "er"), ("user.old", "1")]
    monkeypatch.setattr(Install, "discover", lambda: install(entries))
    document = _pair.check(pair(), quiet)
    assert document["unknown"] == []
    assert document["in_sync"] is True
    assert document["compared"]["mailboxes"] == 1
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", document["started"])


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"master": Endpoint("imap1", path="/nowhere/csync")}, "imap1: cannot be reached at /nowh"),
        (
            {
                "master": LOCAL,
                "replica": Endpoint("imap2", host="h", user="u", password="p"),
            },
            "imap2: mailboxes can't be listed over csync from another host",
        ),
    ],
)
def test_what_goes_wrong_is_in_the_document(
    changes: dict[str, Any], reason: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if "replica" in changes:
        session = SimpleNamespace(close=lambda: None, is_same_server=lambda other: False)
        monkeypatch.setattr(_pair, "Session", lambda endpoint: session)
        monkeypatch.setattr(Install, "discover", lambda: install([]))
    document = _pair.check(pair(**changes), quiet)
    assert document["in_sync"] is None
    assert document["compared"]["users"] == 0
    (unknown,) = document["unknown"]
    assert unknown["scope"] == "store"
    assert unknown["reason"].startswith(reason)


def test_user_database_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail() -> None:
        raise ReplicationError("mailboxes.db can't be read: start Cyrus")

    serve(monkeypatch)
    broken = install([])
    broken.mailboxes = fail
    monkeypatch.setattr(Install, "discover", lambda: broken)
    document = _pair.check(pair(), quiet)
    assert document["in_sync"] is None
    assert document["unknown"][0]["reason"] == "mailboxes.db can't be read: start Cyrus"


@pytest.mark.parametrize(
    ("kind", "remote"), [("0", False), ("1", True), ("e", False), ("er", True), ("", False)]
)
def test_mailboxes_of_other_servers(kind: str, remote: bool) -> None:
    assert _pair._is_remote(kind) == remote


# -- options


def options(**changes: Any) -> dict[str, Any]:
    return {
        "store": "store1",
        "epoch": 3,
        "level": "messages",
        "channel": "imap2",
        "settle": 5.0,
        "master": {**ENDPOINT, "name": "imap1"},
        "replica": {**ENDPOINT, "name": "imap2"},
        **changes,
    }


def test_pair_as_setup_has_made_it(monkeypatch: pytest.MonkeyPatch) -> None:
    hosts = [{"name": "imap1", "address": "a1"}, {"name": "imap2", "address": "a2"}]
    store = Store.load({"name": "store1", "hosts": hosts})
    monkeypatch.setattr(_endpoints, "read_store", lambda: store)
    monkeypatch.setattr(Install, "discover", lambda: install([]))
    made = _pair.pair_of(options())
    assert made.subject == Subject("store1", "imap1", "imap2", "messages", 3)
    assert made.master == _endpoints.local("imap1")
    assert (made.replica.host, made.replica.user) == ("a2", "repl")
    assert made.log is not None
    assert made.log.folder == "/nowhere/sync/imap2"
    with pytest.raises(ReplicationError, match="imap3 is no host of store store1"):
        _pair.pair_of(options(replica={**ENDPOINT, "name": "imap3"}))


def test_pair_that_setup_never_touched() -> None:
    sides = [
        {**ENDPOINT, "name": name, "host": name, "transport": "imap", "user": "u", "password": "p"}
        for name in ("imap1", "imap2")
    ]
    made = _pair.pair_of(options(channel=None, epoch=None, master=sides[0], replica=sides[1]))
    assert (made.log, made.master.host, made.replica.host) == (None, "imap1", "imap2")


def test_login_of_the_channel_is_taken_where_none_is_given(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(Install, "discover", lambda: install([]))
    made = _pair.pair_of(options(replica={**ENDPOINT, "name": "imap2", "host": "h"}))
    assert (made.replica.user, made.replica.password) == ("repl", "secret")


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"sync_log_channels": "imap3"}, r"channels imap3, not to imap2"),
        ({"sync_log_channels": ""}, r"not to imap2"),
        ({"sync_log": "no"}, r"sync_log off"),
    ],
)
def test_channel_that_is_not_logged_is_refused(settings: dict[str, str], reason: str) -> None:
    host = install([])
    host.settings.update(settings)
    with pytest.raises(ReplicationError, match=reason):
        _pair._log(host, "imap2")


def test_channel_without_a_name() -> None:
    host = install([])
    del host.settings["sync_log_channels"]
    assert _pair._log(host, "").folder == "/nowhere/sync/"


def test_master_is_not_compared_with_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    session = SimpleNamespace(close=lambda: None, is_same_server=lambda other: True)
    monkeypatch.setattr(_pair, "Session", lambda endpoint: session)
    document = _pair.check(pair(), quiet)
    assert document["in_sync"] is None
    assert "lead to the same server" in document["unknown"][0]["reason"]


@pytest.mark.parametrize("settle", [-1.0, float("nan"), float("inf")])
def test_settle_is_a_number_of_seconds(settle: float) -> None:
    with pytest.raises(ReplicationError, match="settle"):
        _pair.pair_of(options(settle=settle))
