# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which replica is backed up, and what stands in the way."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _backup
from ansible_collections.mailops.cyrus.tests.unit.plugins.plugin_utils.answers import (
    Vars,
    answers,
)

HOSTS = ["imap1", "imap2", "imap3"]
OPTIONS: dict[str, Any] = {
    "source": "imap3",
    "driver": "tar",
    "to": "/srv",
    "environment": "",
    "hook": "",
    "single_copy": "",
    "max_lag": 30,
}


def readiness(_host: str) -> dict[str, Any]:
    return {
        "activities": [],
        "backup": None,
        "trees": {"paths": {"config": "/var/lib/cyrus"}, "troubles": []},
    }


@pytest.fixture
def site() -> Vars:
    return answers(HOSTS, readiness)


def plan(site: Vars, **options: Any) -> dict[str, Any]:
    return dict(_backup.plan(site, HOSTS, {**OPTIONS, **options}))


def said(site: Vars, **options: Any) -> str:
    return "; ".join(plan(site, **options)["reasons"])


def test_nothing_stands_in_the_way(site: Vars) -> None:
    found = plan(site)
    assert found["reasons"] == []
    assert (found["stage"], found["rests"], found["wakes"]) == ("start", "imap3", ["imap3"])
    assert found["involved"] == ["imap1", "imap3"]
    text = "\n".join(_backup.lines(found, check=True))
    assert text == "store store1: imap3 would be backed up with tar to /srv"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"source": "imap1"}, "imap1 is not a replica of store store1"),
        ({"to": "srv"}, "driver tar needs a folder on imap3"),
        ({"driver": "restic", "to": ""}, "driver restic needs a repository"),
        ({"driver": "none"}, "driver none copies nothing"),
    ],
)
def test_bad_options(site: Vars, options: dict[str, Any], words: str) -> None:
    assert words in said(site, **options)


def test_one_behind_another_replica_is_not_backed_up(site: Vars) -> None:
    site["imap3"]["cyrus_server"]["source"] = "imap2"
    assert "imap3 follows imap2, not imap1" in said(site)


def test_a_second_copy_is_kept(site: Vars) -> None:
    site["imap1"]["cyrus_channels"]["channels"][0]["lag"] = None
    assert "no other replica of store store1 follows imap1" in said(site)
    assert said(site, single_copy="store1") == ""


def test_a_replica_that_is_behind_is_not_backed_up(site: Vars) -> None:
    site["imap1"]["cyrus_channels"]["channels"][1]["paused"] = True
    assert "channel imap3 is paused, so imap3 is behind" in said(site)
    site["imap3"]["cyrus_readiness"]["activities"] = ["a backup of imap3 is under way since x"]
    assert said(site) == ""


def test_what_else_is_under_way(site: Vars) -> None:
    site["imap1"]["cyrus_readiness"]["activities"] = ["a reseed of imap2 is under way since x"]
    assert said(site) == "a reseed of imap2 is under way since x"


def test_a_host_that_says_nothing(site: Vars) -> None:
    site["imap3"]["cyrus_readiness"] = {"failed": True}
    assert "imap3 did not say whether it is ready" in said(site)


def test_one_that_is_under_way_is_waited_for(site: Vars) -> None:
    ready = site["imap3"]["cyrus_readiness"]
    ready["backup"] = {"driver": "tar", "root": "/"}
    ready["activities"] = ["a backup of imap3 is under way since x"]
    site["imap1"]["cyrus_channels"]["channels"][1]["link"] = {"ok": False, "reason": "gone"}
    found = plan(site)
    assert (found["reasons"], found["stage"]) == ([], "copying")
    assert _backup.lines(found) == ["store store1: the backup of imap3 goes on"]
    ready["backup"] = {"driver": "none", "root": "/"}
    found = plan(site)
    assert (found["reasons"], found["stage"]) == ([], "start")


def test_report(site: Vars) -> None:
    marks = [{"phase": "begin", "at": 1.0}, {"phase": "rest", "at": 3.5}]
    made = [{"name": "/srv/x.tar", "bytes": 2_000_000, "rested": 4.2, "unknown": ["u"]}]
    found = _backup.report(plan(site), marks, made, [])
    assert found == [
        "store store1: imap3 is backed up (rest 2.5 s)",
        "  /srv/x.tar, 2.0 MB",
        "  imap3 rested for 4.2 s",
        "  ! u",
    ]
    assert "is not backed up" in _backup.report(plan(site), marks, [], ["x"])[0]
