# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fence, the clearance, and what follows from both; whatever is damaged does not serve."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _clearance,
    _desired,
    _fence,
    _fencing,
    _guard_state,
    _posture,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._fence import Fence
from ansible_collections.mailops.cyrus.plugins.module_utils._posture import Posture
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record

FENCE = Fence("2026-01-01T00:00:00Z", "switchover", "to b")
SINCE = "2026-01-01T00:00:00Z"


def record(role: str) -> Record:
    return Record("s", "a", role, "a" if role == "master" else "b", 3, SINCE)


@pytest.fixture(autouse=True)
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_fence, "PATH", str(tmp_path / "fence.json"))
    monkeypatch.setattr(_clearance, "PATH", str(tmp_path / "run" / "cleared.json"))
    monkeypatch.setattr(_desired, "PATH", str(tmp_path / "desired.json"))
    return tmp_path


def test_fence_comes_and_goes() -> None:
    assert _fence.read() is None
    put = _fence.put("guard", "no peer")
    assert _fence.read() == put
    assert (put.by, put.reason) == ("guard", "no peer")
    _fence.remove()
    _fence.remove()
    assert _fence.read() is None


def test_a_fence_may_be_for_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("time.time", lambda: 1793527200.0)
    put = _fence.put("reseed", "a copy", 600)
    assert (put.since, put.until) == ("2026-11-01T10:00:00Z", "2026-11-01T10:10:00Z")
    assert _fence.read() == put
    assert not put.over
    monkeypatch.setattr("time.time", lambda: 1793527800.0)
    assert put.over
    assert not FENCE.over
    _fence.put("reseed", "a copy")
    assert "until" not in Path(_fence.PATH).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "",
        '{"since": "x", "by": "reseed", "reason": "y", "until": "soon"}',
        "{",
        "[]",
        "{}",
        '{"since": "x", "by": "me", "reason": "y"}',
        '{"since": 1, "by": "guard"}',
    ],
)
def test_damaged_fence_is_a_fence(host: Path, text: str) -> None:
    (host / "fence.json").write_text(text)
    fence = _fence.read()
    assert fence is not None
    assert fence.by == "administrator"
    assert "is damaged" in fence.reason


def test_clearance_is_for_one_epoch(host: Path) -> None:
    assert not _clearance.valid(3)
    _clearance.grant(3)
    assert _clearance.valid(3)
    assert not _clearance.valid(4)
    (host / "run" / "cleared.json").write_text("{")
    assert not _clearance.valid(3)
    _clearance.withdraw()
    _clearance.withdraw()
    assert not _clearance.valid(3)


def test_only_a_cleared_master_without_a_fence_serves() -> None:
    assert _posture.wanted(record("master"), None, True) == Posture("master", True)
    assert _posture.wanted(record("master"), None, False) == Posture("master", False)
    assert _posture.wanted(record("master"), FENCE, True) == Posture("master", False)
    for role in ("replica", "fenced"):
        assert _posture.wanted(record(role), None, True) == Posture(role, False)


def test_what_setup_asked_for_is_kept() -> None:
    desired = _desired.Desired({"a": "b"}, {"lmtp": 'cmd="lmtpd" listen="24"'})
    Path(_desired.PATH).write_text(desired.text())
    assert _desired.read() == desired
    Path(_desired.PATH).write_text("{}")
    with pytest.raises(ReplicationError, match="run setup"):
        _desired.read()


def test_nobody_but_an_administrator_takes_back_what_another_has_done() -> None:
    _clearance.grant(3)
    master = record("master")
    _fencing.refuse_release(master, FENCE, "switchover")
    _fencing.refuse_release(master, FENCE, "administrator")
    with pytest.raises(ReplicationError, match="a is fenced by switchover since"):
        _fencing.refuse_release(master, FENCE, "guard")
    _fencing.refuse_release(master, FENCE, "switchover", epoch=3)
    with pytest.raises(ReplicationError, match="master in epoch 3, and not in epoch 2 any more"):
        _fencing.refuse_release(master, FENCE, "switchover", epoch=2)
    with pytest.raises(ReplicationError, match="superseded by b in epoch 3"):
        _fencing.refuse_release(record("fenced"), None, "administrator", force=True)


def test_what_another_switchover_has_fenced_is_neither_joined_nor_taken_back() -> None:
    _clearance.grant(3)
    _fencing.refuse_release(record("master"), FENCE, "switchover", "to b")
    with pytest.raises(ReplicationError, match=r"a is fenced by switchover since .* \(to b\)"):
        _fencing.refuse_release(record("master"), FENCE, "switchover", "to c")
    _fencing.refuse_release(record("master"), FENCE, "administrator", "by hand")
    _fencing.refuse_joining(FENCE, "switchover", "to b")
    for by, reason in (("switchover", "to c"), ("reseed", "to b")):
        with pytest.raises(ReplicationError, match="this host is fenced by switchover since"):
            _fencing.refuse_joining(FENCE, by, reason)
    for by in ("guard", "failover", "administrator"):
        _fencing.refuse_joining(FENCE, by, "another reason")
    by_hand = replace(FENCE, by="administrator")
    _fencing.refuse_joining(by_hand, "switchover", "to c")
    with pytest.raises(ReplicationError, match="this host is fenced by administrator since"):
        _fencing.refuse_joining(replace(by_hand, until="2026-01-01T00:10:00Z"), "switchover", "x")


def test_a_later_change_is_not_meddled_with() -> None:
    _fencing.refuse_epoch(record("replica"), 3)
    _fencing.refuse_epoch(record("replica"), None)
    with pytest.raises(ReplicationError, match="a is replica in epoch 3, and not in epoch 2"):
        _fencing.refuse_epoch(record("replica"), 2)


@pytest.mark.parametrize(
    ("by", "limit", "other", "gives_way"),
    [
        ("administrator", None, "administrator", True),
        ("failover", None, "administrator", True),
        ("administrator", 60, "administrator", True),
        ("switchover", 60, "administrator", False),
    ],
)
def test_a_fence_for_a_time_gives_way(
    by: str, limit: float | None, other: str, gives_way: bool
) -> None:
    before = replace(FENCE, by=other, until="2026-01-01T00:10:00Z")
    assert _fencing._outlasts(by, limit, before) is gives_way
    assert not _fencing._outlasts(by, limit, replace(before, until=None))


def test_who_has_seen_nobody_for_longer_than_the_lease_is_not_released(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _clearance.grant(3)
    monkeypatch.setattr(_guard_state, "unseen", lambda: 300.0)
    for by in ("administrator", "guard"):
        fence = replace(FENCE, by=by)
        with pytest.raises(ReplicationError, match="neither a peer nor a delivery host for 300 s"):
            _fencing.refuse_release(record("master"), fence, by)
        _fencing.refuse_release(record("master"), fence, by, force=True)
        _fencing.refuse_release(record("replica"), fence, by)
    # Its own change of master has asked everybody.
    _fencing.refuse_release(record("master"), replace(FENCE, by="failover"), "failover")


def test_what_a_failover_has_begun_at_a_superseded_host_is_taken_back() -> None:
    begun = replace(FENCE, by="failover")
    for by in ("failover", "administrator"):
        _fencing.refuse_release(record("fenced"), begun, by, epoch=3)
    with pytest.raises(ReplicationError, match="a is fenced by failover since"):
        _fencing.refuse_release(record("fenced"), begun, "switchover")
    with pytest.raises(ReplicationError, match="superseded by b in epoch 3"):
        _fencing.refuse_release(record("fenced"), replace(FENCE, by="guard"), "guard")


@pytest.mark.parametrize(
    ("by", "other", "taken"),
    [
        ("failover", "guard", True),
        ("failover", "switchover", True),
        ("failover", "failover", False),
        ("failover", "administrator", False),
        ("administrator", "failover", True),
        ("switchover", "failover", False),
        ("guard", "failover", False),
    ],
)
def test_who_takes_a_fence_over(by: str, other: str, taken: bool) -> None:
    assert _fencing._takes_over(by, other) is taken


def test_master_that_has_asked_nobody_is_not_released() -> None:
    with pytest.raises(ReplicationError, match="has not learned since its boot"):
        _fencing.refuse_release(record("master"), FENCE, "administrator")
    _fencing.refuse_release(record("master"), FENCE, "administrator", force=True)
    _fencing.refuse_release(record("replica"), FENCE, "administrator")
