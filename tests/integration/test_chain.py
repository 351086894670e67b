# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A chain of three on real hosts: what comes to a replica goes on to the one behind it.

Each test but the first needs the chain that the first one makes. TEST_LONG=1 looks at what may go
wrong, and changes the master.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import mail

from . import lab
from .four import MASTER, REPLICA, THIRD, delivering, setup, users
from .ledger import Ledger
from .load import LmtpLoad, at
from .store import in_sync, keep_up, role

CHAIN = f"{MASTER} -> {REPLICA} -> {THIRD}"


def follow(host: str, upstream: str = "") -> Path:
    """Say in the inventory whom a host follows."""
    told = lab.LAB_DIR / "host_vars" / f"{host}.yml"
    told.parent.mkdir(exist_ok=True)
    told.write_text(f"cyrus_upstream: '{upstream}'\n")
    lab.inventory.cache_clear()
    return told


@pytest.fixture(scope="module", autouse=True)
def chain(four_hosts: None) -> Iterator[None]:
    """The third host follows the replica, from a store in which both follow the master."""
    told = follow(THIRD, REPLICA)
    yield
    told.unlink()
    told.parent.rmdir()
    lab.inventory.cache_clear()
    setup()
    lab.until(lambda: keep_up(MASTER), 120, what="all follow the master")


def status(tmp_path: Path) -> tuple[dict[str, Any], str]:
    """What status tells of each host, and what it shows."""
    path = tmp_path / "status.json"
    run = lab.playbook("status", extra={"cyrus_status_report": str(path)})
    assert run.rc == 0, run.output
    return {host["host"]: host for host in json.loads(path.read_text())[0]["hosts"]}, run.output


def fed(tmp_path: Path) -> dict[str, list[str]]:
    """The hosts to which each one replicates."""
    told, _shown = status(tmp_path)
    return {name: [each["replica"] for each in host["channels"]] for name, host in told.items()}


def test_the_last_one_gets_all_from_the_one_before(tmp_path: Path) -> None:
    with delivering():
        setup()
    lab.until(lambda: in_sync(tmp_path), 120, what="all copies are equal")
    told, shown = status(tmp_path)
    assert CHAIN in shown
    assert told[THIRD]["source"] == REPLICA
    (channel,) = told[REPLICA]["channels"]
    assert (channel["replica"], channel["link"]["ok"]) == (THIRD, True)
    assert channel["lag"] is not None
    assert THIRD not in fed(tmp_path)[MASTER]
    # Nobody but the one before may send anything to it.
    link = lab.ssh(THIRD, "cat /etc/cyrus-replication/link-server.conf").stdout
    assert f"checkHost = {MASTER}" not in link
    again = lab.playbook("setup")
    assert (again.rc, again.changed()) == (0, 0), again.output


def test_what_users_do_goes_on_to_the_last(tmp_path: Path) -> None:
    mail.fill(mail.the_store(), count=3)
    with mail.the_store().imap(users()[0]) as session:
        for command in (
            "CREATE INBOX/Once",
            "CREATE INBOX/Later",
            "SUBSCRIBE INBOX/Once",
            "RENAME INBOX/Once INBOX/Twice",
            "DELETE INBOX/Later",
            "SETACL INBOX/Twice anyone lr",
            "SELECT INBOX",
            "STORE 1 +FLAGS (\\Flagged Mine)",
            "STORE 2 +FLAGS (\\Deleted)",
            "EXPUNGE",
        ):
            session.run(command)
    lab.until(lambda: in_sync(tmp_path), 120, what="all copies are equal")
    report = json.loads((tmp_path / "parity.json").read_text())
    assert [r["master"] for r in report if r["replica"] == THIRD] == [REPLICA]


@lab.only_long
def test_without_a_log_of_the_chain_nothing_goes_on(tmp_path: Path) -> None:
    """Cyrus passes on what is logged, and only sync_log_chain logs what came by replication."""

    def chained(switch: str) -> None:
        lab.ssh(
            REPLICA,
            f"sed -i 's/^sync_log_chain: .*/sync_log_chain: {switch}/' /etc/imapd.conf;"
            " pkill -x sync_server",
        )

    chained("0")
    ledger = Ledger()
    try:
        with LmtpLoad(ledger, users()[:1], at(MASTER), 4):
            time.sleep(2)
        ledger.check_soon(REPLICA, 60).assert_exactly_once()
        time.sleep(5)
        assert ledger.check(THIRD).lost
    finally:
        chained("1")
    run = lab.playbook("parity")
    assert run.rc != 0
    assert users()[0] in run.output, run.output
    for state in ("present", "released"):
        run = lab.playbook(
            "quarantine",
            extra={
                "cyrus_quarantine_state": state,
                "cyrus_quarantine_user": users()[0],
                "cyrus_quarantine_channel": THIRD,
            },
        )
        assert run.rc == 0, run.output
    ledger.check_soon(THIRD, 60).assert_exactly_once()
    lab.until(lambda: in_sync(tmp_path), 60, what="all copies are equal")


@lab.only_long
def test_one_in_the_middle_that_was_killed_is_in_doubt(tmp_path: Path) -> None:
    lab.ssh(REPLICA, "systemctl kill -s KILL cyrus-imapd; systemctl restart cyrus-imapd")
    told, _shown = status(tmp_path)
    assert told[REPLICA]["channels"][0]["doubt"], told[REPLICA]
    with delivering():
        time.sleep(2)
    run = lab.playbook("parity")
    assert run.rc == 0, run.output
    told, _shown = status(tmp_path)
    assert told[REPLICA]["channels"][0]["doubt"] is None


def back_in_the_chain(tmp_path: Path) -> None:
    """The first master is master again, and all is as the first test has left it."""
    run = lab.playbook("switchover", extra={"cyrus_candidate": MASTER})
    assert run.rc == 0, run.output
    with delivering():
        time.sleep(2)
    assert CHAIN in status(tmp_path)[1]
    assert in_sync(tmp_path)


@lab.only_long
def test_a_switchover_leaves_the_chain(tmp_path: Path) -> None:
    with delivering():
        time.sleep(2)
    run = lab.playbook("switchover", extra={"cyrus_candidate": REPLICA})
    assert run.rc == 0, run.output
    assert {MASTER, THIRD} <= set(fed(tmp_path)[REPLICA])
    with delivering(REPLICA):
        time.sleep(2)
    back_in_the_chain(tmp_path)


@pytest.mark.parametrize(
    ("playbook", "extra"),
    [
        ("switchover", {"cyrus_candidate": THIRD}),
        *(
            pytest.param(*each, marks=lab.only_long)
            for each in (
                ("reseed", {"cyrus_target": THIRD}),
                ("reseed", {"cyrus_target": REPLICA}),
                ("backup", {"cyrus_source": THIRD, "cyrus_backup_to": "/srv"}),
            )
        ),
    ],
)
def test_who_is_no_replica_of_the_master_itself(playbook: str, extra: dict[str, Any]) -> None:
    run = lab.playbook(playbook, extra=extra)
    assert run.rc != 0
    said = " ".join(run.output.split())
    assert f"{THIRD} follows {REPLICA}, not {MASTER}: take cyrus_upstream of {THIRD}" in said


def test_a_circle_is_refused() -> None:
    told = follow(REPLICA, THIRD)
    try:
        run = lab.playbook("setup")
    finally:
        told.unlink()
        lab.inventory.cache_clear()
    assert run.rc != 0
    assert "cyrus_upstream leads in a circle" in run.output, run.output


def failed_over(candidate: str, **more: Any) -> None:
    """The master is gone, and somebody takes over."""
    extra = {
        "cyrus_candidate": candidate,
        "cyrus_confirm": "store1",
        "cyrus_powered_off": MASTER,
        "cyrus_accept_loss": candidate,
    }
    run = lab.playbook("failover", extra={**extra, **more})
    assert run.rc == 0, run.output


def back_from_failover(master: str, tmp_path: Path, *away: str) -> None:
    """Those who were away come back to the new master, and all is as the first test has left it."""
    lab.lab("up", "--hosts", ",".join(away))
    for host in away:
        run = lab.playbook("rejoin", extra={"cyrus_old": host})
        assert run.rc == 0, run.output
    assert {MASTER, REPLICA, THIRD} - {master} <= set(fed(tmp_path)[master])
    with delivering(master):
        time.sleep(2)
    setup()
    back_in_the_chain(tmp_path)


@lab.only_long
@pytest.mark.parametrize(("candidate", "other"), [(THIRD, REPLICA), (REPLICA, THIRD)])
def test_after_a_failover_everybody_follows_the_new_master(
    candidate: str, other: str, tmp_path: Path
) -> None:
    with delivering():
        time.sleep(2)
    lab.lab("poweroff", MASTER)
    failed_over(candidate)
    assert (role(other)["role"], role(other)["master"]) == ("replica", candidate)
    back_from_failover(candidate, tmp_path, MASTER)


@lab.only_long
def test_nothing_is_sent_to_who_is_not_compared(tmp_path: Path) -> None:
    """It followed the new master before, and could be changed by it as soon as it is there."""
    lab.lab("poweroff", MASTER)
    lab.lab("poweroff", THIRD)
    failed_over(REPLICA, cyrus_accept_absent=[THIRD])
    assert lab.ssh(REPLICA, f"ls /var/lib/cyrus-replication/channels/{THIRD}/paused").stdout
    back_from_failover(REPLICA, tmp_path, MASTER, THIRD)


@lab.only_long
def test_back_behind_the_master(tmp_path: Path) -> None:
    told = follow(THIRD)
    with delivering():
        setup()
    assert {REPLICA, THIRD} <= set(fed(tmp_path)[MASTER])
    assert fed(tmp_path)[REPLICA] == []
    assert in_sync(tmp_path)
    assert told.exists()
