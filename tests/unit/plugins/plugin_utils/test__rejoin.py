# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a rejoin makes of the answers of a store's hosts: who comes back, each reason, how far."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _rejoin

Vars = dict[str, dict[str, Any]]
HOSTS = ["imap1", "imap2", "imap3"]
OPTIONS = {"certificate_days": 7, "free_percent": "5", "without_base": False, "spool": False}
FENCE = {"since": "2026-11-01T10:00:00Z", "by": "administrator", "reason": "a disk"}
ASIDE = {
    "epoch": 2,
    "complete": True,
    "users": ["anna"],
    "shared": True,
    "proven": False,
    "where": ["/x"],
}


def record(host: str, role: str, master: str = "imap2", epoch: int = 2) -> dict[str, Any]:
    return {
        "store": "store1",
        "host": host,
        "role": role,
        "master": master,
        "epoch": epoch,
        "since": "2026-11-01T10:00:00Z",
    }


def readiness(host: str, told: dict[str, Any]) -> dict[str, Any]:
    room = {"path": "/var/spool/cyrus", "free_bytes": 50, "total_bytes": 100}
    return {
        "version": "cyrus-imapd 3.6.1-4+deb12u5-Debian",
        "record": told,
        "fence": None,
        "cleared": True,
        "layout": {"hashimapspool": "yes"},
        "partitions": {"default": room},
        "config_directory": room,
        "certificate": {"not_after": "2028-11-01T10:00:00Z", "days_left": 700},
        "peers": {o: {"reached": True, "reason": None} for o in HOSTS if o != host},
        "activities": [],
        "read_only": False,
        "unknown": {},
    }


@pytest.fixture
def site() -> Vars:
    """After a failover from imap1 to imap2, and imap1 is there again."""
    found: Vars = {}
    for host, role in zip(HOSTS, ("fenced", "master", "replica")):
        told = record(host, role)
        found[host] = {
            "cyrus_store": "store1",
            "cyrus_master": "imap1",
            "cyrus_server": {
                "installed": True,
                "version": "3.6.1",
                "record": told,
                "guard": {"state": "superseded" if role == "fenced" else "watching"},
            },
            "cyrus_readiness": readiness(host, told),
            "cyrus_pending": {"marks": [], "asides": []},
        }
    mark = {"epoch": 2, "old": "imap1", "base": "/b", "since": "2026-11-01T10:00:00Z"}
    found["imap2"]["cyrus_pending"]["marks"] = [mark]
    return found


def plan(site: Vars, old: str = "", **options: Any) -> dict[str, Any]:
    return dict(_rejoin.plan(site, HOSTS, old, {**OPTIONS, **options}))


def test_two_masters_of_one_epoch_are_told_of(site: Vars) -> None:
    became(site, "imap1", record("imap1", "replica", "imap3"))
    for old in ("", "imap1"):
        (reason,) = plan(site, old)["reasons"]
        assert "imap2 and imap3 as master of epoch 2" in reason


def became(site: Vars, host: str, told: dict[str, Any]) -> None:
    site[host]["cyrus_server"]["record"] = told
    site[host]["cyrus_readiness"]["record"] = told


def test_the_only_one_that_has_to_comes_back(site: Vars) -> None:
    found = plan(site)
    assert found["reasons"] == []
    assert (found["old"], found["to"], found["epoch"]) == ("imap1", "imap2", 2)
    assert (found["stage"], found["channel"]) == ("start", "imap1")
    assert plan(site, "imap1") == found


def test_how_far_it_is(site: Vars) -> None:
    site["imap1"]["cyrus_pending"]["asides"] = [{**ASIDE, "complete": False}]
    assert plan(site)["stage"] == "start"
    site["imap1"]["cyrus_pending"]["asides"] = [ASIDE]
    found = plan(site)
    assert (found["stage"], found["users"], found["shared"]) == ("saved", ["anna"], True)
    became(site, "imap1", record("imap1", "replica"))
    assert plan(site)["stage"] == "joined"
    assert plan(site)["reasons"] == []
    assert not plan(site)["everything"]
    site["imap2"]["cyrus_pending"]["marks"] = []
    for old in ("", "imap1"):
        found = plan(site, old)
        assert (found["stage"], found["reasons"], found["everything"]) == ("joined", [], True)
    site["imap1"]["cyrus_pending"]["asides"] = [{**ASIDE, "proven": True}]
    for old in ("", "imap1"):
        assert (plan(site, old)["stage"], plan(site, old)["reasons"]) == ("done", [])


@pytest.mark.parametrize("what", ["server", "pending"])
def test_silence_of_the_master_does_not_mean_that_nobody_has_to_come_back(
    site: Vars, what: str
) -> None:
    became(site, "imap1", record("imap1", "replica"))
    site["imap2"]["cyrus_pending"]["marks"] = []
    site["imap2"][f"cyrus_{what}"] = {"failed": True, "msg": "it is torn"}
    (reason,) = plan(site)["reasons"]
    assert "it is torn" in reason


def test_what_was_set_aside_in_another_epoch_does_not_count(site: Vars) -> None:
    site["imap1"]["cyrus_pending"]["asides"] = [{**ASIDE, "epoch": 1}]
    assert plan(site)["stage"] == "start"


@pytest.mark.parametrize(
    ("host", "what", "change", "said"),
    [
        ("imap1", "server", {"unreachable": True, "msg": "no route"}, "imap1 can't be reached"),
        ("imap2", "server", {"failed": True, "msg": "no Cyrus"}, "imap2 can't be read"),
        ("imap1", "server", {"record": None}, "imap1 has no role record"),
        ("imap1", "server", {"guard": {"state": "stopped"}}, "guard of imap1 is stopped"),
        ("imap1", "server", {"guard": None}, "guard of imap1 is not there"),
        ("imap1", "readiness", {"failed": True}, "imap1 did not say whether it is ready"),
        ("imap2", "readiness", {"fence": FENCE}, "imap2 is fenced by administrator"),
        ("imap2", "readiness", {"cleared": False}, "imap2 does not serve"),
        ("imap1", "readiness", {"version": "cyrus-imapd 3.2.6"}, "upgrade imap1 first"),
        ("imap1", "readiness", {"layout": {"hashimapspool": "no"}}, "hashimapspool"),
        ("imap1", "readiness", {"partitions": {}}, "imap1 has no partition default"),
        ("imap1", "readiness", {"activities": ["a reseed is under way"]}, "a reseed"),
        ("imap2", "readiness", {"read_only": True}, "imap2 can't write"),
        ("imap2", "readiness", {"peers": {}}, "imap2 can't reach imap1"),
        ("imap2", "pending", {"marks": []}, "imap2 has no merge base of epoch 2 for imap1"),
        ("imap2", "pending", {"failed": True, "msg": "torn"}, "what imap2 waits for is not known"),
    ],
)
def test_each_reason(site: Vars, host: str, what: str, change: dict[str, Any], said: str) -> None:
    site[host][f"cyrus_{what}"] = {**site[host][f"cyrus_{what}"], **change}
    found = plan(site, "imap1")
    assert [reason for reason in found["reasons"] if said in reason], found["reasons"]


def test_all_reasons_are_said_at_once(site: Vars) -> None:
    site["imap2"]["cyrus_pending"]["marks"] = []
    site["imap1"]["cyrus_readiness"]["read_only"] = True
    assert len(plan(site)["reasons"]) == 2


def test_a_third_host_that_is_gone_does_not_stand_in_the_way(site: Vars) -> None:
    site["imap3"]["cyrus_server"] = {"unreachable": True, "msg": "no route"}
    site["imap3"]["cyrus_readiness"] = {"unreachable": True}
    assert plan(site)["reasons"] == []


def test_one_that_does_not_know_yet(site: Vars) -> None:
    became(site, "imap1", record("imap1", "master", "imap1", 1))
    site["imap1"]["cyrus_server"]["guard"]["state"] = "waiting"
    (reason,) = plan(site)["reasons"]
    assert reason.startswith("imap1 does not know yet that imap2 is master (its guard is waiting)")


def test_one_that_was_superseded_twice(site: Vars) -> None:
    for host, role in (("imap1", "replica"), ("imap2", "fenced"), ("imap3", "master")):
        became(site, host, record(host, role, "imap3", 3))
    became(site, "imap1", record("imap1", "fenced"))
    marks = [{"epoch": 3, "old": old, "base": "/b", "since": "x"} for old in ("imap1", "imap2")]
    site["imap3"]["cyrus_pending"]["marks"] = marks
    (reason,) = plan(site, "imap1")["reasons"]
    assert reason.endswith("bring imap2 back first, -e cyrus_old=imap2")
    site["imap3"]["cyrus_pending"]["marks"] = marks[:1]
    became(site, "imap2", record("imap2", "replica", "imap3", 3))
    found = plan(site)
    assert (found["old"], found["reasons"], found["missed"]) == ("imap1", [], True)


def test_a_replica_that_has_missed_a_failover(site: Vars) -> None:
    site["imap2"]["cyrus_pending"]["marks"][0]["old"] = "imap3"
    became(site, "imap1", record("imap1", "replica"))
    became(site, "imap3", record("imap3", "replica", "imap1", 1))
    # It tells whom it has followed until then.
    site["imap3"]["cyrus_server"]["source"] = "imap1"
    found = plan(site)
    assert (found["old"], found["stage"], found["missed"]) == ("imap3", "start", True)
    assert found["reasons"] == []
    site["imap2"]["cyrus_pending"]["marks"] = []
    assert plan(site)["stage"] == "done"
    assert "imap2 has no merge base of epoch 2 for imap3" in plan(site, "imap3")["reasons"][0]


def test_one_that_is_to_follow_another_one_does_not_come_back(site: Vars) -> None:
    site["imap1"]["cyrus_server"]["source"] = "imap3"
    (reason,) = plan(site)["reasons"]
    assert reason.startswith("imap1 follows imap3, not imap2: take cyrus_upstream")


def test_several_have_to_be_told_apart(site: Vars) -> None:
    became(site, "imap3", record("imap3", "fenced"))
    (reason,) = plan(site)["reasons"]
    assert reason.startswith("imap1 and imap3 have to come back")


@pytest.mark.parametrize(("old", "said"), [("imap9", "no host of store"), ("imap2", "the master")])
def test_one_that_can_not_come_back(site: Vars, old: str, said: str) -> None:
    (reason,) = plan(site, old)["reasons"]
    assert said in reason


def test_a_lost_base_can_be_accepted(site: Vars) -> None:
    site["imap2"]["cyrus_pending"]["marks"] = []
    assert plan(site, without_base=True)["reasons"] == []


def test_one_that_never_boots_again_is_read_from_its_disk(site: Vars) -> None:
    assert plan(site, spool=True)["reasons"] == [
        "imap1 answers: leave cyrus_rejoin_spool out, so that it is asked itself"
    ]
    for what in ("server", "readiness", "pending"):
        site["imap1"][f"cyrus_{what}"] = {"unreachable": True, "msg": "no route"}
    found = plan(site, spool=True)
    assert (found["old"], found["stage"], found["reasons"]) == ("imap1", "start", [])
    assert plan(site)["reasons"] == ["imap1 can't be reached: no route"]
    site["imap2"]["cyrus_pending"]["marks"] = []
    assert "no merge base" in plan(site, "imap1", spool=True)["reasons"][0]
    site["imap2"]["cyrus_server"] = {"unreachable": True, "msg": "no route"}
    assert plan(site, "imap1", spool=True)["reasons"] == ["imap2 can't be reached: no route"]


def test_a_store_in_which_all_is_well(site: Vars) -> None:
    became(site, "imap1", record("imap1", "replica"))
    site["imap2"]["cyrus_pending"]["marks"] = []
    found = plan(site)
    assert (found["stage"], found["reasons"]) == ("done", [])
    assert _rejoin.lines(found) == ["store store1: nobody has to come back to imap2"]


def test_lines_name_every_reason(site: Vars) -> None:
    assert _rejoin.lines(plan(site)) == [
        "store store1: imap1 comes back to imap2, epoch 2; the rejoin begins"
    ]
    assert _rejoin.lines(plan(site), check=True) == [
        "store store1: imap1 would come back to imap2, epoch 2; the rejoin would begin"
    ]
    site["imap2"]["cyrus_pending"]["marks"] = []
    assert _rejoin.lines(plan(site))[1].startswith("  ! imap2 has no merge base")


def test_the_report_of_a_copy_back(site: Vars) -> None:
    told: dict[str, Any] = {
        "counts": {"owners": 8, "steps": 2, "conflicts": 1, "saves": 3},
        "plan": [
            {"step": "add_messages", "owner": "anna", "mailbox": "user.anna"},
            {"step": "put_script", "owner": "anna", "name": "main"},
        ],
        "conflicts": [
            {
                "mailbox": "user.anna",
                "owner": "anna",
                "found": "changed on both sides",
                "done": "imap2's stays",
                "kept": "in the report",
            }
        ],
        "failures": [{"step": {"step": "set_acl", "owner": None}, "reason": "refused"}],
        "unknown": ["user.ben can't be opened"],
        "archive": "/archive",
    }
    assert _rejoin.report(plan(site), told, 1) == [
        "  2 change(s), 3 thing(s) to archive, 1 conflict(s), 8 owner(s) compared, from imap1 to "
        "imap2",
        "    add messages: user.anna",
        "    and 1 more plan",
        "    user.anna: changed on both sides; imap2's stays; in the report",
        "    not done: set acl: the server: refused",
        "    ! user.ben can't be opened",
        "  archive on imap2: /archive",
    ]
    told["counts"].update(archived=3, archived_bytes=900, archived_scripts=1, messages=5)
    told["counts"].update(add_messages=2, put_script=1)
    assert _rejoin.report(plan(site), told, 1)[0] == (
        "  5 message(s) copied back, 3 change(s) made, 3 message(s) and 1 script(s) archived, "
        "1 conflict(s), 8 owner(s) compared, from imap1 to imap2"
    )
    assert _rejoin.report(plan(site), {}) == ["  nothing copied back, from imap1 to imap2"]
