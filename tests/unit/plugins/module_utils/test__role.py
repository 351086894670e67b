# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role record, and who is master by it."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _role
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Decision, Record

NOW = "2026-01-01T00:00:00Z"


def record(host: str, master: str, epoch: int = 1, role: str = "", store: str = "s") -> Record:
    role = role or ("master" if host == master else "replica")
    return Record(store, host, role, master, epoch, NOW)


def test_inventory_names_the_first_master_only() -> None:
    assert _role.decide("s", {"a": None, "b": None}, "b") == Decision("b", 1)
    known = {"a": record("a", "a", 4), "b": record("b", "a", 4), "c": None}
    assert _role.decide("s", known, "b") == Decision("a", 4)


def test_highest_epoch_decides() -> None:
    known = {"a": record("a", "a", 1), "b": record("b", "b", 2)}
    decision = _role.decide("s", known, "a")
    assert decision == Decision("b", 2)
    assert _role.stale(known, decision, {}) == [
        "a was master in epoch 1 and b is it in epoch 2: bring a back with rejoin"
    ]


def test_fenced_host_is_left_alone() -> None:
    known = {"a": record("a", "a", 2), "b": record("b", "a", 2, "fenced")}
    assert "b is fenced" in _role.stale(known, _role.decide("s", known, "a"), {})[0]


def test_host_that_has_missed_a_failover_is_left_alone() -> None:
    known = {"a": record("a", "a", 3), "b": record("b", "a", 3), "c": record("c", "d", 2)}
    decision = _role.decide("s", known, "a")
    assert _role.stale(known, decision, {}) == []
    (reason,) = _role.stale(known, decision, {}, {"b", "c"})
    assert reason.startswith("c has missed that a is master in epoch 3")


@pytest.mark.parametrize(
    ("known", "said"),
    [
        ({"a": record("a", "a"), "b": record("b", "b")}, "two masters in epoch 1, a and b"),
        ({"a": record("a", "a", store="t")}, "a belongs to store t"),
        ({"a": record("b", "b")}, "a has the role record of b"),
        ({"a": record("a", "z", 2)}, "does not name: add the host"),
        ({"a": None}, "cyrus_master names b, which is no host"),
    ],
)
def test_contradictions_are_refused(known: dict[str, Record | None], said: str) -> None:
    with pytest.raises(ReplicationError, match=said):
        _role.decide("s", known, "b")


@pytest.mark.parametrize(
    "change",
    [
        {"role": "boss"},
        {"epoch": 0},
        {"epoch": "1"},
        {"epoch": True},
        {"master": "b"},
        {"host": None},
        {"extra": 1},
    ],
)
def test_damaged_record_is_refused(change: dict[str, object]) -> None:
    text = json.dumps({**dataclasses.asdict(record("a", "a")), **change})
    with pytest.raises(ReplicationError, match="restore it"):
        _role.parse(text)


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"store": "s"}'])
def test_text_that_is_no_record_is_refused(text: str) -> None:
    with pytest.raises(ReplicationError, match="is no role record"):
        _role.parse(text)


def test_record_survives_the_file(tmp_path: Path) -> None:
    path = str(tmp_path / "role.json")
    assert _role.read(path) is None
    _role.write(record("a", "a", 3), path)
    assert _role.read(path) == record("a", "a", 3)
    assert [p.name for p in tmp_path.iterdir()] == ["role.json"]


def test_history_grows_by_lines(tmp_path: Path) -> None:
    path = str(tmp_path / "history.jsonl")
    _role.append_history({"what": "setup"}, path)
    _role.append_history({"what": "switchover"}, path)
    lines = Path(path).read_text().splitlines()
    assert [json.loads(line)["what"] for line in lines] == ["setup", "switchover"]


def test_role_does_not_go_back(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(_role, "read", lambda: record("a", "a", 3))
    with pytest.raises(ReplicationError, match="does not go back"):
        _role.ensure(record("a", "a", 2), "setup", check=True)
    later = dataclasses.replace(record("a", "a", 3), since="2027-01-01T00:00:00Z")
    assert _role.ensure(later, "setup", check=True) == (record("a", "a", 3),) * 2


def test_host_that_somebody_has_fenced_is_left_alone() -> None:
    known = {"a": record("a", "a", 1), "b": record("b", "a", 1)}
    fence = {"since": "2026-01-01T00:00:00Z", "by": "switchover", "reason": "to b"}
    assert _role.stale(known, _role.decide("s", known, "a"), {"a": fence}) == [
        "a is fenced by switchover since 2026-01-01T00:00:00Z (to b): run switchover again, or "
        "release it with the module fence, state=absent"
    ]


def test_what_a_host_was_before_is_told_by_its_history(tmp_path: Path) -> None:
    path = str(tmp_path / "history.jsonl")
    assert _role.role_before(5, path) is None
    for role, epoch in (("master", 1), ("fenced", 3), ("master", 5)):
        _role.append_history({"what": "x", "role": role, "epoch": epoch}, path)
    _role.append_history({"what": "failover", "epoch": 3, "seconds": {}}, path)
    assert _role.role_before(5, path) == "fenced"
    assert _role.role_before(3, path) == "master"
