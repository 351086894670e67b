# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the roles parity and status make of the answers of a store's hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _parity, _status, _stores
from ansible_collections.mailops.cyrus.plugins.plugin_utils._table import table

HostVars = dict[str, dict[str, Any]]
HOSTS = ("imap1", "imap2", "imap3")
DOCUMENT: dict[str, type | tuple[type, ...]] = {
    "store": str,
    "master": str,
    "replica": str,
    "level": str,
    "epoch": (int, type(None)),
    "in_sync": (bool, type(None)),
    "started": str,
    "seconds": float,
    "compared": dict,
    "differences": list,
    "lagging": list,
    "unknown": list,
    "skipped": list,
}


def record(host: str, epoch: int = 3, master: str = "imap1", store: str = "store1") -> Any:
    role = "master" if host == master else "replica"
    since = "2026-11-01T10:00:00Z"
    return {
        "store": store,
        "host": host,
        "role": role,
        "master": master,
        "epoch": epoch,
        "since": since,
    }


def answer(host: str, **changes: Any) -> dict[str, Any]:
    found = {"installed": True, "version": "3.6.1", "record": record(host), "history": []}
    return {"cyrus_store": "store1", "cyrus_master": "imap1", "cyrus_server": {**found, **changes}}


def hostvars(**changes: dict[str, Any]) -> HostVars:
    return {host: answer(host, **changes.get(host, {})) for host in HOSTS}


def silent(**said: Any) -> dict[str, Any]:
    """What is registered for a host that gave no answer."""
    return {"cyrus_store": "store1", "cyrus_master": "imap1", "cyrus_server": said}


UNREACHABLE = silent(unreachable=True, msg="Failed to connect:\n  No route to host")


def troubles(variables: HostVars) -> dict[str, str | None]:
    found = _parity.pairs(variables, variables)
    return {pair["replica"]: pair["trouble"] for pair in found}


# -- stores and pairs


def test_pairs_of_a_store_that_setup_has_made() -> None:
    pairs = _parity.pairs(hostvars(), HOSTS)
    assert [(p["store"], p["master"], p["replica"], p["channel"]) for p in pairs] == [
        ("store1", "imap1", "imap2", "imap2"),
        ("store1", "imap1", "imap3", "imap3"),
    ]
    assert all(p["set_up"] and p["epoch"] == 3 and p["trouble"] is None for p in pairs)


def test_pairs_of_a_store_that_setup_never_touched() -> None:
    bare = {host: {"record": None} for host in HOSTS}
    pairs = _parity.pairs(hostvars(**bare), HOSTS)
    assert [(p["master"], p["replica"]) for p in pairs] == [("imap1", "imap2"), ("imap1", "imap3")]
    assert not any(p["set_up"] or p["epoch"] or p["trouble"] for p in pairs)


def test_one_in_a_chain_is_compared_with_who_feeds_it() -> None:
    chain = {"imap2": {"source": "imap1"}, "imap3": {"source": "imap2"}}
    pairs = _parity.pairs(hostvars(**chain), HOSTS)
    assert [(p["master"], p["replica"]) for p in pairs] == [("imap1", "imap2"), ("imap2", "imap3")]
    behind = hostvars(imap2={"record": record("imap2", 2)}, imap3={"source": "imap2"})
    assert "imap2 is in epoch 2" in str(troubles(behind)["imap3"])
    gone: HostVars = {**hostvars(**chain), "imap2": UNREACHABLE}
    assert "imap2 can't be reached" in str(troubles(gone)["imap3"])


def test_the_record_decides_who_is_master() -> None:
    moved = {host: {"record": record(host, 4, "imap3")} for host in HOSTS}
    pairs = _parity.pairs(hostvars(**moved), HOSTS)
    assert [(p["master"], p["replica"]) for p in pairs] == [("imap3", "imap1"), ("imap3", "imap2")]


def test_two_stores() -> None:
    variables = hostvars()
    variables["other1"] = answer("other1", record=None)
    variables["other1"].update(cyrus_store="a", cyrus_master="other1")
    variables["other2"] = answer("other2", record=None)
    variables["other2"].update(cyrus_store="a", cyrus_master="other1")
    pairs = _parity.pairs(variables, variables)
    assert [(p["store"], p["replica"]) for p in pairs] == [
        ("a", "other2"),
        ("store1", "imap2"),
        ("store1", "imap3"),
    ]


def test_unreachable_replica() -> None:
    found = troubles({**hostvars(), "imap2": UNREACHABLE})
    reason = "imap2 can't be reached: Failed to connect: No route to host"
    assert found == {"imap2": reason, "imap3": None}


def test_unreachable_master() -> None:
    found = troubles({**hostvars(), "imap1": UNREACHABLE})
    assert set(found) == {"imap2", "imap3"}
    assert {reason and reason[:24] for reason in found.values()} == {"imap1 can't be reached: "}


def test_every_host_unreachable() -> None:
    found = troubles(dict.fromkeys(HOSTS, UNREACHABLE))
    assert len(found) == 2
    assert all(found.values())


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (silent(failed=True, msg="role.json is damaged"), "can't be read: role.json is damaged"),
        (silent(), "can't be read: no answer"),
        ({"cyrus_store": "store1", "cyrus_master": "imap1"}, "can't be read: no answer"),
    ],
)
def test_host_that_gave_no_answer(said: dict[str, Any], reason: str) -> None:
    found = troubles({**hostvars(), "imap2": said})
    assert found == {"imap2": f"imap2 {reason}", "imap3": None}


def test_cyrus_is_not_installed() -> None:
    bare = {"installed": False, "version": None, "record": None}
    found = troubles(hostvars(imap1={"record": None}, imap2=bare, imap3={"record": None}))
    assert found == {
        "imap2": "Cyrus IMAP is not installed on imap2: run setup first",
        "imap3": None,
    }


def test_two_masters() -> None:
    variables = hostvars(imap2={"record": record("imap2", 2, "imap2")})
    (store,) = _stores.stores(variables, HOSTS)
    assert (store.master, store.epoch) == ("imap1", None)
    found = troubles(variables)
    assert len(found) == 2
    assert {reason and reason[:44] for reason in found.values()} == {
        "imap1 and imap2 both have the role of master"
    }


def test_two_masters_in_one_epoch_by_their_replicas() -> None:
    found = troubles(
        hostvars(imap1={"record": None}, imap3={"record": record("imap3", 3, "imap2")})
    )
    assert len(found) == 2
    assert all("two masters in epoch 3" in str(reason) for reason in found.values())


def test_replica_of_an_old_epoch() -> None:
    found = troubles(hostvars(imap2={"record": record("imap2", 2)}))
    assert found == {
        "imap2": "imap2 is in epoch 2 and imap1 in epoch 3: bring imap2 back with rejoin",
        "imap3": None,
    }


def test_missing_record() -> None:
    assert troubles(hostvars(imap2={"record": None})) == {
        "imap2": "imap2 has no role record, imap1 has one: run setup",
        "imap3": None,
    }
    found = troubles(hostvars(imap1={"record": None}))
    assert all(str(r).startswith("imap1 has no role record, ") for r in found.values())


def test_record_of_another_store() -> None:
    found = troubles(hostvars(imap2={"record": record("imap2", store="store2")}))
    assert len(found) == 2
    assert all("correct cyrus_store" in str(reason) for reason in found.values())


def test_first_master_that_is_no_host() -> None:
    variables = hostvars(**{host: {"record": None} for host in HOSTS})
    for host in HOSTS:
        variables[host]["cyrus_master"] = "imap9"
    found = troubles(variables)
    assert len(found) >= 2
    assert all("imap9, which is no host of store store1" in str(r) for r in found.values())


def test_no_master_named() -> None:
    variables = hostvars(**{host: {"record": None} for host in HOSTS})
    for host in HOSTS:
        del variables[host]["cyrus_master"]
    assert all(troubles(variables).values())


# -- reports of parity


def report(replica: str, in_sync: bool | None = True, **changes: Any) -> dict[str, Any]:
    return {
        "store": "store1",
        "master": "imap1",
        "replica": replica,
        "level": "summary",
        "epoch": 3,
        "in_sync": in_sync,
        "started": "2026-11-01T10:00:00Z",
        "seconds": 1.5,
        "compared": {"users": 8, "mailboxes": 30, "messages": 0, "bytes": 0},
        **{key: [] for key in ("differences", "lagging", "unknown", "skipped")},
        **changes,
    }


def in_shape(document: dict[str, Any]) -> bool:
    assert list(document) == list(DOCUMENT)
    assert set(document["compared"]) == {"users", "mailboxes", "messages", "bytes"}
    assert all(set(item) == {"scope", "reason"} for item in document["unknown"])
    return all(isinstance(document[key], kind) for key, kind in DOCUMENT.items())


def test_reports_come_sorted() -> None:
    wanted = _parity.pairs(hostvars(), reversed(HOSTS))
    results = [{"report": report("imap3")}, {"report": report("imap2")}]
    found = _parity.reports(results, reversed(wanted), "summary")
    assert [document["replica"] for document in found] == ["imap2", "imap3"]
    assert all(map(in_shape, found))


def test_what_was_not_compared_is_unknown() -> None:
    wanted = _parity.pairs({**hostvars(), "imap2": UNREACHABLE}, HOSTS)
    failed = {"failed": True, "msg": "no such option", "item": wanted[1]}
    imap2, imap3 = _parity.reports([failed], wanted, "messages")
    assert imap2["unknown"][0]["reason"].startswith("imap2 can't be reached")
    assert imap3["unknown"] == [{"scope": "store", "reason": "no such option"}]
    for document in (imap2, imap3):
        assert in_shape(document)
        assert (document["in_sync"], document["level"]) == (None, "messages")


def test_comparison_that_did_not_take_place() -> None:
    wanted = _parity.pairs(hostvars(), HOSTS)
    skipped = {"skipped": True, "item": "not a pair"}
    for document in _parity.reports([skipped], wanted, "summary"):
        assert document["in_sync"] is None
        assert document["unknown"][0]["reason"] == "the comparison did not take place"


def test_every_pair_has_a_report_where_nobody_is_master() -> None:
    variables = hostvars(**{host: {"record": None} for host in HOSTS})
    for host in HOSTS:
        del variables[host]["cyrus_master"]
    found = _parity.reports([], _parity.pairs(variables, HOSTS), "summary")
    assert [document["replica"] for document in found] == list(HOSTS)
    assert all(in_shape(document) and document["in_sync"] is None for document in found)


def test_summary_for_status() -> None:
    unknown = [{"scope": "ben", "reason": "x"}]
    kept = _parity.summary(report("imap2", None, unknown=unknown))
    assert (kept["in_sync"], kept["unknown"], kept["differences"]) == (None, 1, 0)
    assert "store" not in kept


def difference(**changes: Any) -> dict[str, Any]:
    return {
        "kind": "message_flags",
        "user": "anna",
        "mailbox": "user.anna.Sent",
        "uid": 7,
        "field": "\\seen",
        "master": True,
        "replica": False,
        **changes,
    }


def test_lines_of_a_report() -> None:
    documents = [
        report("imap2"),
        report(
            "imap3",
            False,
            differences=[
                difference(),
                difference(kind="user", mailbox=None, uid=None, master=None, replica="anna"),
                difference(kind="server_annotation", user=None, mailbox=None, uid=None),
            ],
            unknown=[{"scope": "ben", "reason": "imap3 refuses: NO"}],
        ),
    ]
    assert _parity.lines(documents) == [
        "store   master  replica  in sync  users  mailboxes  differ  lagging  unknown",
        "store1  imap1   imap2    yes      8      30         0       0        0",
        "store1  imap1   imap3    NO       8      30         3       0        1",
        "store1, replica imap3:",
        "  differences: 1 message_flags, 1 server_annotation, 1 user",
        "    message_flags user.anna.Sent UID 7: \\seen is True on the master, "
        "False on the replica",
        "    user anna: \\seen is absent on the master, anna on the replica",
        "    server_annotation server: \\seen is True on the master, False on the replica",
        "  unknown: ben: imap3 refuses: NO",
    ]


def test_long_lists_are_cut() -> None:
    document = report(
        "imap2",
        None,
        lagging=[difference(uid=uid) for uid in range(1, 31)],
        skipped=[{"scope": str(number), "reason": "x"} for number in range(25)],
    )
    lines = _parity.lines([document])
    assert "unknown" in lines[1]
    assert "  lagging: 30 message_flags" in lines
    assert "    and 10 more, see cyrus_parity_report" in lines
    assert "    and 5 more, see cyrus_parity_report" in lines
    assert len(lines) == 3 + 1 + 20 + 1 + 20 + 1


def test_lines_of_no_report() -> None:
    assert len(_parity.lines([])) == 1


# -- how to reach servers that setup never touched


def test_endpoint_defaults() -> None:
    given = {"ansible_host": "h", "cyrus_admin_user": "cyrus", "cyrus_admin_password": "x"}
    assert _parity.endpoint("imap2", given) == {
        "name": "imap2",
        "transport": "imap",
        "host": "h",
        "port": 143,
        "user": "cyrus",
        "password": "x",
        "tls": "starttls",
    }


def test_endpoint_by_its_own_variables() -> None:
    given = {
        "ansible_host": "h",
        "cyrus_parity_host": "mail",
        "cyrus_parity_tls": "implicit",
        "cyrus_parity_user": "reader",
        "cyrus_admin_user": "cyrus",
        "cyrus_parity_ca_file": "/ca.pem",
        "cyrus_parity_tls_name": "mail.example",
    }
    found = _parity.endpoint("imap2", given)
    assert (found["host"], found["port"], found["user"]) == ("mail", 993, "reader")
    assert (found["ca_file"], found["tls_name"]) == ("/ca.pem", "mail.example")
    assert "password" not in found
    assert _parity.endpoint("imap2", {**given, "cyrus_parity_port": "1143"})["port"] == 1143
    assert _parity.endpoint("imap2", {})["host"] == "imap2"


# -- status


def channel(replica: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": replica,
        "replica": replica,
        "state": "active",
        "paused": False,
        "replicator": replicator("running"),
        "link": {"ok": True, "reason": None},
        "backlog": backlog(0),
        "lag": 0.0,
        "quarantine": [],
        "doubt": None,
        "reason": None,
        "parity": None,
        **changes,
    }


def backlog(entries: int, held: int = 0) -> dict[str, Any]:
    return {"entries": entries, "bytes": 0, "oldest": None, "run_age": None, "held": held}


def replicator(state: str, reason: str | None = None) -> dict[str, Any]:
    since = "2026-11-01T10:00:00Z"
    return {"state": state, "reason": reason, "since": since, "replicated": since}


def held(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "channel": "imap2",
        "replica": "imap2",
        "scope": "mailbox",
        "name": name,
        "user": "anna",
        "mailbox": name,
        "reason": "imap2 can't open it",
        "advice": "Drop the copy.",
        "since": "2026-11-01T10:00:00Z",
        "by": "replicator",
        "tries": 2,
        "tried": None,
        "next": 1.0,
        "held": 12,
        **changes,
    }


def test_status_has_the_keys_of_the_contract() -> None:
    variables = hostvars()
    variables["imap1"]["cyrus_channels"] = {"channels": [channel("imap2"), channel("imap3")]}
    (document,) = _status.reports(variables, HOSTS)
    assert (document["store"], document["master"], document["epoch"]) == ("store1", "imap1", 3)
    for host in document["hosts"]:
        assert {"host", "role", "epoch", "version", "channels", "quarantine"} <= set(host)
    assert [host["role"] for host in document["hosts"]] == ["master", "replica", "replica"]
    assert [len(host["channels"]) for host in document["hosts"]] == [2, 0, 0]


def test_a_chain_is_drawn() -> None:
    variables = hostvars(imap2={"source": "imap1"}, imap3={"source": "imap2"})
    variables["imap1"]["cyrus_channels"] = {"channels": [channel("imap2")]}
    variables["imap2"]["cyrus_channels"] = {"channels": [channel("imap3")]}
    (document,) = _status.reports(variables, HOSTS)
    assert [host["source"] for host in document["hosts"]] == [None, "imap1", "imap2"]
    assert _status.lines([document])[-1] == "  imap1 -> imap2 -> imap3"


def test_status_of_hosts_that_do_not_answer() -> None:
    variables = {**hostvars(imap2={"record": None, "version": None}), "imap3": UNREACHABLE}
    variables["imap1"]["cyrus_channels"] = {"failed": True, "msg": "store.json can't be read"}
    (document,) = _status.reports(variables, HOSTS)
    roles = [(host["host"], host["role"], host["version"]) for host in document["hosts"]]
    assert roles == [
        ("imap1", "master", "3.6.1"),
        ("imap2", "unknown", None),
        ("imap3", "unknown", None),
    ]
    shown = _status.lines([document])
    assert "  ! imap1: store.json can't be read" in shown
    assert "  ! imap3 can't be reached: Failed to connect: No route to host" in shown


def test_lines_of_status() -> None:
    variables = hostvars()
    last = {"in_sync": False, "level": "summary", "started": "2026-11-01T10:00:00Z"}
    broken = channel(
        "imap3",
        state="failed",
        link={"ok": False, "reason": "imap3: its certificate is not accepted"},
        backlog=None,
        lag=None,
        reason="the sync log cannot be read",
        parity=last,
    )
    working = channel("imap2", backlog=backlog(2, 12), lag=4.5, quarantine=[held("user.anna")])
    variables["imap1"]["cyrus_channels"] = {"channels": [working, broken]}
    shown = _status.lines(_status.reports(variables, HOSTS))
    assert shown == [
        "store store1: master imap1, epoch 3",
        "  host   role     epoch  since                 version",
        "  imap1  master   3      2026-11-01T10:00:00Z  3.6.1",
        "  imap2  replica  3      2026-11-01T10:00:00Z  3.6.1",
        "  imap3  replica  3      2026-11-01T10:00:00Z  3.6.1",
        "  channel  state    link    waiting  lag      held  quarantine  last parity",
        "  imap2    running  ok      2        4.5 s    12    1           none in epoch 3",
        "  imap3    failed   BROKEN  -        unknown  -     0           "
        "NO (summary, 2026-11-01T10:00:00Z)",
        "  ! channel imap3: imap3: its certificate is not accepted",
        "  ! channel imap3: the sync log cannot be read",
        "  ! quarantine imap2: mailbox user.anna, since 2026-11-01T10:00:00Z, 12 events held: "
        "imap2 can't open it. Drop the copy.",
    ]


SUPERSEDED = {
    "state": "superseded",
    "since": "2026-11-01T10:00:00Z",
    "reason": "imap2 is master",
}


@pytest.mark.parametrize(
    ("guard", "lines"),
    [
        (None, []),
        ({"state": "watching", "since": "2026-11-01T10:00:00Z", "reason": None}, []),
        ({"state": "fenced", "since": "2026-11-01T10:00:00Z", "reason": "as its fence says"}, []),
        (SUPERSEDED, []),
        (
            {"state": "stopped", "since": None, "reason": "it does not run"},
            ["  ! guard of imap1, stopped: it does not run"],
        ),
    ],
)
def test_what_a_guard_has_to_say(guard: dict[str, Any] | None, lines: list[str]) -> None:
    shown = _status.lines(_status.reports(hostvars(imap1={"guard": guard}), HOSTS))
    assert [line for line in shown if line.startswith("  !")] == lines


def test_a_guard_is_believed_where_its_host_is_superseded() -> None:
    fenced = {**record("imap3"), "role": "fenced"}
    shown = _status.lines(
        _status.reports(hostvars(imap3={"guard": SUPERSEDED, "record": fenced}), HOSTS)
    )
    assert "  ! guard of imap3, superseded since 2026-11-01T10:00:00Z: imap2 is master" in shown


def test_a_master_that_does_not_know_it_yet_serves_nobody() -> None:
    before = {**record("imap1", epoch=2, master="imap2")}
    (document,) = _status.reports(hostvars(imap1={"record": before}), HOSTS)
    assert document["master"] == "imap1"
    assert document["trouble"] == (
        "imap1 is to be master of epoch 3, and is replica in epoch 2: run the change of master "
        "again, -e cyrus_candidate=imap1, which goes on from there"
    )


@pytest.mark.parametrize(
    ("told", "trouble"),
    [
        ({"held": False, "by": None, "since": None, "queued": 0, "reason": None}, None),
        ({"held": False, "by": None, "since": None, "queued": 3, "reason": "it is down"}, None),
        (
            {"held": True, "by": "switchover", "since": "now", "queued": 3, "reason": None},
            "holds deliveries to store1 back, by switchover since now: run switchover again, or",
        ),
        (
            {"held": True, "by": "administrator", "since": "now", "queued": 3, "reason": None},
            "by administrator since now: release them with the module",
        ),
        (
            {"held": None, "by": None, "since": None, "queued": None, "reason": "it says nothing"},
            "mx1: it says nothing",
        ),
        ({"failed": True, "msg": "no python"}, "mx1: no python"),
        ({"unreachable": True, "msg": "No route"}, "mx1 of cyrus_mta can't be reached: No route"),
    ],
)
def test_mail_that_is_held_back(told: dict[str, Any], trouble: str | None) -> None:
    variables = hostvars()
    variables["imap1"]["cyrus_deliveries"] = {"results": [{**told, "item": "mx1"}]}
    (document,) = _status.reports(variables, HOSTS)
    (delivery,) = document["deliveries"]
    assert delivery["host"] == "mx1"
    lines = _status.lines([document])
    if trouble is None:
        assert delivery["trouble"] is None
    else:
        assert trouble in delivery["trouble"]
        assert f"  ! {delivery['trouble']}" in lines


def test_who_is_awaited() -> None:
    awaited = [{"old": "imap9", "epoch": 3, "since": "2026-11-01T10:00:00Z", "base": "/x"}]
    shown = _status.lines(_status.reports(hostvars(imap1={"awaited": awaited}), HOSTS))
    assert [line for line in shown if line.startswith("  !")] == [
        "  ! imap1 awaits imap9 since 2026-11-01T10:00:00Z, so cyr_expire rests: bring it back "
        "with rejoin"
    ]


def shown_of(**changes: Any) -> list[str]:
    """What status shows of one channel, without the head of the table."""
    variables = hostvars()
    variables["imap1"]["cyrus_channels"] = {"channels": [channel("imap2", **changes)]}
    return _status.lines(_status.reports(variables, HOSTS))[6:]


@pytest.mark.parametrize(
    ("changes", "state"),
    [
        ({"replicator": replicator("paused")}, "paused"),
        ({"replicator": replicator("away", "imap2: gone")}, "away"),
        ({"replicator": None}, "unknown"),
        ({"state": "inactive", "paused": True}, "inactive, paused"),
        ({"state": "activating"}, "activating"),
    ],
)
def test_state_of_a_channel(changes: dict[str, Any], state: str) -> None:
    assert shown_of(**changes)[0].split("ok")[0].split(maxsplit=1)[1].strip() == state


def test_why_a_channel_is_away_or_in_doubt() -> None:
    doubt = {"since": "2026-11-01T11:00:00Z", "reason": "Cyrus did not end in order"}
    assert shown_of(replicator=replicator("away", "imap2: gone"), doubt=doubt)[1:] == [
        "  ! channel imap2: away since 2026-11-01T10:00:00Z: imap2: gone",
        "  ! channel imap2: parity is in doubt since 2026-11-01T11:00:00Z: "
        "Cyrus did not end in order",
    ]


def test_quarantine_that_is_not_known() -> None:
    row = shown_of(quarantine=None, backlog=backlog(0) | {"held": None}, reason="it is damaged")
    assert row[0].split()[-6:] == ["-", "unknown", "none", "in", "epoch", "3"]


def test_a_comparison_of_an_earlier_epoch_is_told_as_that() -> None:
    last = {"in_sync": True, "level": "summary", "started": "2026-11-01T09:00:00Z", "epoch": 2}
    told = "yes (summary, 2026-11-01T09:00:00Z)"
    assert shown_of(parity=last)[0].endswith(f"  none in epoch 3, in epoch 2 {told}")
    assert shown_of(parity={**last, "epoch": 3})[0].endswith(f"  {told}")


def test_report_lists_the_quarantine_of_all_channels() -> None:
    variables = hostvars()
    variables["imap1"]["cyrus_channels"] = {
        "channels": [
            channel("imap2", quarantine=[held("user.anna"), held("user.ben")]),
            channel("imap3", quarantine=[held("user.anna", channel="imap3")]),
        ]
    }
    (document,) = _status.reports(variables, HOSTS)
    listed = [(entry["channel"], entry["name"]) for entry in document["hosts"][0]["quarantine"]]
    assert listed == [("imap2", "user.anna"), ("imap2", "user.ben"), ("imap3", "user.anna")]
    assert document["hosts"][1]["quarantine"] == []


def test_lines_of_a_quarantine() -> None:
    by_hand = held("", scope="server", by="administrator", held=1, advice=None, reason="Wait.")
    assert list(_status.quarantined([by_hand])) == [
        "quarantine imap2: server, by an administrator since 2026-11-01T10:00:00Z, 1 event held: "
        "Wait."
    ]


def test_status_of_two_masters() -> None:
    variables = hostvars(imap2={"record": record("imap2", 2, "imap2")})
    shown = _status.lines(_status.reports(variables, HOSTS))
    assert shown[0] == "store store1: master imap1, no epoch"
    assert shown[1].startswith("  ! imap1 and imap2 both have the role of master of store store1")


def test_status_of_a_store_without_a_master() -> None:
    variables = hostvars(**{host: {"record": None} for host in HOSTS})
    for host in HOSTS:
        del variables[host]["cyrus_master"]
    shown = _status.lines(_status.reports(variables, HOSTS))
    assert shown[0] == "store store1: master -, no epoch"


def test_table() -> None:
    assert table([["a", "bb"], ["ccc", ""], ["", "d"]]) == ["a    bb", "ccc", "     d"]


PARITY = {"in_sync": True, "level": "summary", "started": "2026-11-01T11:00:00Z"}


@pytest.mark.parametrize(
    ("known", "since", "in_sync", "shown"),
    [
        # Compared since: the doubt is over.
        (None, "2026-11-01T10:00:00Z", True, None),
        (None, "2026-11-01T12:00:00Z", None, "2026-11-01T12:00:00Z"),
        # The master's own doubt is newer and has been reckoned with.
        ("2026-11-01T13:00:00Z", "2026-11-01T12:00:00Z", True, "2026-11-01T13:00:00Z"),
    ],
)
def test_a_replica_that_was_not_stopped_in_order_is_in_doubt(
    known: str | None, since: str, in_sync: bool | None, shown: str | None
) -> None:
    variables = hostvars(imap2={"doubt": {"since": since, "reason": "killed"}})
    own = {"since": known, "reason": "a log was lost"} if known else None
    found = channel("imap2", parity=PARITY, doubt=own)
    variables["imap1"]["cyrus_channels"] = {"channels": [found]}
    (document,) = _status.reports(variables, HOSTS)
    (reported,) = document["hosts"][0]["channels"]
    assert reported["parity"]["in_sync"] is in_sync
    assert (reported["doubt"] or {}).get("since") == shown
    if in_sync is None:
        assert reported["doubt"]["reason"] == "on imap2: killed"


def test_of_a_host_that_is_off_ssh_s_own_words_are_told() -> None:
    said = (
        'Task failed: Data could not be sent to remote host "192.0.2.12". Make sure this host can '
        "be reached over ssh: ssh: connect to host 192.0.2.12 port 22: No route to host"
    )
    told = _stores.message_of({"unreachable": True, "msg": said})
    assert told == "ssh: connect to host 192.0.2.12 port 22: No route to host"
    assert _stores.message_of({"failed": True, "msg": "x"}) == "x"


def test_what_ssh_says_of_a_kept_connection_is_left_out() -> None:
    noise = "mux_client_request_session: read from master failed: Broken pipe\r\n"
    said = "Failed to connect to the host via ssh: "
    assert _stores.message_of({"msg": f"{said}{noise}ssh: No route to host"}) == (
        f"{said}ssh: No route to host"
    )
    assert "Broken pipe" in _stores.message_of({"msg": said + noise})
