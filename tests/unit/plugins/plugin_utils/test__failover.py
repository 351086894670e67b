# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failover makes of what the hosts that are left answered."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _failover, _rivals

Vars = dict[str, dict[str, Any]]
NOW = 1793527200.0  # 2026-11-01T10:00:00Z
GONE = {"unreachable": True, "msg": "No route to host"}
TERMS = {"alone": "wait", "lease": 120.0, "delivery_hosts": ["198.51.100.21"]}
SILENT = {"alive": False, "signs": [], "unknown": []}
ALIVE = {
    "alive": True,
    "signs": [{"address": "198.51.100.11", "port": 24, "sign": "accepts"}],
    "unknown": [],
}


def record(host: str, master: str = "imap1", epoch: int = 3) -> dict[str, Any]:
    return {
        "store": "store1",
        "host": host,
        "role": "master" if host == master else "replica",
        "master": master,
        "epoch": epoch,
        "since": "2026-11-01T09:00:00Z",
    }


def server(host: str, **changed: Any) -> dict[str, Any]:
    found = {"installed": True, "version": "3.6.1", "record": record(host), "history": []}
    return {**found, "fence": None, "guards": {"imap1": TERMS}, **changed}


def readiness(written: float) -> dict[str, Any]:
    room = {"path": "/var/spool/cyrus", "free_bytes": 50, "total_bytes": 100}
    return {
        "fence": None,
        "partitions": {"default": room},
        "config_directory": room,
        "activities": [],
        "read_only": False,
        "clock": NOW,
        "heartbeat": {"written": written, "at": f"at {written:.0f}"},
        "parity": None,
        "doubt": None,
        "unknown": {},
    }


@pytest.fixture
def site() -> Vars:
    """The master is gone, and nobody sees it."""
    found: Vars = {}
    for number, host in enumerate(("imap1", "imap2", "imap3"), 11):
        found[host] = {
            "cyrus_store": "store1",
            "ansible_host": f"198.51.100.{number}",
            "cyrus_server": server(host),
            "cyrus_readiness": readiness(NOW - 35),
            "cyrus_liveness": SILENT,
            "cyrus_liveness_here": SILENT,
        }
    for what in ("server", "readiness", "liveness"):
        found["imap1"][f"cyrus_{what}"] = GONE
    found["mx1"] = {
        "ansible_host": "198.51.100.21",
        "cyrus_delivery": {"running": True, "held": False, "by": None, "reason": None},
        "cyrus_liveness": SILENT,
        "cyrus_liveness_here": SILENT,
    }
    return found


OPTIONS: dict[str, Any] = {
    "candidate": "imap2",
    "confirm": "store1",
    "absent": [],
    "loss": "",
    "powered_off": "",
    "hook": False,
    "free_percent": "5",
    "mtas": ["mx1"],
    "holds": True,
    "traffic": [],
    "points": ["dns: imap.example.com is 198.51.100.12 at 198.51.100.53"],
}


def plan(site: Vars, **options: Any) -> dict[str, Any]:
    hosts = ["imap1", "imap2", "imap3"]
    return dict(_failover.plan(site, hosts, {**OPTIONS, **options}))


def said(site: Vars, **options: Any) -> str:
    return "; ".join(plan(site, **options)["reasons"])


def test_a_master_that_nobody_sees_is_waited_for(site: Vars) -> None:
    found = plan(site)
    assert found["reasons"] == []
    assert (found["stage"], found["from"], found["to"], found["epoch"]) == (
        *("start", "imap1", "imap2"),
        # A switchover that only the old master knows of has the one before.
        5,
    )
    assert (found["way"], found["wait"]) == ("lease", 145.0)
    assert (found["others"], found["watchers"]) == (["imap3"], ["imap2", "imap3", "mx1"])
    assert (found["awaited"], found["home"]) == (["imap3"], [])
    assert found["addresses"] == ["198.51.100.11"]
    assert {22, 143, 2017} <= set(found["ports"])
    text = "\n".join(_failover.lines(found))
    assert "imap1 is given up and the role of master goes to imap2" in text
    assert "nobody may see it for 145 s" in text
    assert "  imap1 answers nobody: imap2, imap3, mx1, the controller" in text
    assert "  then dns: imap.example.com is 198.51.100.12 at 198.51.100.53" in text
    first = _failover.lines(found, check=True)[0]
    assert "imap1 would be given up and the role of master would go to imap2" in first
    assert first.endswith("the failover would begin")
    assert "imap2: has all up to about at 1793527165, 35 s ago" in text


def test_who_was_not_asked_is_not_said_to_be_silent(site: Vars) -> None:
    assert plan(site)["silent"] is True
    for host, said_ in (("imap3", ALIVE), ("imap3", {}), ("mx1", {**SILENT, "unknown": ["x"]})):
        changed = {**site, host: {**site[host], "cyrus_liveness": said_}}
        assert plan(changed)["silent"] is False
        assert "answers nobody" not in "\n".join(_failover.lines(plan(changed)))


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"confirm": "store2"}, "-e cyrus_confirm=store1"),
        ({"candidate": ""}, "the first has most: imap2, imap3"),
        ({"traffic": ["the name server is silent"]}, "the name server is silent"),
    ],
)
def test_what_the_administrator_has_to_say(
    site: Vars, options: dict[str, Any], reason: str
) -> None:
    assert reason in said(site, **options)


def test_who_sees_it_is_named(site: Vars) -> None:
    site["mx1"]["cyrus_liveness"] = ALIVE
    assert "imap1 is alive, mx1 sees it (port 24 accepts)" in said(site)
    assert said(site, hook=True) == ""
    assert plan(site, hook=True)["way"] == "hook"
    assert "mx1 sees it" in said(site, powered_off="imap1")


def test_the_administrators_word_comes_before_the_sites_own_tasks(site: Vars) -> None:
    assert plan(site, hook=True, powered_off="imap1")["way"] == "off"
    site["mx1"]["cyrus_liveness"] = ALIVE
    assert "mx1 sees it" in said(site, hook=True, powered_off="imap1")


def test_who_can_not_say_is_named(site: Vars) -> None:
    site["imap3"]["cyrus_liveness"] = {"failed": True, "msg": "no python"}
    assert "imap3 does not say whether it sees imap1: no python" in said(site)
    site["imap3"]["cyrus_liveness"] = {**SILENT, "unknown": ["x can't be tried"]}
    assert "imap3: x can't be tried" in said(site)


@pytest.mark.parametrize("host", ["imap3", "mx1"])
def test_a_host_that_is_gone_has_to_be_named_and_ends_the_lease(site: Vars, host: str) -> None:
    site[host]["cyrus_liveness"] = GONE
    site[host]["cyrus_server" if host == "imap3" else "cyrus_delivery"] = GONE
    site[host].pop("cyrus_readiness", None)
    assert f"{host} can't be reached" in said(site)
    assert f"it may see {host}" in said(site, absent=[host])
    found = plan(site, absent=[host], powered_off="imap1")
    assert found["reasons"] == []
    assert (found["way"], found["absent"]) == ("off", [host])
    assert found["gone"] == ["imap1", host]
    assert host not in [*found["watchers"], *found["mtas"], *found["hosts"]]


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"lease": 0.0}, "its guard has no lease"),
        ({"delivery_hosts": []}, "its guard has no lease"),
        ({"alone": "serve"}, "serve alone"),
        ({"delivery_hosts": ["192.0.2.1"]}, "delivery host 192.0.2.1"),
    ],
)
def test_without_a_lease_silence_proves_nothing(
    site: Vars, changed: dict[str, Any], reason: str
) -> None:
    # One that has heard it is enough.
    site["imap3"]["cyrus_server"]["guards"] = {"imap1": {**TERMS, **changed}}
    assert reason in said(site)
    assert said(site, hook=True) == said(site, powered_off="imap1") == ""


def test_a_lease_that_the_inventory_alone_knows_is_none(site: Vars) -> None:
    site["imap1"]["cyrus_guard_lease"] = 1
    assert plan(site)["wait"] == 145.0
    for host in ("imap2", "imap3"):
        site[host]["cyrus_server"]["guards"] = {"imap3": TERMS}
    assert "nobody has heard from its guard whether that has a lease" in said(site)
    assert plan(site)["way"] == "none"


def test_the_longest_lease_is_waited_for(site: Vars) -> None:
    site["imap3"]["cyrus_server"]["guards"] = {"imap1": {**TERMS, "lease": 300.0}}
    assert plan(site)["wait"] == 325.0


def alive(site: Vars) -> None:
    site["imap1"]["cyrus_server"] = server("imap1")
    site["imap1"]["cyrus_readiness"] = readiness(NOW)
    for host in ("imap1", "imap2", "imap3", "mx1"):
        site[host]["cyrus_liveness"] = ALIVE


def test_a_master_that_serves_is_for_switchover(site: Vars) -> None:
    alive(site)
    assert "use switchover" in said(site)


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ({"failed": True, "msg": "no python"}, "does not say whether it serves clients: no python"),
        ({**SILENT, "unknown": ["port 143 can't be tried"]}, "imap1: port 143 can't be tried"),
    ],
)
def test_a_master_of_which_nobody_knows_whether_it_serves_is_left_alone(
    site: Vars, told: dict[str, Any], expected: str
) -> None:
    alive(site)
    site["imap1"]["cyrus_liveness"] = told
    assert expected in said(site)


def test_a_master_that_serves_at_a_port_of_the_sites_own(site: Vars) -> None:
    alive(site)
    sign = {"address": "198.51.100.11", "port": 1143, "sign": "accepts"}
    site["imap1"].update(cyrus_client_port=1143, cyrus_liveness={**ALIVE, "signs": [sign]})
    assert "use switchover" in said(site)


def test_one_name_need_not_be_a_list(site: Vars) -> None:
    site["imap3"].update(cyrus_server=GONE, cyrus_liveness=GONE)
    assert "cyrus_accept_absent" in said(site)
    assert "cyrus_accept_absent" not in said(site, absent="imap3")


def test_a_master_that_can_be_fenced_is(site: Vars) -> None:
    alive(site)
    site["imap1"]["cyrus_liveness"] = SILENT
    site["imap1"]["cyrus_channels"] = {
        "channels": [
            {
                "name": "imap2",
                "replica": "imap2",
                "backlog": {"entries": 7},
                "quarantine": [{"scope": "mailbox", "name": "user.anna"}],
            }
        ]
    }
    found = plan(site)
    assert (found["reasons"], found["way"], found["yields"]) == ([], "fence", "imap1")
    text = "\n".join(_failover.lines(found))
    assert "7 events wait for imap2" in text
    assert "user.anna is in quarantine" in text


def test_a_worse_candidate_is_accepted_by_name(site: Vars) -> None:
    site["imap3"]["cyrus_readiness"] = readiness(NOW - 5)
    assert "imap2 has less than imap3" in said(site)
    assert said(site, loss="imap2") == ""
    assert said(site, candidate="imap3") == ""
    assert "the first has most: imap3, imap2" in said(site, candidate="")
    site["imap3"]["cyrus_readiness"]["heartbeat"] = None
    site["imap3"]["cyrus_readiness"]["unknown"] = {"heartbeat": "no answer"}
    assert "it is not known how much imap3 has: no answer" in said(site, candidate="imap3")


def test_the_candidate_has_to_be_fit(site: Vars) -> None:
    site["imap2"]["cyrus_readiness"].update(
        fence={"by": "administrator", "since": "now", "reason": "work"},
        activities=["a backup is under way"],
        read_only=True,
    )
    for reason in ("fenced by administrator", "a backup is under way", "can't write"):
        assert reason in said(site)
    site["imap2"]["cyrus_server"] = server("imap2", record=record("imap2", epoch=2))
    assert "it has missed a change of master" in said(site)
    site["imap2"]["cyrus_server"] = server("imap2", record=None)
    assert "imap2 has no role record" in said(site)


def test_a_host_that_has_not_come_back_to_its_end_may_have_a_part_only(site: Vars) -> None:
    begun = {"what": "rejoin", "from": None, "to": "imap1", "epoch": 3, "outcome": "done"}
    site["imap2"]["cyrus_server"]["history"] = [begun]
    assert "imap2 has not come back to its end" in said(site)
    assert said(site, loss="imap2") == ""
    site["imap2"]["cyrus_server"]["history"] = [begun, {**begun, "seconds": {"prove": 3.0}}]
    assert said(site) == ""


def test_deliveries_that_another_holds_are_left(site: Vars) -> None:
    delivery = site["mx1"]["cyrus_delivery"]
    delivery.update(held=True, since="now", by="administrator")
    assert "held by administrator" in said(site)
    delivery["by"] = "switchover"
    assert said(site) == ""
    delivery["by"] = "failover"
    assert plan(site)["held"] == ["mx1"]


def test_nobody_knows_the_master(site: Vars) -> None:
    for host in ("imap2", "imap3"):
        site[host]["cyrus_server"] = server(host, record=None)
    assert "nobody says who is master" in said(site)
    site["imap2"]["cyrus_server"] = server("imap2")
    site["imap3"]["cyrus_server"] = server("imap3", record=record("imap3", "imap9"))
    assert "name imap1 and imap9 as master" in said(site)


def moved(site: Vars) -> None:
    entry = {"what": "failover", "from": "imap1", "to": "imap2", "epoch": 4, "outcome": "done"}
    fence = {"by": "failover", "since": "now", "reason": "x"}
    site["imap2"]["cyrus_server"] = server(
        "imap2", record=record("imap2", "imap2", 4), history=[entry], fence=fence
    )


def test_behind_the_record_it_goes_forward(site: Vars) -> None:
    moved(site)
    site["imap1"]["cyrus_server"] = server("imap1")
    found = plan(site)
    assert (found["stage"], found["from"], found["epoch"]) == ("moved", "imap1", 4)
    assert found["fences"] == ["imap2"]
    assert (found["reasons"], found["way"]) == ([], "settled")
    site["imap2"]["cyrus_server"]["fence"] = None
    assert plan(site)["stage"] == "moved"
    ended = {**site["imap2"]["cyrus_server"]["history"][0], "seconds": {}}
    site["imap2"]["cyrus_server"]["history"].append(ended)
    assert plan(site, confirm="")["stage"] == "done"
    assert _failover.lines(plan(site)) == [
        "imap2 is master of store store1 already, epoch 4: nothing to do"
    ]


def test_an_unfinished_switchover_is_switchovers(site: Vars) -> None:
    for host in ("imap2", "imap3"):
        told = {**record(host, "imap2", 4), "role": "replica"}
        site[host]["cyrus_server"] = server(host, record=told)
    assert "run switchover again" in said(site)


def test_the_report_says_what_comes_next(site: Vars) -> None:
    found = plan(site)
    lacking = ["user.anna can't be opened: its index is damaged"]
    counts = {"users": 2, "messages": 5, "unknown": lacking}
    site["imap2"]["cyrus_base"] = {"path": "/x/base.gz", **counts}
    marks = [{"phase": "begin", "at": 1.0}, {"phase": "fence", "at": 3.5}]
    told = "\n".join(_failover.report(site, found, marks, []))
    assert "imap2 is master, epoch 5 (fence 2.5 s)" in told
    assert "2 users and 5 messages, in /x/base.gz" in told
    assert "! not in there: user.anna can't be opened: its index is damaged" in told
    assert "rejoin" in told
    assert "not done" in _failover.report(site, found, marks, ["x"])[0]


BEGUN = {"since": "2026-11-01T10:00:00Z", "by": "failover", "reason": "failover to imap3"}


def test_a_failover_to_another_host_that_has_begun_is_a_reason(site: Vars) -> None:
    site["imap3"]["cyrus_server"]["fence"] = BEGUN
    assert "imap3 is fenced by a failover since" in said(site)
    assert "-e cyrus_candidate=imap3 -e cyrus_failover_state=undone" in said(site)
    site["imap2"]["cyrus_server"]["fence"] = BEGUN
    del site["imap3"]["cyrus_server"]["fence"]
    assert said(site) == ""


def test_of_two_failovers_at_a_time_one_at_least_sees_the_other(site: Vars) -> None:
    begun = plan(site)
    for host in ("imap2", "imap3"):
        site[host]["cyrus_again"] = server(host, fence=BEGUN)
    (reason,) = _rivals.rivals(site, begun)
    assert reason.startswith("imap3 is fenced by a failover")
    site["imap3"]["cyrus_again"] = server("imap3", record=record("imap3", "imap3", 4))
    (reason,) = _rivals.rivals(site, begun)
    assert "imap3 is master in epoch 4" in reason
    site["imap3"]["cyrus_again"] = GONE
    (reason,) = _rivals.rivals(site, begun)
    assert reason.endswith("somebody else changes the master: No route to host")


def test_another_run_with_the_same_candidate_is_no_rival(site: Vars) -> None:
    begun = plan(site)
    site["imap2"]["cyrus_again"] = server("imap2", record=record("imap2", "imap2", 4))
    site["imap3"]["cyrus_again"] = server("imap3", record=record("imap3", "imap2", 4))
    assert _rivals.rivals(site, begun) == []


def test_a_switchover_that_was_faster_is_a_rival(site: Vars) -> None:
    begun = plan(site)
    site["imap2"]["cyrus_again"] = server("imap2")
    site["imap3"]["cyrus_again"] = server("imap3", record=record("imap3", "imap3", 4))
    (found,) = _rivals.rivals(site, begun)
    assert "imap3 is master in epoch 4" in found


def test_an_old_master_that_is_released_meanwhile_ends_a_failover(site: Vars) -> None:
    site["imap1"].update(cyrus_server=server("imap1"), cyrus_liveness=SILENT)
    begun = plan(site)
    assert begun["way"] == "fence"
    for host in ("imap1", "imap2", "imap3"):
        site[host]["cyrus_again"] = server(host, fence=BEGUN if host != "imap3" else None)
    assert _rivals.rivals(site, begun) == []
    site["imap1"]["cyrus_again"]["fence"] = None
    assert _rivals.rivals(site, begun) == ["imap1 is not fenced any more: run failover again"]


def third(role: str, master: str, epoch: int) -> dict[str, Any]:
    return server("imap3", record={**record("imap3", master, epoch), "role": role})


@pytest.mark.parametrize(
    ("told", "others", "home"),
    [
        (third("replica", "imap1", 3), ["imap3"], []),
        (third("fenced", "imap2", 4), ["imap3"], []),
        (third("fenced", "imap1", 2), [], []),
        (third("replica", "imap2", 4), [], ["imap3"]),
        (GONE, [], []),
    ],
)
def test_who_may_follow_once_the_role_has_moved(
    site: Vars, told: dict[str, Any], others: list[str], home: list[str]
) -> None:
    moved(site)
    site["imap3"]["cyrus_server"] = told
    found = plan(site)
    assert (found["stage"], found["others"], found["home"]) == ("moved", others, home)
    assert found["awaited"] == ([] if home else ["imap3"])


def test_one_that_comes_back_is_awaited_until_that_is_proven(site: Vars) -> None:
    moved(site)
    begun = {"what": "rejoin", "epoch": 4, "from": "imap1", "to": "imap2", "outcome": "done"}
    site["imap3"]["cyrus_server"] = third("replica", "imap2", 4)
    site["imap3"]["cyrus_server"]["history"] = [begun]
    found = plan(site)
    assert (found["others"], found["home"], found["awaited"]) == ([], [], ["imap3"])
    site["imap3"]["cyrus_server"]["history"] = [begun, {**begun, "seconds": {"prove": 1}}]
    assert plan(site)["home"] == ["imap3"]


def found_on(result: dict[str, Any]) -> dict[str, Any]:
    return {"cyrus_compared": {"results": [{"item": "imap3", **result}]}}


@pytest.mark.parametrize(
    ("result", "equal", "troubles", "why"),
    [
        ({"touched_on_old": []}, ["imap3"], [], None),
        (
            {"touched_on_old": [None, "anna"]},
            [],
            [],
            "it has something that imap2 has not got, of what is shared, anna;",
        ),
        (
            {"touched_on_old": list("abcdefg")},
            [],
            [],
            "it has something that imap2 has not got, of a, b, c, d, e and 2 more;",
        ),
        (
            {"failed": True, "touched_on_old": [], "unknown": ["x"], "msg": "x is damaged"},
            [],
            [],
            "what it has can't be compared (x is damaged);",
        ),
        ({"failed": True, "msg": "no answer"}, [], ["imap2: no answer"], None),
    ],
)
def test_only_one_that_is_shown_to_have_nothing_more_follows(
    site: Vars, result: dict[str, Any], equal: list[str], troubles: list[str], why: str | None
) -> None:
    found = plan(site)
    site["imap2"].update(found_on(result))
    site["imap3"]["cyrus_parted"] = {"changed": True}
    assert _failover.compared(site, found) == {"equal": equal, "troubles": troubles}
    (*_rest, last) = _failover.report(site, found, [], [])
    assert last.startswith(f"  imap3 does not follow: {why}") == (why is not None)
    site["imap3"]["cyrus_parted"] = {"failed": True, "msg": "no room"}
    assert _failover.compared(site, found)["troubles"] == ["imap3: no room"]


def test_one_that_could_not_be_asked_is_told_of(site: Vars) -> None:
    site["imap3"]["cyrus_server"] = GONE
    (*_rest, last) = _failover.report(site, plan(site), [], [])
    assert last.startswith("  imap3 does not follow: it could not be asked what it has; bring it")
    assert _failover.followed(site, plan(site)) == []


def test_who_follows_has_it_in_its_record(site: Vars) -> None:
    found = plan(site)
    site["imap3"]["cyrus_follows"] = {"record": {"role": "fenced"}, "failed": True, "msg": "x"}
    assert _failover.followed(site, found) == []
    site["imap3"]["cyrus_follows"] = {"record": {"role": "replica"}}
    assert _failover.followed(site, found) == ["imap3"]


def test_the_only_one_that_is_left_may_have_been_superseded(site: Vars) -> None:
    site["imap2"]["cyrus_server"]["record"] = {**record("imap2"), "role": "fenced"}
    assert "imap2 was superseded by imap1 in epoch 3, and has nothing of what" in said(site)
    found = plan(site, loss="imap2")
    assert (found["reasons"], found["superseded"]) == ([], True)
    site["imap2"]["cyrus_readiness"]["read_only"] = True
    assert "imap2 can't write" in said(site, loss="imap2")
    site["imap2"]["cyrus_server"]["record"]["epoch"] = 2
    assert "it has missed a change of master" in said(site, loss="imap2")
