# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guard says of itself."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _guard_state,
    _terms,
    _units,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._guard_state import Watch
from ansible_collections.mailops.cyrus.plugins.module_utils._terms import Terms

WATCH = Watch("waiting", "2026-11-01T10:00:00Z", "nobody answers", {"imap2": {"reached": False}})
RUNS = {"active": True, "enabled": True, "started": 0.0, "needs_reload": False, "loaded": True}


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setattr(_guard_state, "PATH", str(tmp_path / "run" / "guard.json"))
    return tmp_path / "run" / "guard.json"


def unit(monkeypatch: pytest.MonkeyPatch, **changed: Any) -> None:
    state = _units.State(**{**RUNS, **changed})
    monkeypatch.setattr(_units, "states", lambda names: dict.fromkeys(names, state))


def test_it_is_kept(path: Path) -> None:
    assert _guard_state.load() is None
    WATCH.save()
    assert _guard_state.load() == WATCH
    path.write_text('{"state": 1')
    assert _guard_state.load() is None


def test_no_room_for_it_stops_nobody(path: Path) -> None:
    path.parent.write_text("a file in place of the folder")
    WATCH.save()


def test_a_guard_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    WATCH.save()
    unit(monkeypatch)
    assert _guard_state.describe() == {
        "state": "waiting",
        "since": "2026-11-01T10:00:00Z",
        "reason": "nobody answers",
        "peers": {"imap2": {"reached": False}},
    }


@pytest.mark.parametrize("changed", [{"active": False}, {"active": False, "enabled": False}])
def test_what_a_dead_guard_has_said_is_not_believed(
    changed: dict[str, bool], monkeypatch: pytest.MonkeyPatch
) -> None:
    WATCH.save()
    unit(monkeypatch, **changed)
    found = _guard_state.describe()
    assert found is not None
    assert (found["state"], found["peers"]) == ("stopped", {})
    assert "does not run" in found["reason"]


def test_no_guard(monkeypatch: pytest.MonkeyPatch) -> None:
    unit(monkeypatch, loaded=False, active=False, enabled=False)
    assert _guard_state.describe() is None


def test_unknown_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_names: object) -> None:
        raise ReplicationError("systemctl does not answer")

    monkeypatch.setattr(_units, "states", fail)
    found = _guard_state.describe()
    assert found is not None
    assert (found["state"], found["reason"]) == ("unknown", "systemctl does not answer")


@pytest.mark.parametrize(
    ("contact", "terms", "unseen"),
    [
        (900.0, Terms("wait", 60.0, ("mx",)), 100.0),
        (950.0, Terms("wait", 60.0, ("mx",)), None),
        (900.0, Terms("wait", 0.0, ("mx",)), None),
        (900.0, Terms("wait", 60.0, ()), None),
        (None, Terms("wait", 60.0, ("mx",)), None),
    ],
)
def test_who_has_seen_nobody_for_longer_than_the_lease(
    contact: float | None, terms: Terms, unseen: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.monotonic", lambda: 1000.0)
    monkeypatch.setattr(_terms, "own", lambda: ("imap1", terms))
    if contact is not None:
        replace(WATCH, contact=contact).save()
    assert _guard_state.unseen() == unseen
