# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica that has more than the one which takes over, and what becomes of it: first what plain
replication makes of it, then how it is brought home. Each user is one case.

TEST_LONG=1 has the plain replication, the other order, and the cases with a failover of their own.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.deliver import Delivery
from tests.lab.managesieve import Sieve

from . import lab
from .store import STORE, plainly_joined, role
from .test_copyback import (
    client,
    expunge,
    flag,
    folders,
    password,
    put,
    script,
    subjects,
)

OLD, NEW, THIRD = STORE
WELL, BEFORE, SPLIT = "third-well", "third-before", "third-split"
USERS = ("mail", "folder", "flags", "expunged", "script", "meta", "passing", "less")
FRESH = "third"
STATE = "/var/lib/cyrus-replication"


def serves(host: str) -> bool:
    with client(host):
        return True


def channel(name: str, state: str) -> None:
    done = lab.module(OLD, "channel", name=name, state=state, timeout=120)
    assert not done.get("failed"), done["msg"]


def make_base() -> None:
    with client(OLD) as admin:
        for user in USERS:
            admin.run("CREATE", f"user/{user}")
        admin.run("CREATE common")
        admin.run("SETACL common mail lrswipkxtecdn")
    for user in USERS:
        with client(OLD, user) as session:
            session.run("CREATE INBOX/Work")
            session.run("SUBSCRIBE INBOX/Work")
            for number in (1, 2, 3):
                put(session, "INBOX", f"base {number}")
    for user in ("script", "less"):
        script(OLD, user, "filter", "before")


def reach_new_only() -> None:
    """What the third host is kept from."""
    with client(OLD, "less") as session:
        put(session, "INBOX", "the new one has it")
        flag(session, "INBOX", 1, "+FLAGS (\\Flagged)")
        expunge(session, "INBOX", 2)
        session.run("UNSUBSCRIBE INBOX/Work")
        session.run("RENAME INBOX/Work INBOX/Job")
        session.run("CREATE INBOX/Later")
    script(OLD, "less", "filter", "after")


def reach_third_only() -> None:
    """What the one that takes over never sees."""
    with Delivery(lab.address(OLD), *password()) as delivery:
        delivery.send("mail", b"Subject: ahead\r\n\r\nby LMTP\r\n")
    with client(OLD) as admin:
        admin.run("CREATE", f"user/{FRESH}")
    with client(OLD, FRESH) as session:
        put(session, "INBOX", "ahead")
    with client(OLD, "mail") as session:
        put(session, "common", "ahead")
    with client(OLD, "folder") as session:
        session.run("CREATE INBOX/Third")
        put(session, "INBOX/Third", "ahead")
    with client(OLD, "flags") as session:
        flag(session, "INBOX", 1, "+FLAGS (\\Flagged)")
    with client(OLD, "expunged") as session:
        expunge(session, "INBOX", 1)
    with client(OLD, "meta") as session:
        session.run("CREATE INBOX/Notes")
        session.run("SUBSCRIBE INBOX/Notes")
        session.run("SETACL INBOX/Work mail lrs")
    with client(OLD, "passing") as session:
        put(session, "INBOX", "passing")
    script(OLD, "script", "filter", "after")


def reach_nobody() -> None:
    """What only the old master knows."""
    with client(OLD, "mail") as session:
        put(session, "INBOX", "old")
    with client(OLD, "passing") as session:
        expunge(session, "INBOX", 4)
    with client(OLD, "flags") as session:
        flag(session, "INBOX", 2, "+FLAGS (\\Answered)")


def failover(**extra: Any) -> lab.Run:
    told = {"cyrus_candidate": NEW, "cyrus_confirm": "store1", "cyrus_accept_loss": NEW}
    return lab.playbook("failover", extra={**told, "cyrus_powered_off": OLD, **extra})


def rejoin(*args: str, **extra: Any) -> lab.Run:
    return lab.playbook("rejoin", *args, extra=extra)


def back_to(snapshot: str) -> None:
    lab.lab("snapshot", "restore", snapshot)
    master = {WELL: OLD, BEFORE: "", SPLIT: NEW}[snapshot]
    if master:
        lab.until(lambda: serves(master), 120, what=f"{master} serves")


def old_is_back() -> None:
    lab.lab("boot", OLD)
    lab.until(lambda: role(OLD)["role"] == "fenced", 120, what=f"{OLD} is superseded")


def only_less_waits() -> bool:
    told = lab.module(OLD, "channel", name=THIRD, state="drained", timeout=5)
    # What waits in the log would be said before.
    first = f"channel {THIRD} is not drained: less is in quarantine"
    return bool(told["msg"].startswith(first) and told["channel"]["backlog"]["entries"] == 0)


@pytest.fixture(scope="module", autouse=True)
def split() -> Iterator[None]:
    """A store after a failover to the replica that had less."""
    run = lab.playbook("setup")
    assert run.rc == 0, run.output
    lab.lab("snapshot", "save", WELL)
    lab.until(lambda: serves(OLD), 120)
    make_base()
    for name in (NEW, THIRD):
        channel(name, "drained")
    held = lab.module(OLD, "quarantine", state="present", channel=THIRD, user="less")
    assert not held.get("failed"), held["msg"]
    reach_new_only()
    channel(NEW, "drained")
    channel(NEW, "stopped")
    reach_third_only()
    lab.until(only_less_waits, 120, what=f"{THIRD} has all but what is in quarantine")
    channel(THIRD, "stopped")
    reach_nobody()
    lab.lab("poweroff", OLD)
    lab.lab("snapshot", "save", BEFORE)
    run = failover()
    assert run.rc == 0, run.output
    assert f"{THIRD} does not follow" in run.output, run.output
    lab.lab("snapshot", "save", SPLIT)
    lab.until(lambda: serves(NEW), 120)
    yield
    back_to(WELL)


def awaited(master: str = NEW) -> list[str]:
    found = lab.module(master, "rejoin_info")
    return [mark["old"] for mark in found["marks"]]


def everything(host: str) -> dict[str, Any]:
    """What the cases are about, as clients see it."""
    found: dict[str, Any] = {
        user: {name: subjects(mails) for name, mails in folders(host, user).items()}
        for user in USERS
    }
    with client(host) as admin:
        users = b" ".join(admin.run('LIST "" user/%')).decode()
        found[FRESH] = f"user/{FRESH}" in users
        found["acl"] = "mail lrs" in b" ".join(admin.run("GETACL user/meta/Work")).decode()
    for user in ("meta", "less"):
        with client(host, user) as session:
            told = b" ".join(session.run('LSUB "" *')).decode()
            found[f"{user} subscribed"] = [n for n in ("Notes", "Work", "Job") if n in told]
    found["flags"] = {mail.uid: mail.flags for mail in folders(host, "flags")["INBOX"]}
    found["less flags"] = {mail.uid: mail.flags for mail in folders(host, "less")["INBOX"]}
    for user in ("script", "less"):
        with Sieve.connect(lab.address(host)) as session:
            session.login(*password(), act_as=user)
            found[f"{user} filter"] = session.get("filter").split(".")[1].split('"')[0]
    return found


def is_home(old: bool, master: str = NEW) -> None:
    """All that the third host had is on the new master once, and so is what the old one had; its
    last flags are not merged where it was superseded twice."""
    found = everything(master)
    base = Counter({"base 1": 1, "base 2": 1, "base 3": 1})
    lone = Counter({"ahead": 1})
    assert found["mail"]["INBOX"] == base + lone + Counter({"old": 1} if old else {})
    assert found["mail"]["common"] == lone
    assert found["folder"]["INBOX/Third"] == lone
    assert found[FRESH]
    with client(master, FRESH) as session:
        assert b"(MESSAGES 1)" in b" ".join(session.run("STATUS INBOX (MESSAGES)"))
    assert "\\Flagged" in found["flags"][1]
    assert ("\\Answered" in found["flags"][2]) == (old and master == NEW)
    assert found["expunged"]["INBOX"] == Counter({"base 2": 1, "base 3": 1})
    assert found["script filter"] == "after"
    assert found["meta subscribed"] == ["Notes", "Work"]
    assert found["acl"]
    newer_stands(found)


def newer_stands(found: dict[str, Any]) -> None:
    """Where the third host had less nothing is turned back."""
    assert found["less"]["INBOX"] == Counter({"base 1": 1, "base 3": 1, "the new one has it": 1})
    assert {"INBOX/Job", "INBOX/Later"} <= found["less"].keys()
    assert "INBOX/Work" not in found["less"]
    assert "\\Flagged" in found["less flags"][1]
    assert found["less filter"] == "after"


def all_equal() -> None:
    """Nobody is missing."""
    (master,) = (host for host in STORE if role(host)["role"] == "master")
    epoch = role(master)["epoch"]
    assert {(role(host)["master"], role(host)["epoch"]) for host in STORE} == {(master, epoch)}
    assert sorted(str(role(host)["role"]) for host in STORE) == ["master", "replica", "replica"]
    run = lab.playbook("parity", extra={"cyrus_parity_level": "messages"})
    assert run.rc == 0, run.output
    assert awaited(master) == []


@lab.only_long
def test_plain_replication_to_it_loses_and_never_becomes_equal() -> None:
    """As if it had followed at once."""
    before = everything(NEW)
    plainly_joined(THIRD, NEW)
    drained = lab.module(NEW, "channel", name=THIRD, state="drained", timeout=30)
    found = everything(NEW)
    print(f"\nplain replication: {drained.get('msg')}")
    for key, value in found.items():
        print(f"{key}: {before[key]} -> {value}")
    assert drained.get("failed"), drained
    assert "INBOX/Third" not in found["folder"]
    assert not found[FRESH]
    assert found["meta subscribed"] == ["Work"]
    assert not found["acl"]
    back_to(SPLIT)


def test_it_stays_as_it_is_and_is_told_of() -> None:
    assert (role(THIRD)["role"], role(THIRD)["epoch"]) == ("fenced", role(NEW)["epoch"])
    assert awaited() == [OLD, THIRD]
    run = lab.playbook("status")
    assert f"{NEW} awaits {THIRD}" in run.output, run.output
    newer_stands(everything(NEW))
    run = rejoin()
    assert run.rc != 0
    assert f"{OLD} and {THIRD} have to come back" in run.output, run.output


def test_it_comes_back_first() -> None:
    run = rejoin("--check", cyrus_old=THIRD)
    assert run.rc == 0, run.output
    assert "add mailbox: user.folder.Third" in run.output, run.output
    run = rejoin(cyrus_old=THIRD)
    assert run.rc == 0, run.output
    assert awaited() == [OLD]
    is_home(old=False)
    assert role(THIRD)["role"] == "replica"
    again = rejoin(cyrus_old=THIRD)
    assert (again.rc, again.changed()) == (0, 0), again.output
    old_is_back()
    run = rejoin()
    assert run.rc == 0, run.output
    is_home(old=True)
    all_equal()


@lab.only_long
def test_the_old_master_comes_back_first() -> None:
    back_to(SPLIT)
    old_is_back()
    run = lab.playbook("setup")
    assert run.rc != 0
    assert f"{THIRD} is fenced" in run.output, run.output
    run = rejoin(cyrus_old=OLD)
    assert run.rc == 0, run.output
    assert awaited() == [THIRD]
    run = rejoin()
    assert run.rc == 0, run.output
    is_home(old=True)
    # The old master knew that it was expunged.
    assert everything(NEW)["passing"]["INBOX"]["passing"] == 0
    all_equal()


@lab.only_long
def test_one_that_was_away_does_not_simply_follow() -> None:
    back_to(BEFORE)
    lab.lab("poweroff", THIRD)
    run = failover(cyrus_accept_absent=[THIRD])
    assert run.rc == 0, run.output
    assert f"{THIRD} does not follow: it could not be asked" in run.output, run.output
    assert awaited() == [OLD, THIRD]
    lab.lab("boot", THIRD)
    before = role(THIRD)
    assert (before["role"], before["master"]) == ("replica", OLD)
    lab.until(lambda: "rejoin if that was a failover" in lab.playbook("status").output, 60)
    run = lab.playbook("switchover", extra={"cyrus_candidate": NEW})
    assert run.rc != 0
    assert f"{THIRD} has missed a failover" in run.output, run.output
    old_is_back()
    run = lab.playbook("setup")
    assert run.rc != 0
    assert f"{THIRD} has missed that {NEW} is master" in run.output, run.output
    assert role(THIRD) == before
    for host in (THIRD, OLD):
        run = rejoin(cyrus_old=host)
        assert run.rc == 0, run.output
        is_home(old=host == OLD)
    all_equal()


@lab.only_long
def test_one_that_was_superseded_twice_comes_back_last() -> None:
    back_to(SPLIT)
    old_is_back()
    run = rejoin(cyrus_old=THIRD)
    assert run.rc == 0, run.output
    lab.lab("poweroff", NEW)
    told = {"cyrus_candidate": THIRD, "cyrus_accept_loss": THIRD, "cyrus_powered_off": NEW}
    run = failover(**told)
    assert run.rc == 0, run.output
    lab.lab("boot", NEW)
    lab.until(lambda: role(NEW)["role"] == "fenced", 120, what=f"{NEW} is superseded")
    run = rejoin(cyrus_old=OLD)
    assert run.rc != 0
    assert f"bring {NEW} back first, -e cyrus_old={NEW}" in run.output, run.output
    for host in (NEW, OLD):
        run = rejoin(cyrus_old=host)
        assert run.rc == 0, run.output
    is_home(old=True, master=THIRD)
    all_equal()


@lab.only_long
def test_the_only_one_that_is_left_can_take_over() -> None:
    back_to(SPLIT)
    with client(NEW, "mail") as session:
        put(session, "INBOX", "of the second")
    lab.lab("poweroff", NEW)
    told = {"cyrus_candidate": THIRD, "cyrus_powered_off": NEW, "cyrus_accept_absent": [OLD]}
    run = failover(**told, cyrus_accept_loss="")
    assert run.rc != 0
    assert f"{THIRD} was superseded by {NEW}" in run.output, run.output
    run = failover(**told, cyrus_accept_loss=THIRD, cyrus_uid_gap=30000)
    assert run.rc == 0, run.output
    assert folders(THIRD, "folder")["INBOX/Third"]
    lab.lab("boot", OLD)
    lab.lab("boot", NEW)
    lab.until(lambda: role(NEW)["role"] == "fenced", 120, what=f"{NEW} is superseded")
    for host in (NEW, OLD):
        run = rejoin(cyrus_old=host)
        assert run.rc == 0, run.output
    found = subjects(folders(THIRD, "mail")["INBOX"])
    assert found == Counter(("base 1", "base 2", "base 3", "ahead", "old", "of the second"))
    all_equal()
