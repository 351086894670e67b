# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who is copied to whom, and what stands in the way."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _reseed
from ansible_collections.mailops.cyrus.tests.unit.plugins.plugin_utils.answers import (
    Vars,
    answers,
    record,
)

HOSTS = ["imap1", "imap2", "imap3", "imap4"]
FENCE = {"since": "2026-11-01T10:00:00Z", "by": "guard", "reason": "x"}
ROOM = {"path": "/x", "free_bytes": 50, "total_bytes": 100, "used_bytes": 50}


def readiness(host: str) -> dict[str, Any]:
    return {
        "version": "cyrus-imapd 3.6.1",
        "record": record(host),
        "fence": None,
        "cleared": host == "imap1",
        "layout": {"partition names": "default"},
        "partitions": {"default": ROOM},
        "config_directory": ROOM,
        "certificate": {"days_left": 300},
        "peers": {name: {"reached": True} for name in HOSTS if name != host},
        "activities": [],
        "read_only": False,
        "reseed": None,
        "trees": {"paths": {"config": "/var/lib/cyrus"}, "troubles": []},
        "clock": 1000.0,
        "unknown": {},
    }


@pytest.fixture
def site() -> Vars:
    found = answers(HOSTS, readiness)
    found["mx1"] = {"cyrus_delivery": {"running": True, "held": False, "by": None, "reason": None}}
    return found


OPTIONS: dict[str, Any] = {
    "source": "",
    "method": "rsync",
    "hold_master": False,
    "single_copy": "",
    "over": "",
    "snapshot": False,
    "max_lag": 30,
    "certificate_days": 7,
    "free_percent": 5,
    "mtas": [],
}


def plan(site: Vars, target: str = "imap3", **options: Any) -> dict[str, Any]:
    return dict(_reseed.plan(site, HOSTS, target, {**OPTIONS, **options}))


def said(site: Vars, target: str = "imap3", **options: Any) -> str:
    return "; ".join(plan(site, target, **options)["reasons"])


def test_a_replica_that_is_well_is_the_source(site: Vars) -> None:
    found = plan(site)
    assert found["reasons"] == []
    assert (found["source"], found["rests"], found["holds"]) == ("imap2", "imap2", False)
    assert (found["stage"], found["involved"]) == ("start", ["imap1", "imap2", "imap3"])
    site["imap1"]["cyrus_channels"]["channels"][0]["lag"] = None
    assert plan(site)["source"] == "imap4"
    text = "\n".join(_reseed.lines(found, check=True))
    assert "imap3 would get a copy of imap2" in text
    assert "imap2 rests for the last pass" in text
    found = plan(site, snapshot=True)
    assert found["snapshot"]
    assert "imap4 rests while a snapshot is taken" in "\n".join(_reseed.lines(found))
    assert not plan(site, snapshot=True, method="replicate")["snapshot"]


@pytest.mark.parametrize(
    ("target", "options", "reason"),
    [
        ("imap1", {}, "which is the master of store store1"),
        ("imap3", {"source": "imap3"}, "both name imap3"),
        ("imap3", {"source": "imap9"}, "imap9, which is no host of store store1"),
        ("imap3", {"source": "imap1"}, "cyrus_reseed_hold_master=true"),
    ],
)
def test_who_can_not_be_meant(
    site: Vars, target: str, options: dict[str, Any], reason: str
) -> None:
    assert reason in said(site, target, **options)


def put(site: Vars, path: str, value: Any) -> None:
    *folders, last = path.split(".")
    at: Any = site
    for folder in folders:
        at = at[int(folder)] if isinstance(at, list) else at[folder]
    at[last] = value


@pytest.mark.parametrize(
    ("path", "value", "reason"),
    [
        ("imap3.cyrus_server", {"unreachable": True, "msg": "no route"}, "imap3 can't be reached"),
        ("imap2.cyrus_readiness", {"failed": True}, "imap2 did not say whether it is ready"),
        ("imap3.cyrus_server.record.epoch", 1, "imap3 is in epoch 1"),
        ("imap1.cyrus_readiness.cleared", False, "imap1 does not serve"),
        ("imap3.cyrus_readiness.activities", ["a backup is under way"], "imap3: a backup"),
        ("imap3.cyrus_readiness.version", "3.4.2", "imap3 runs an older Cyrus than imap2"),
        ("imap3.cyrus_readiness.clock", 2000.0, "clocks of imap2 and imap3"),
        ("imap3.cyrus_readiness.trees", {"troubles": ["a database is elsewhere"]}, "imap3: a data"),
        ("imap3.cyrus_readiness.layout", {"partition names": "b"}, "partition names"),
        ("imap1.cyrus_channels.channels.1.replica", "imap9", "nothing of a channel to imap3"),
    ],
)
def test_each_thing_that_is_wrong_is_a_reason(
    site: Vars, path: str, value: Any, reason: str
) -> None:
    put(site, path, value)
    assert reason in said(site, source="imap2")


def test_nobody_in_a_chain_gets_a_copy_or_gives_one(site: Vars) -> None:
    put(site, "imap3.cyrus_server.source", "imap2")
    for target, source in (("imap3", "imap4"), ("imap2", "imap4"), ("imap4", "imap3")):
        reason = "imap3 follows imap2, not imap1: take cyrus_upstream of imap3 out of the inventory"
        assert reason in said(site, target, source=source)
    assert "follows" not in said(site, "imap4", source="imap2")


def test_what_an_earlier_run_has_noted_is_no_reason(site: Vars) -> None:
    noted = ["a reseed of imap3 is under way since 2026-11-01T10:00:00Z"]
    for host in ("imap1", "imap2", "imap3"):
        site[host]["cyrus_readiness"]["activities"] = noted
    site["imap1"]["cyrus_channels"]["channels"][0]["paused"] = True
    assert said(site, source="imap2") == ""
    # Whoever was left at rest goes on, also where another one is copied now.
    found = plan(site, source="imap4")
    assert (found["rests"], found["wakes"]) == ("imap4", ["imap2", "imap4"])
    assert found["involved"] == ["imap1", "imap2", "imap3", "imap4"]
    assert "is under way" in said(site, target="imap4", source="imap2")


def test_a_source_that_somebody_has_paused_is_behind(site: Vars) -> None:
    site["imap1"]["cyrus_channels"]["channels"][0]["paused"] = True
    assert "channel imap2 is paused" in said(site, source="imap2")


def test_somebody_else_has_to_follow_meanwhile(site: Vars) -> None:
    site["imap1"]["cyrus_channels"]["channels"][2]["lag"] = 100.0
    assert "imap2 rests for the last pass, no other replica" in said(site, source="imap2")
    assert said(site, source="imap2", single_copy="store1") == ""
    assert said(site, source="imap1", hold_master=True) == ""
    assert said(site, method="replicate") == ""
    site["imap1"]["cyrus_channels"]["channels"][0]["lag"] = 100.0
    assert "-e cyrus_accept_single_copy=store1" in said(site, method="replicate")


def test_the_master_rests_with_its_deliveries_held(site: Vars) -> None:
    found = plan(site, source="imap1", hold_master=True, mtas=["mx1"])
    assert (found["holds"], found["rests"], found["mtas"]) == (True, "", ["mx1"])
    assert found["reasons"] == []
    site["imap1"]["cyrus_readiness"]["fence"] = {**FENCE, "by": "reseed"}
    assert said(site, source="imap1", hold_master=True) == ""
    assert "-e cyrus_source=imap1 -e cyrus_reseed_hold_master=true" in said(site, source="imap2")
    site["mx1"]["cyrus_delivery"]["running"] = False
    assert "mx1" in said(site, source="imap1", hold_master=True, mtas=["mx1"])


def test_a_copy_that_is_in_its_place_is_gone_on_with(site: Vars) -> None:
    site["imap3"]["cyrus_readiness"]["reseed"] = {"phase": "placed", "source": "imap4"}
    found = plan(site, source="imap2")
    assert (found["stage"], found["source"]) == ("placed", "imap4")
    site["imap3"]["cyrus_readiness"]["reseed"] = {"phase": "copying", "source": "imap4"}
    assert (plan(site)["stage"], plan(site)["source"]) == ("start", "imap4")


def test_the_report(site: Vars) -> None:
    marks = [{"phase": "begin", "at": 1.0}, {"phase": "copy", "at": 3.5}]
    passes = [{"moved_bytes": 5_000_000, "bytes": 10_000_000, "seconds": 2.5}]
    told = "\n".join(_reseed.report(plan(site), marks, passes, [], ["/x/reseed-former."]))
    assert "imap3 is a replica of imap1 and equal (copy 2.5 s)" in told
    assert "pass 1: 5.0 of 10.0 MB in 2.5 s" in told
    assert "/x/reseed-former." in told
    assert "has not got its copy" in _reseed.report(plan(site), marks, [], ["x"], [])[0]
