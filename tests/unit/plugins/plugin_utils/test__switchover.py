# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a switchover makes of the answers of a store's hosts: each reason, and how far it is."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _switchover

Vars = dict[str, dict[str, Any]]
NOW = 1793527200.0  # 2026-11-01T10:00:00Z
FENCE = {
    "since": "2026-11-01T10:00:00Z",
    "by": "switchover",
    "reason": "switchover from imap1 to imap2",
}


def record(host: str, master: str = "imap1", epoch: int = 1) -> dict[str, Any]:
    role = "master" if host == master else "replica"
    since = "2026-11-01T09:00:00Z"
    return {
        "store": "store1",
        "host": host,
        "role": role,
        "master": master,
        "epoch": epoch,
        "since": since,
    }


def readiness(host: str) -> dict[str, Any]:
    room = {"path": "/var/spool/cyrus", "free_bytes": 50, "total_bytes": 100}
    others = {"imap1", "imap2", "imap3"} - {host}
    return {
        "version": "cyrus-imapd 3.6.1-4+deb12u5-Debian",
        "fence": None,
        "cleared": True,
        "layout": {"hashimapspool": "yes"},
        "partitions": {"default": room},
        "config_directory": room,
        "certificate": {"not_after": "2028-11-01T10:00:00Z", "days_left": 700},
        "peers": {o: {"reached": True, "epoch": 1, "role": "x", "reason": None} for o in others},
        "activities": [],
        "databases": [],
        "read_only": False,
        "clock": NOW,
        "unknown": {},
    }


def channel(replica: str) -> dict[str, Any]:
    return {
        "name": replica,
        "replica": replica,
        "state": "active",
        "paused": False,
        "link": {"ok": True, "reason": None},
        "lag": 0.2,
        "quarantine": [],
        "parity": {"in_sync": True, "started": "2026-11-01T09:00:00Z", "epoch": 1},
        "reason": None,
    }


@pytest.fixture
def site() -> Vars:
    found: Vars = {}
    for host in ("imap1", "imap2", "imap3"):
        server = {"installed": True, "version": "3.6.1", "record": record(host), "history": []}
        found[host] = {
            "cyrus_store": "store1",
            "cyrus_master": "imap1",
            "cyrus_server": server,
            "cyrus_readiness": readiness(host),
            "cyrus_channels": {"channels": []},
        }
    found["imap1"]["cyrus_channels"] = {"channels": [channel("imap2"), channel("imap3")]}
    found["mx1"] = {"cyrus_delivery": {"running": True, "held": False, "reason": None}}
    return found


OPTIONS: dict[str, Any] = {
    "max_lag": "30",
    "parity_max_age": 86400,
    "certificate_days": 7,
    "free_percent": 5,
    "accepted": [],
    "mtas": ["mx1"],
    "other_mtas": [],
    "traffic": [],
    "points": ["vip: 192.0.2.50/24 is on imap2"],
}
HOSTS = ["imap1", "imap2", "imap3"]


def plan(site: Vars, candidate: str = "imap2", **options: Any) -> dict[str, Any]:
    return dict(_switchover.plan(site, HOSTS, candidate, {**OPTIONS, **options}))


def put(site: Vars, path: str, value: Any) -> None:
    """Change one value, by its path with dots."""
    *folders, last = path.split(".")
    at: Any = site
    for folder in folders:
        at = at[int(folder)] if isinstance(at, list) else at[folder]
    at[last] = value


def test_a_healthy_store_has_no_reason_against_it(site: Vars) -> None:
    found = plan(site)
    assert found["reasons"] == []
    assert found["compare"] == []
    assert (found["from"], found["to"], found["epoch"]) == ("imap1", "imap2", 2)
    assert (found["stage"], found["others"], found["fenced"]) == ("start", ["imap3"], False)


MASTER = "imap1.cyrus_channels.channels.0"


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        ("imap3.cyrus_server", {"unreachable": True, "msg": "no route"}, "imap3 can't be reached"),
        ("mx1.cyrus_login", {"failed": True, "msg": "no"}, "mx1 can't log in as clients do: no ("),
        ("imap2.cyrus_server.record.role", "fenced", "imap2 was superseded and is fenced"),
        ("imap1.cyrus_channels.channels", [], "imap1 says nothing of a channel to imap2"),
        ("imap2.cyrus_server.record", None, "imap2 has no role record"),
        ("imap3.cyrus_server.record", record("imap3", epoch=2), "in epoch"),
        ("imap2.cyrus_readiness", {"failed": True, "msg": "x"}, "imap2 did not say"),
        ("imap2.cyrus_readiness.fence", {**FENCE, "by": "guard"}, "imap2 is fenced by guard"),
        ("imap1.cyrus_readiness.fence", {**FENCE, "by": "administrator"}, "by administrator"),
        ("imap1.cyrus_readiness.cleared", False, "imap1 does not serve"),
        ("imap2.cyrus_readiness.version", "cyrus-imapd 3.2.6", "older than 3.6.1 on imap1"),
        ("imap2.cyrus_readiness.version", None, "version of Cyrus on imap2 is not known"),
        (f"{MASTER}.link", {"ok": False, "reason": "imap2: refused"}, "imap2: refused"),
        (f"{MASTER}.paused", True, "channel imap2 is paused"),
        (f"{MASTER}.state", "failed", "channel imap2 is failed"),
        (f"{MASTER}.lag", 31, "cyrus_max_lag"),
        (f"{MASTER}.lag", None, "lag of channel imap2 is not known"),
        (f"{MASTER}.quarantine", None, "quarantine of channel imap2 is not known"),
        (
            f"{MASTER}.quarantine",
            [{"scope": "mailbox", "name": "user.anna"}],
            "cyrus_accept_quarantine",
        ),
        ("imap1.cyrus_readiness.peers.imap2.reached", False, "imap1 can't reach imap2"),
        ("imap2.cyrus_readiness.peers", None, "imap2 can't reach imap1"),
        ("imap3.cyrus_readiness.activities", ["a reseed of imap3 runs"], "a reseed of imap3"),
        ("imap3.cyrus_readiness.activities", None, "under way on imap3 is not known"),
        ("imap2.cyrus_readiness.layout", {"hashimapspool": "no"}, "hashimapspool"),
        ("imap2.cyrus_readiness.layout", None, "how imap2 keeps mail is not known"),
        ("imap2.cyrus_readiness.partitions", {}, "imap2 has no partition default"),
        ("imap2.cyrus_readiness.partitions.default.free_bytes", 4, "cyrus_min_free"),
        ("imap2.cyrus_readiness.config_directory", None, "how much room"),
        ("imap2.cyrus_readiness.read_only", True, "can't write to its state directory"),
        ("imap2.cyrus_readiness.certificate.days_left", 3, "valid for 3 days"),
        ("imap2.cyrus_readiness.read_only", None, "can't write to its state directory"),
        ("mx1.cyrus_delivery", {"unreachable": True, "msg": "x"}, "mx1 of cyrus_mta can't be"),
        ("mx1.cyrus_delivery.running", False, "mail server does not run"),
        ("mx1.cyrus_delivery.reason", "no transport store1", "mx1: no transport store1"),
        ("mx1", {}, "mail server does not run"),
        (
            "mx1.cyrus_delivery",
            {"running": True, "held": True, "by": "administrator", "since": "2026-11-01T09:00:00Z"},
            "mx1: deliveries are held by administrator since 2026-11-01T09:00:00Z: release them",
        ),
        (
            "mx1.cyrus_delivery",
            {"running": True, "held": False, "by": "failover", "since": "2026-11-01T09:00:00Z"},
            "mx1: deliveries are held by failover",
        ),
    ],
)
def test_each_thing_that_is_wrong_is_a_reason(site: Vars, path: str, value: Any, said: str) -> None:
    put(site, path, value)
    assert any(said in reason for reason in plan(site)["reasons"]), plan(site)["reasons"]


def test_delivery_hosts_without_a_driver_have_to_be_there(site: Vars) -> None:
    site["mx1"]["cyrus_mta_ping"] = {"ping": "pong"}
    assert plan(site, mtas=[], other_mtas=["mx1"])["reasons"] == []
    site["mx1"]["cyrus_mta_ping"] = {"unreachable": True, "msg": "no route"}
    found = plan(site, mtas=[], other_mtas=["mx1"])["reasons"]
    assert found == ["mx1 of cyrus_mta can't be reached: no route"]


def test_an_unknown_certificate_is_a_reason_and_none_is_not(site: Vars) -> None:
    put(site, "imap2.cyrus_readiness.certificate", None)
    assert plan(site)["reasons"] == []
    put(site, "imap2.cyrus_readiness.unknown", {"certificate": "it can't be read"})
    assert plan(site)["reasons"] == ["the certificate of imap2 is not known: it can't be read"]


def test_all_reasons_are_given_at_once(site: Vars) -> None:
    put(site, f"{MASTER}.lag", None)
    put(site, "imap2.cyrus_readiness.layout", None)
    put(site, "mx1.cyrus_delivery.running", False)
    assert len(plan(site, traffic=["the key is refused"])["reasons"]) == 4


def test_two_masters_are_refused(site: Vars) -> None:
    put(site, "imap3.cyrus_server.record", record("imap3", master="imap3"))
    assert "both have the role of master" in plan(site)["reasons"][0]


def test_a_lost_master_that_is_awaited_still(site: Vars) -> None:
    put(site, "imap1.cyrus_server.awaited", [{"old": "imap0", "epoch": 1}])
    (reason,) = plan(site)["reasons"]
    assert "imap1 awaits imap0 since a failover" in reason


def test_what_is_accepted_by_name_is_no_reason(site: Vars) -> None:
    put(site, f"{MASTER}.quarantine", [{"scope": "mailbox", "name": "user.anna"}])
    assert plan(site, accepted=["user.anna"])["reasons"] == []
    assert plan(site, accepted="user.anna")["reasons"] == []
    assert plan(site, accepted="xuser.annax")["reasons"]


@pytest.mark.parametrize(
    "parity",
    [
        None,
        {"in_sync": None, "started": "2026-11-01T09:00:00Z", "epoch": 1},
        {"in_sync": False, "started": "2026-11-01T09:00:00Z", "epoch": 1},
        {"in_sync": True, "started": "2026-10-31T09:59:59Z", "epoch": 1},
        {"in_sync": True, "started": "2026-11-01T10:00:01Z", "epoch": 1},
        {"in_sync": True, "started": "2026-11-01T09:00:00Z", "epoch": 2},
    ],
)
def test_what_was_not_compared_lately_is_compared_first(site: Vars, parity: Any) -> None:
    put(site, f"{MASTER}.parity", parity)
    found = plan(site)
    assert (found["compare"], found["reasons"]) == (["imap2"], [])


def test_a_comparison_that_finds_a_difference_is_a_reason(site: Vars) -> None:
    put(site, f"{MASTER}.parity", None)
    report = {
        "master": "imap1",
        "replica": "imap2",
        "in_sync": False,
        "differences": [1],
        "lagging": [],
        "unknown": [],
        "skipped": [],
    }
    found = plan(site, compared=[{"item": "imap2", "report": report}])
    assert "1 differences" in found["reasons"][0]
    report.update(in_sync=None, differences=[], lagging=[1])
    assert plan(site, compared=[{"item": "imap2", "report": report}])["reasons"] == []
    silent = plan(site, compared=[{"item": "imap2", "msg": "gone"}])
    assert "could not be compared: gone" in silent["reasons"][0]
    assert plan(site, compared=[])["reasons"] == [
        "channel imap2 was not compared: run switchover again"
    ]


def test_a_run_that_died_behind_the_fence_is_gone_on_with(site: Vars) -> None:
    put(site, "imap1.cyrus_readiness.fence", FENCE)
    put(site, "imap1.cyrus_readiness.cleared", True)
    put(site, f"{MASTER}.lag", 400)
    put(site, "mx1.cyrus_delivery.held", True)
    put(site, "mx1.cyrus_delivery.by", "switchover")
    found = plan(site)
    assert found["reasons"] == []
    assert (found["fenced"], found["held"], found["stage"]) == (True, ["mx1"], "start")


def moved(site: Vars, followed: list[str]) -> Vars:
    """The record of imap1 names imap2, and so do those of `followed`."""
    changed = copy.deepcopy(site)
    for host in followed:
        put(changed, f"{host}.cyrus_server.record", record(host, "imap2", 2))
    entry = {"from": "imap1", "to": "imap2", "epoch": 2, "outcome": "done", "what": "switchover"}
    put(changed, "imap1.cyrus_server.history", [entry])
    return changed


@pytest.mark.parametrize("followed", [["imap1"], ["imap1", "imap3"], HOSTS])
def test_from_the_record_of_the_old_master_on_it_goes_forward(
    site: Vars, followed: list[str]
) -> None:
    found = plan(moved(site, followed))
    assert (found["stage"], found["from"], found["epoch"]) == ("moved", "imap1", 2)
    assert found["reasons"] == []


def done(site: Vars) -> Vars:
    changed = moved(site, HOSTS)
    changed["imap2"]["cyrus_server"]["history"] = [
        {"from": "imap1", "to": "imap2", "epoch": 2, "outcome": "done", "seconds": {}}
    ]
    return changed


def test_it_is_done_when_every_host_has_followed_and_nothing_is_held(site: Vars) -> None:
    assert plan(done(site))["stage"] == "done"
    unfinished = moved(site, HOSTS)
    assert plan(unfinished)["stage"] == "moved"
    for path, value in (
        ("imap1.cyrus_readiness.fence", FENCE),
        ("imap3.cyrus_server", {"unreachable": True, "msg": "gone"}),
        ("imap3.cyrus_server.record", record("imap3")),
    ):
        changed = done(site)
        put(changed, path, value)
        found = plan(changed)
        assert (found["stage"], found["reasons"]) == ("moved", []), path


def test_mail_that_another_run_holds_is_let_go_by_naming_the_master(site: Vars) -> None:
    """That one has died before it fenced the master."""
    for changed, now in ((site, "imap1"), (done(site), "imap2")):
        put(changed, "mx1.cyrus_delivery.by", "switchover")
        found = plan(changed, now)
        assert (found["stage"], found["undoable"], found["held"]) == ("begun", True, ["mx1"])
        assert "its mail is held by a switchover" in _switchover.lines(found)[0]
    unfinished = moved(site, HOSTS)
    put(unfinished, "mx1.cyrus_delivery.by", "switchover")
    assert plan(unfinished)["stage"] == "moved"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("imap1.cyrus_server", {"unreachable": True, "msg": "gone"}),
        # A failover came in between, and the former master does not know.
        ("imap2.cyrus_server.record", record("imap2", "imap2", 3)),
        ("imap1.cyrus_server.record", record("imap1", "imap2", 2)),
    ],
)
def test_nothing_is_undone_but_of_whom_is_known_to_be_the_master(
    path: str, value: dict[str, Any], site: Vars
) -> None:
    put(site, "imap1.cyrus_readiness.fence", FENCE)
    assert plan(site)["undoable"] is True
    assert (
        "what a switchover to imap2 has begun is undone"
        in _switchover.lines(plan(site), undo=True)[0]
    )
    put(site, path, value)
    for candidate in HOSTS:
        assert plan(site, candidate)["undoable"] is False


def test_a_lost_history_hides_no_unfinished_change(site: Vars) -> None:
    changed = moved(site, ["imap1"])
    put(changed, "imap1.cyrus_server.history", [])
    found = plan(changed)
    assert (found["stage"], found["from"]) == ("moved", "imap1")


def test_once_the_role_is_recorded_only_the_candidate_hinders(site: Vars) -> None:
    changed = moved(site, ["imap1"])
    put(changed, "imap2.cyrus_server", {"unreachable": True, "msg": "gone"})
    assert plan(changed)["reasons"] == ["imap2 can't be reached: gone"]
    changed = moved(site, HOSTS)
    put(changed, "imap2.cyrus_readiness.fence", {**FENCE, "by": "guard"})
    assert "imap2 is fenced by guard" in plan(changed)["reasons"][0]


def test_the_master_that_a_dead_run_has_fenced_is_named(site: Vars) -> None:
    put(site, "imap1.cyrus_readiness.fence", FENCE)
    found = plan(site, "imap1")
    assert (found["stage"], found["from"], found["fenced"]) == ("begun", "imap1", True)
    assert found["purpose"] == FENCE["reason"]
    assert "fenced by a switchover" in _switchover.lines(found)[0]


def test_a_host_that_the_inventory_forgets_is_named(site: Vars) -> None:
    put(site, "imap1.cyrus_server.store_hosts", [*HOSTS, "imap4"])
    assert any("imap4 is a host of store store1" in reason for reason in plan(site)["reasons"])


def test_the_first_master_needs_no_change(site: Vars) -> None:
    found = plan(site, "imap1")
    assert (found["stage"], found["reasons"]) == ("done", [])
    assert _switchover.lines(found) == [
        "imap1 is master of store store1 already, epoch 1: nothing to do"
    ]


def test_what_would_be_done_is_not_told_as_if_it_were(site: Vars) -> None:
    found = plan(site)
    lines = _switchover.lines(found)
    assert lines[0].endswith("goes from imap1 to imap2, epoch 2; the switchover begins")
    assert "  then vip: 192.0.2.50/24 is on imap2" in lines
    first = _switchover.lines(found, check=True)[0]
    assert first.endswith("would go from imap1 to imap2, epoch 2; the switchover would begin")
    put(site, "imap1.cyrus_readiness.fence", FENCE)
    put(site, "imap1.cyrus_readiness.cleared", True)
    assert _switchover.lines(plan(site), check=True)[0].endswith("the switchover would go on")


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ([{"name": "sasldb", "accounts": ["anna", "ben", "zoe"]}], "imap2 has the same accounts"),
        ([{"name": "sasldb", "accounts": ["zoe"]}], "imap2 lacks anna, ben"),
        ([], "imap2 lacks anna, ben"),
        ([{"name": "sasldb", "accounts": None}], "has the same accounts is not known"),
    ],
)
def test_whose_accounts_were_not_carried_over(site: Vars, there: list[Any], said: str) -> None:
    ours = {"name": "sasldb", "path": "/etc/sasldb2", "advice": "not replicated"}
    put(site, "imap1.cyrus_readiness.databases", [{**ours, "accounts": ["anna", "ben"]}])
    put(site, "imap2.cyrus_readiness.databases", there)
    assert said in _switchover.report(site, plan(site), [], [])[-1]


def test_troubles_are_told_for_the_store() -> None:
    hostvars: Vars = {
        "imap1": {"result": {"failed": True, "msg": "no room"}},
        "imap2": {"result": {"unreachable": True, "msg": "no route"}},
        "imap3": {"result": {"skipped": True}},
        "imap4": {"result": {"changed": True}},
        "imap5": {"result": {"failed": True, "results": [{"failed": True, "msg": "a"}, {}]}},
    }
    assert _switchover.troubles(hostvars, "result", list(hostvars)) == [
        "imap1: no room",
        "imap2 can't be reached: no route",
        "imap3 was not asked",
        "imap5: a",
    ]
    assert _switchover.troubles(hostvars, "other", ["imap1"]) == ["imap1 was not asked"]


def test_seconds_of_phases() -> None:
    marks = [{"phase": "begin", "at": 1.0}, {"phase": "fence", "at": 1.84}]
    assert _switchover.seconds(marks) == {"fence": 0.8}


AWAY = {"unreachable": True, "msg": "no route"}


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("imap2", "imap2 can't be reached: no route"),
        ("imap1", "imap1 can't be reached: no route; if it is dead, see failover"),
    ],
)
def test_a_host_that_is_off_is_one_reason_and_not_many(site: Vars, host: str, said: str) -> None:
    for what in ("server", "readiness", "channels"):
        put(site, f"{host}.cyrus_{what}", AWAY)
    found = plan(site)
    assert found["reasons"] == [said]
    assert "the switchover would begin" in _switchover.lines(found)[0]


@pytest.mark.parametrize("fence", [None, FENCE, {**FENCE, "by": "administrator"}])
def test_behind_another_ones_record_nothing_is_begun_and_nothing_undone(
    site: Vars, fence: dict[str, str] | None
) -> None:
    changed = moved(site, ["imap1"])
    put(changed, "imap2.cyrus_readiness.fence", fence)
    found = plan(changed, "imap3")
    assert found["stage"] == "other"
    assert found["reasons"] == [
        "imap2 is named as master in epoch 2 and is not yet: complete that change first, with "
        "-e cyrus_candidate=imap2"
    ]


def test_what_a_run_to_another_candidate_has_fenced_is_left_to_that(site: Vars) -> None:
    put(site, "imap1.cyrus_readiness.fence", FENCE)
    found = plan(site, "imap3")
    assert found["stage"] == "other"
    assert found["reasons"] == [
        "imap1 is fenced since 2026-11-01T10:00:00Z by another run (switchover from imap1 to "
        "imap2): wait for it, run that change again, or take it back with -e cyrus_candidate=imap1"
    ]


def test_a_store_without_a_master_is_a_reason(site: Vars) -> None:
    for host in HOSTS:
        del site[host]["cyrus_master"]
    put(site, "imap2.cyrus_server.record", record("imap2", "imap2"))
    found = plan(site, "imap3")
    assert "both have the role of master of store store1" in found["reasons"][0]


@pytest.fixture
def chain(site: Vars) -> Vars:
    """imap3 is fed by imap2."""
    put(site, "imap1.cyrus_channels", {"channels": [channel("imap2")]})
    put(site, "imap2.cyrus_channels", {"channels": [channel("imap3")]})
    put(site, "imap2.cyrus_server.source", "imap1")
    put(site, "imap3.cyrus_server.source", "imap2")
    return site


def test_who_follows_another_replica_goes_on_to(chain: Vars) -> None:
    found = plan(chain)
    assert found["reasons"] == []
    assert (found["others"], found["chained"]) == ([], ["imap3"])
    assert "  imap3: as before behind another replica" in _switchover.lines(found)
    # Once the record has moved each one is told, whomever it follows.
    assert plan(moved(chain, ["imap1"]))["others"] == ["imap3"]


def test_who_follows_another_replica_is_no_candidate(chain: Vars) -> None:
    found = plan(chain, "imap3")
    assert found["reasons"] == [
        "imap3 follows imap2, not imap1: take cyrus_upstream of imap3 out of the inventory and run "
        "setup first"
    ]


def test_a_chain_has_to_be_whole(chain: Vars) -> None:
    put(chain, "imap2.cyrus_channels.channels", [{**channel("imap3"), "lag": 90.0}])
    assert "channel imap3 is 90 s behind" in plan(chain)["reasons"][0]
    put(chain, "imap2.cyrus_channels.channels", [])
    assert plan(chain)["reasons"] == ["imap2 says nothing of a channel to imap3"]
