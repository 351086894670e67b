# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guard does in its rounds, on a host that is made up."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _address,
    _answering,
    _clearance,
    _fence,
    _fencing,
    _guard_state,
    _host_units,
    _peers,
    _posture,
    _role,
    _terms,
    _units,
    _witness,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._guard import Guard
from ansible_collections.mailops.cyrus.plugins.module_utils._peers import Answer
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store
from ansible_collections.mailops.cyrus.plugins.module_utils._terms import Terms

STORE = Store.load(
    {"name": "s", "hosts": [{"name": f"imap{n}", "address": f"198.51.100.1{n}"} for n in (1, 2)]}
)
MASTER = Record("s", "imap1", "master", "imap1", 3, "2026-11-01T10:00:00Z")
REPLICA = Record("s", "imap2", "replica", "imap1", 3, "2026-11-01T10:00:00Z")
TERMS = Terms("wait", 60.0, ("198.51.100.21",))
NEWER = replace(REPLICA, role="master", master="imap2", epoch=4)


class Host:
    """This host as the guard meets it; `done` is what it did."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        self.done: list[str] = []
        self.peer: Record | None = REPLICA
        self.seen = True
        self.now = 1000.0
        self.stuck: Exception | None = None
        monkeypatch.setattr(_role, "RECORD", str(tmp_path / "role.json"))
        monkeypatch.setattr(_role.read, "__defaults__", (str(tmp_path / "role.json"),))
        monkeypatch.setattr(_role.write, "__defaults__", (str(tmp_path / "role.json"),))
        monkeypatch.setattr(
            _role.append_history, "__defaults__", (str(tmp_path / "history.jsonl"),)
        )
        monkeypatch.setattr(_fence, "PATH", str(tmp_path / "fence.json"))
        monkeypatch.setattr(_clearance, "PATH", str(tmp_path / "cleared.json"))
        monkeypatch.setattr(_guard_state, "PATH", str(tmp_path / "guard.json"))
        monkeypatch.setattr(_terms, "HEARD", str(tmp_path / "guards.json"))
        monkeypatch.setattr(_peers, "ask_all", self._ask_all)
        monkeypatch.setattr(_witness, "seen", lambda hosts: list(hosts) * self.seen)
        monkeypatch.setattr("time.monotonic", lambda: self.now)
        monkeypatch.setattr("syslog.syslog", lambda *said: None)
        monkeypatch.setattr(_fencing, "settle", self._settle)
        monkeypatch.setattr(_fencing, "release", self._release)
        monkeypatch.setattr(_posture, "configuration", self._configuration)
        monkeypatch.setattr(_host_units, "unit_files", lambda *given: [])
        monkeypatch.setattr(_units, "end_stale", lambda *given: self.note("units"))
        monkeypatch.setattr(_units, "begin", lambda names: self.note("links"))
        monkeypatch.setattr(_units, "kill", lambda names: self.note("kill"))
        monkeypatch.setattr(_units, "queue", lambda names: self.note("start"))
        monkeypatch.setattr(_address, "up", list)
        _role.write(MASTER)

    def note(self, what: str) -> None:
        self.done.append(what)

    def _configuration(self) -> Any:
        return type("Rendered", (), {"plan": None, "request": None})

    def _ask_all(self, _store: Store, names: Iterable[str]) -> _peers.Heard:
        silent = ReplicationError("imap2 gives no answer")
        return {name: Answer(self.peer, False, TERMS) if self.peer else silent for name in names}

    def _settle(self, _end: float) -> None:
        self.note("settle")
        if self.stuck is not None:
            raise self.stuck

    def _release(self, by: str, _seconds: float, _reason: str | None = None) -> None:
        self.note("release" if by == "guard" else f"release {by}")
        _fence.remove()

    def guard(
        self, alone: str = "wait", lease: float = 60, hosts: tuple[str, ...] = ("mx",)
    ) -> Guard:
        return Guard(STORE, "imap1", Terms(alone, lease, hosts))

    def state(self) -> str:
        watch = _guard_state.load()
        assert watch is not None
        return watch.state

    def fenced_by(self) -> str | None:
        fence = _fence.read()
        return fence.by if fence else None


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    return Host(monkeypatch, tmp_path)


def test_a_master_is_cleared_once(host: Host) -> None:
    guard = host.guard()
    for _round in range(5):
        guard.round()
    assert _clearance.valid(3)
    assert host.done == ["release", "release"]
    assert host.state() == "watching"
    host.guard().round()
    assert host.done == ["release", "release"]


def test_a_fence_whose_time_is_up_is_removed(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = host.guard()
    for _round in range(3):
        guard.round()
    host.done.clear()
    monkeypatch.setattr("time.time", lambda: 1793527200.0)
    _fence.put("reseed", "a copy", 600)
    guard.round()
    assert (host.fenced_by(), host.done) == ("reseed", [])
    monkeypatch.setattr("time.time", lambda: 1793527800.0)
    guard.round()
    guard.round()
    # Once more, as Cyrus may just have been about to start.
    assert (host.fenced_by(), host.done) == (None, ["release reseed", "release"])
    _fence.put("administrator", "by hand")
    guard.round()
    assert host.fenced_by() == "administrator"


def test_a_fence_whose_time_is_up_stays_until_a_peer_answers(host: Host) -> None:
    guard = host.guard()
    guard.round()
    host.peer, host.done = None, []
    _fence.put("reseed", "a copy", 1e-9)
    guard.round()
    assert host.fenced_by() == "reseed"
    host.peer = REPLICA
    guard.round()
    assert host.fenced_by() is None


@pytest.mark.parametrize(
    ("by", "then"),
    [
        ("switchover", "guard"),
        ("reseed", "guard"),
        ("failover", "failover"),
        ("administrator", "administrator"),
    ],
)
def test_a_lease_that_ends_behind_another_ones_fence(by: str, then: str, host: Host) -> None:
    guard = host.guard()
    guard.round()
    _fence.put(by, "a change")
    host.peer, host.seen = None, False
    guard.round()
    assert host.fenced_by() == by
    host.now += 61
    guard.round()
    assert host.fenced_by() == then
    host.peer = REPLICA
    guard.round()
    assert host.fenced_by() == (None if then == "guard" else by)


def test_a_lease_that_was_over_is_over_the_next_time_too(host: Host) -> None:
    guard = host.guard()
    guard.round()
    _fence.put("administrator", "by hand")
    host.peer, host.seen = None, False
    host.now += 61
    guard.round()
    host.peer = REPLICA
    guard.round()
    _fence.remove()
    guard.round()
    host.peer = None
    host.now += 61
    guard.round()
    assert (host.state(), host.fenced_by()) == ("fenced", "guard")


def test_a_superseded_master_is_not_let_go_by_a_fence_whose_time_is_up(host: Host) -> None:
    host.peer = NEWER
    _fence.put("reseed", "a copy", 1e-9)
    host.guard().round()
    assert "release reseed" not in host.done
    assert host.state() == "superseded"


def test_what_a_killed_guard_has_begun_is_ended(
    host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    def killed(*_given: object) -> None:
        _fence.remove()
        raise SystemExit

    with monkeypatch.context() as patched:
        patched.setattr(_fencing, "release", killed)
        with pytest.raises(SystemExit):
            host.guard().round()
    assert _clearance.valid(3)
    host.guard().round()
    assert host.done == ["release"]


@pytest.mark.parametrize(
    ("alone", "cleared", "fence", "state"),
    [
        ("wait", False, None, "waiting"),
        ("serve", True, None, "watching"),
        ("fence", True, "administrator", "watching"),
    ],
)
def test_nobody_answers_after_a_boot(
    host: Host, alone: str, cleared: bool, fence: str | None, state: str
) -> None:
    host.peer = None
    host.guard(alone).round()
    assert (_clearance.valid(3), host.fenced_by(), host.state()) == (cleared, fence, state)
    assert host.done == (["release"] if alone == "serve" else [])


@pytest.mark.parametrize("cleared", [True, False])
def test_a_superseded_master_is_fenced_for_good(host: Host, cleared: bool) -> None:
    if cleared:
        _clearance.grant(3)
    host.peer = NEWER
    guard = host.guard()
    guard.round()
    assert host.done == ["settle", "settle", "units", "links"]
    record = _role.read()
    assert record is not None
    assert (record.role, record.master, record.epoch) == ("fenced", "imap2", 4)
    assert not _clearance.valid(3)
    assert host.fenced_by() is None
    guard.round()
    assert host.done == ["settle", "settle", "units", "links"]
    host.guard().round()
    assert host.done == ["settle", "settle", "units", "links", "settle", "units", "links"]
    assert host.state() == "superseded"


@pytest.mark.parametrize(
    "stuck",
    [
        ReplicationError("imapd (process 7) did not end in time"),
        OSError(errno.ENOSPC, "No space left on device", "/tmp"),
    ],
)
def test_a_master_that_can_t_be_fenced_is_stopped(stuck: Exception, host: Host) -> None:
    _clearance.grant(3)
    host.peer, host.stuck = NEWER, stuck
    guard = host.guard()
    guard.round()
    assert host.done == ["settle", "kill"]
    assert not _clearance.valid(3)
    assert host.state() == "failing"
    assert _role.read() == MASTER
    host.stuck = None
    guard.round()
    assert host.state() == "superseded"


@pytest.mark.parametrize("damage", ["gone", "damaged"])
def test_a_record_that_is_lost_keeps_nobody_serving(
    damage: str, host: Host, tmp_path: Path
) -> None:
    guard = host.guard()
    guard.round()
    record = tmp_path / "role.json"
    record.unlink() if damage == "gone" else record.write_text("{")
    guard.round()
    assert (host.state(), host.fenced_by()) == ("failing", None)
    # As the real one does without a record.
    host.peer, host.stuck = NEWER, ReplicationError("this host is set up and its record is missing")
    host.done.clear()
    guard.round()
    assert host.done == ["settle", "kill"]
    assert not _clearance.valid(3)


def test_the_lease(host: Host) -> None:
    guard = host.guard()
    guard.round()
    guard.round()
    host.done.clear()
    host.peer = None
    host.now += 3600
    guard.round()
    assert host.fenced_by() is None
    host.seen = False
    host.now += 59
    host.guard().round()
    assert host.fenced_by() is None
    host.now += 1
    guard = host.guard()
    guard.round()
    assert (host.fenced_by(), host.done) == ("guard", ["settle"])
    host.seen = True
    guard.round()
    assert (host.fenced_by(), host.state(), host.done) == ("guard", "fenced", ["settle"])
    host.peer = REPLICA
    guard.round()
    assert (host.fenced_by(), host.done) == (None, ["settle", "release"])


def test_an_administrator_s_release_is_another_lease(host: Host) -> None:
    _clearance.grant(3)
    host.peer, host.seen = None, False
    guard = host.guard()
    host.now += 60
    guard.round()
    assert host.fenced_by() == "guard"
    _fence.remove()
    guard.round()
    assert host.fenced_by() is None
    host.now += 60
    guard.round()
    assert host.fenced_by() == "guard"


@pytest.mark.parametrize("by", ["switchover", "administrator"])
def test_a_fence_of_others_stays(host: Host, by: str) -> None:
    _fence.put(by, "a reason")
    guard = host.guard()
    guard.round()
    guard.round()
    assert (host.fenced_by(), host.done) == (by, [])
    assert _clearance.valid(3)


def test_two_masters_in_one_epoch_are_both_fenced_until_one_is_none(host: Host) -> None:
    host.peer = replace(NEWER, epoch=3)
    guard = host.guard()
    guard.round()
    assert (host.fenced_by(), host.state()) == ("guard", "fenced")
    _fence.remove()
    guard.round()
    assert host.fenced_by() == "guard"
    host.peer = REPLICA
    guard.round()
    assert host.fenced_by() is None


def test_a_replica_is_left_alone(host: Host) -> None:
    _role.write(replace(MASTER, role="replica", master="imap2"))
    host.peer = NEWER
    assert host.guard().round() > 5
    assert (host.done, host.state()) == ([], "watching")


def test_a_record_that_can_t_be_read_clears_nobody(host: Host, tmp_path: Path) -> None:
    (tmp_path / "role.json").write_text("{")
    host.guard().round()
    assert not _clearance.valid(3)
    assert host.state() == "failing"
    with pytest.raises(ReplicationError, match="imap1 does not know its role"):
        _peers.parse(_answering.own(TERMS), "s", "imap1")


def test_what_a_host_answers(host: Host) -> None:
    assert _peers.parse(_answering.own(TERMS), "s", "imap1") == Answer(MASTER, True, TERMS)
    _clearance.grant(3)
    assert _peers.parse(_answering.own(TERMS), "s", "imap1") == Answer(MASTER, False, TERMS)
    _fence.put("switchover", "a reason")
    assert _peers.parse(_answering.own(TERMS), "s", "imap1") == Answer(MASTER, True, TERMS)


def test_the_terms_of_a_peer_are_kept(host: Host) -> None:
    guard = host.guard()
    guard.round()
    host.peer = None
    guard.round()
    assert _terms.of(_terms.heard()["imap2"]) == TERMS
