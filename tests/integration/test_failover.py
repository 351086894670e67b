# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master that is gone, and another host that takes over, on real hosts.

Runs on the lab's hosts with tests.lab.site; each test that changes the store begins with the hosts'
disks as they were.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.lab.plan import CONTROLLER

from . import lab
from .ledger import Ledger, queued
from .load import SmtpLoad
from .store import STORE, back_to, files, keep_up, role, serves, the_name

SNAPSHOT = "failover"
OLD, NEW, THIRD = STORE
# In each a run is killed when it comes to the task.
DEATHS = (
    "Nobody sees the old master any more",
    "Fence the candidate",
    "Give the role to the candidate",
    "Let the new master serve",
    "Point the traffic to the new master",
    "Release deliveries to the store",
    "Let the new master alone read the other replicas",
    "Let the other replicas follow",
    "Wait for them no longer",
    "Append to the history",
)
TOLD = {"cyrus_candidate": NEW, "cyrus_confirm": "store1"}


def failover(*args: str, **extra: object) -> lab.Run:
    return lab.playbook("failover", *args, extra={**TOLD, **extra})


def failover_killed(task: str, **extra: object) -> None:
    lab.playbook_killed("failover", {**TOLD, **extra}, task)


@pytest.fixture(scope="module", autouse=True)
def saved() -> None:
    """The store as it is before, with a healthy master."""
    assert {role(host)["master"] for host in STORE} == {OLD}
    lab.until(lambda: lab.playbook("parity").rc == 0, 120, what="all copies are equal")
    lab.lab("snapshot", "save", SNAPSHOT)
    lab.until(lambda: serves(OLD), 120, what=f"{OLD} serves")


@pytest.fixture
def whole() -> Iterator[None]:
    """The store is as it was, whatever the test leaves behind."""
    lab.until(lambda: keep_up(OLD), 120, what="every replica keeps up")
    yield
    back_to(SNAPSHOT, OLD)


def taken_over(epoch: int) -> None:
    """The new master serves, the third host follows, nothing is held."""
    for host in (NEW, THIRD):
        found = role(host)
        assert (found["master"], found["epoch"]) == (NEW, epoch), found
    assert role(THIRD)["role"] == "replica"
    marks = lab.module(NEW, "rejoin_info")["marks"]
    assert [mark["old"] for mark in marks] == [OLD]
    assert [host for host in (NEW, THIRD) if serves(host)] == [NEW]
    assert the_name() == lab.address(NEW)
    assert "store1" not in lab.ssh("mx1", "postconf -h defer_transports").stdout
    for host in (NEW, THIRD):
        assert lab.ssh(host, "ls /var/lib/cyrus-replication/fence.json", check=False).returncode


def lose(address: str) -> None:
    """What the old master sends to this address is lost, until it boots again."""
    lab.lab("run", OLD, "--", "ip", "route", "add", "blackhole", address)


@contextmanager
def cut(*addresses: str) -> Iterator[None]:
    for address in addresses:
        lose(address)
    try:
        yield
    finally:
        for address in addresses:
            lab.lab("run", OLD, "--", "ip", "route", "del", "blackhole", address)


def lease_of(seconds: int) -> None:
    """The old master's guard has another lease, and the others have heard of it."""
    setting = rf's/"lease": [0-9]*/"lease": {seconds}/'
    lab.ssh(OLD, f"sed -i '{setting}' /etc/cyrus-replication/guard.json")
    lab.ssh(OLD, "systemctl restart cyrus-guard")

    def heard(host: str) -> bool:
        guards = lab.ssh(host, "cat /var/lib/cyrus-replication/guards.json").stdout
        return bool(json.loads(guards)[OLD]["lease"] == seconds)

    lab.until(lambda: heard(NEW) and heard(THIRD), 30, what="the others have heard of the lease")


def controller() -> str:
    return re.sub(r"\.\d+$", f".{CONTROLLER}", lab.address(OLD))


def test_a_master_that_serves_is_left_alone() -> None:
    before = {host: role(host) for host in STORE}
    run = failover(cyrus_confirm="store2")
    assert run.rc != 0
    assert "-e cyrus_confirm=store1" in run.output, run.output
    assert "use switchover" in run.output, run.output
    assert {host: role(host) for host in STORE} == before
    assert serves(OLD)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"cyrus_candidate": "nobody", "cyrus_confirm": "store1"}, "names nobody"),
        ({"cyrus_confirm": "store2"}, "There is no store store2"),
        ({**TOLD, "cyrus_fence_hook": "nowhere.yml"}, "nowhere.yml, which does not exist"),
    ],
)
def test_bad_input_is_one_sentence(extra: dict[str, str], said: str) -> None:
    run = lab.playbook("failover", extra=extra)
    assert run.rc != 0
    assert said in run.output, run.output


def test_a_master_that_only_a_delivery_host_sees_is_left_alone() -> None:
    with cut(lab.address(NEW), lab.address(THIRD), controller()):
        run = failover()
        assert run.rc != 0
        assert "mx1 sees it" in run.output, run.output
        assert role(NEW)["master"] == OLD
    lab.until(lambda: serves(OLD), what=f"{OLD} serves")


def test_the_master_is_gone(whole: None) -> None:
    epoch = int(str(role(OLD)["epoch"])) + 2
    users = [str(user) for user in lab.var("lab_users")]
    hosts = (NEW, THIRD, "mx1", "ns1")
    lease_of(5)
    lab.lab("poweroff", OLD)

    before = {host: files(host) for host in hosts}
    ranked = lab.playbook("failover", "--check", extra={"cyrus_confirm": "store1"})
    assert ranked.rc != 0
    assert re.search(rf"{NEW}: has all up to about 2\d\d\d-", ranked.output), ranked.output
    assert "-e cyrus_candidate=HOST, the first has most" in ranked.output
    # What counts is what the guard has told, not what the inventory says by now.
    checked = failover("--check", "--diff", cyrus_guard_lease=1)
    assert checked.rc == 0, checked.output
    assert f"would go to {NEW}, epoch {epoch}" in checked.output
    assert "nobody may see it for 30 s" in checked.output
    assert {host: files(host) for host in hosts} == before

    ledger = Ledger()
    with SmtpLoad(ledger, users, rate=5):
        failover_killed("Keep the merge base")
        assert not serves(NEW)
        run = failover()
    assert run.rc == 0, run.output
    taken_over(epoch)
    lab.until(lambda: queued() == 0, 120, what="the queue is empty")
    ledger.check_soon(NEW, 60).assert_exactly_once()
    assert ledger.bounces() == []

    again = failover()
    assert again.rc == 0, again.output
    assert again.changed() == 0, again.output
    assert f"{NEW} is master" in again.output
    history = lab.ssh(NEW, "cat /var/lib/cyrus-replication/history.jsonl").stdout
    assert re.search(r'"outcome": "done".*"seconds": {"base": ', history), history

    lab.lab("boot", OLD)
    lab.until(lambda: role(OLD)["role"] == "fenced", 60, what=f"{OLD} is superseded")
    assert role(OLD)["epoch"] == epoch
    assert [host for host in STORE if serves(host)] == [NEW]


def test_a_master_whose_cyrus_is_dead_is_fenced_first(whole: None) -> None:
    epoch = int(str(role(OLD)["epoch"])) + 2
    lab.ssh(OLD, "systemctl kill -s KILL cyrus-imapd; systemctl stop cyrus-imapd")
    run = failover()
    assert run.rc == 0, run.output
    assert "it is fenced over ssh" in run.output
    taken_over(epoch)
    lab.ssh(OLD, "systemctl start cyrus-imapd")
    lab.until(lambda: role(OLD)["role"] == "fenced", 60, what=f"{OLD} is superseded")
    assert not serves(OLD)


HOOK = """---
- name: Switch it off
  ansible.builtin.command:
    cmd: {python} -m tests.lab {verb} {{{{ cyrus_fence_host }}}}
    chdir: {root}
  delegate_to: localhost
  become: false

- name: It is off
  ansible.builtin.set_fact:
    cyrus_fence_hook_done: true
"""


def hook(path: Path, verb: str) -> str:
    path.write_text(HOOK.format(python=lab.BIN / "python", verb=verb, root=lab.ROOT))
    return str(path)


@lab.only_long
def test_a_master_that_nobody_can_fence_is_switched_off(whole: None, tmp_path: Path) -> None:
    epoch = int(str(role(OLD)["epoch"])) + 2
    lose(controller())
    wrong = failover(cyrus_fence_hook=hook(tmp_path / "wrong.yml", "nonsense"))
    assert wrong.rc != 0
    assert "what was done is undone" in wrong.output, wrong.output
    assert role(NEW)["master"] == OLD
    assert "store1" not in lab.ssh("mx1", "postconf -h defer_transports").stdout
    run = failover(cyrus_fence_hook=hook(tmp_path / "right.yml", "poweroff"))
    assert run.rc == 0, run.output
    taken_over(epoch)


@lab.only_long
def test_a_master_that_can_not_keep_its_fence_is_switched_off(whole: None, tmp_path: Path) -> None:
    epoch = int(str(role(OLD)["epoch"])) + 2
    state = "/var/lib/cyrus-replication"
    lab.ssh(OLD, "systemctl stop cyrus-imapd")
    lab.ssh(OLD, f"mount --bind {state} {state} && mount -o remount,bind,ro {state}")
    run = failover(cyrus_fence_hook=hook(tmp_path / "off.yml", "poweroff"))
    assert run.rc == 0, run.output
    taken_over(epoch)


@lab.only_long
@pytest.mark.parametrize("task", DEATHS)
def test_a_controller_that_dies_is_gone_on_with(task: str, whole: None) -> None:
    epoch = int(str(role(OLD)["epoch"])) + 2
    lab.lab("poweroff", OLD)
    failover_killed(task, cyrus_powered_off=OLD)
    again = failover(cyrus_powered_off=OLD)
    assert again.rc == 0, again.output
    taken_over(epoch)


@lab.only_long
def test_what_a_run_has_begun_is_undone_where_that_is_asked_for(whole: None) -> None:
    lab.ssh(OLD, "systemctl stop cyrus-imapd")
    failover_killed("Give the role to the candidate")
    run = failover(cyrus_failover_state="undone")
    assert run.rc == 0, run.output
    lab.ssh(OLD, "systemctl start cyrus-imapd")
    lab.until(lambda: serves(OLD), 60, what=f"{OLD} serves")
    assert "store1" not in lab.ssh("mx1", "postconf -h defer_transports").stdout
    for host in STORE:
        assert lab.ssh(host, "ls /var/lib/cyrus-replication/fence.json", check=False).returncode
