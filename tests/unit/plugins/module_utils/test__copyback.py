# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _copyback,
    _endpoints,
    _peers,
    _role,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._copyback import Asked, Report
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import Plan, Subscribe
from ansible_collections.mailops.cyrus.plugins.module_utils._rescue import Kept
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Host, Store

SINCE = "2026-01-01T00:00:00Z"
ME = Record("store1", "imap2", "master", "imap2", 4, SINCE)
ASKED = Asked("imap1", 4)
STORE = Store("store1", (Host("imap1", "192.0.2.1"), Host("imap2", "192.0.2.2")))


@pytest.mark.parametrize(
    ("report", "said"),
    [
        (Report("a"), None),
        (Report("a", unknown=["one", "two"]), "not everything could be read: one and 1 more"),
        (Report("a", left=2, failures=[{"reason": "no room"}]), "2 steps are not .*no room.*again"),
        (Report("a", left=1), ".*clients came in between.*"),
    ],
)
def test_why_the_old_data_is_still_needed(report: Report, said: str | None) -> None:
    assert re.fullmatch(str(said), str(report.trouble))


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (None, "this host is no master"),
        (Record("store1", "imap2", "replica", "imap1", 4, SINCE), "this host is no master"),
        (Record("store1", "imap1", "master", "imap1", 4, SINCE), "imap1 is this host"),
    ],
)
def test_runs_on_the_new_master_alone(
    monkeypatch: pytest.MonkeyPatch, record: Record | None, said: str
) -> None:
    monkeypatch.setattr(_role, "read", lambda: record)
    with pytest.raises(ReplicationError, match=said):
        _copyback._own_record(ASKED)


@pytest.mark.parametrize(("role", "epoch"), [("replica", 4), ("fenced", 3)])
def test_old_master_that_may_still_change_is_refused(
    monkeypatch: pytest.MonkeyPatch, role: str, epoch: int
) -> None:
    there = Record("store1", "imap1", role, "imap2", epoch, SINCE)
    monkeypatch.setattr(_endpoints, "read_store", lambda: STORE)
    monkeypatch.setattr(_peers, "ask", lambda *given: _peers.Answer(there, True))
    install = Install("/usr/lib/cyrus/bin", "/etc/imapd.conf", "/etc/cyrus.conf", {})
    with pytest.raises(ReplicationError, match=f"imap1 is {role} in epoch {epoch}, not fenced"):
        _copyback._old_endpoint(ASKED, ME, install)


def test_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_copyback, "_TURN_SECONDS", 0.2)
    folder = str(tmp_path / "4")
    with (
        _copyback._turn(folder),
        pytest.raises(ReplicationError, match="another copy-back"),
        _copyback._turn(folder),
    ):
        pass
    with _copyback._turn(folder):
        pass


class Archive:
    """One that has everything but what `unread` names."""

    def __init__(self, unread: str = "") -> None:
        self.unread = unread
        self.kept: list[list[Plan]] = []

    def keep(self, plans: list[Plan], _sides: object) -> Kept:
        self.kept.append(plans)
        return Kept(unknown=[f"{self.unread} can't be read"] if self.unread else [])

    def covered(self, plan: Plan) -> list[Subscribe]:
        return [s for s in plan.steps if isinstance(s, Subscribe) and s.mailbox != self.unread]


def carried_out(
    monkeypatch: pytest.MonkeyPatch, archive: Archive, first: Plan, *later: Plan
) -> Report:
    """`later` are the plans that are found after each round."""
    work = object.__new__(_copyback._Work)
    report, found = Report("a"), iter(later)
    for name, value in {
        "archive": archive,
        "_report": report,
        "_there": None,
        "_here": None,
        "plans": lambda _owners: [next(found)],
        "_failure": lambda group: "no room",
    }.items():
        monkeypatch.setattr(work, name, value, raising=False)
    work.carry_out([first])
    return report


PLAN = Plan("anna", True, steps=(Subscribe("anna", "user.anna.A"),))


def test_what_a_later_round_can_not_read_is_not_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    blind = Plan("anna", True, unknown=("user.anna.A can't be opened",))
    report = carried_out(monkeypatch, Archive(), PLAN, blind)
    assert report.left == 0
    assert report.trouble == "not everything could be read: user.anna.A can't be opened"


def test_what_the_last_round_finds_is_archived(monkeypatch: pytest.MonkeyPatch) -> None:
    archive, last = Archive(), replace(PLAN, touched_on_old=False)
    report = carried_out(monkeypatch, archive, PLAN, PLAN, PLAN, last)
    assert archive.kept[-1] == [last]
    assert "1 steps are not carried out (no room)" in str(report.trouble)


def test_what_can_not_be_read_is_no_step_that_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    report = carried_out(monkeypatch, Archive("user.anna.A"), PLAN, PLAN, PLAN, PLAN)
    assert report.left == 0
    assert report.trouble == "not everything could be read: user.anna.A can't be read"
