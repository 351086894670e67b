# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two changes of one store's master at a time, from two controllers: never two masters.

Runs on the lab's hosts with tests.lab.site; each test begins with the hosts' disks as they were.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from . import lab
from .store import STORE, back_to, keep_up, role, serves

SNAPSHOT = "rivals"
OLD, NEW, THIRD = STORE


@pytest.fixture(scope="module", autouse=True)
def saved() -> None:
    assert {role(host)["master"] for host in STORE} == {OLD}
    lab.lab("snapshot", "save", SNAPSHOT)
    lab.until(lambda: serves(OLD), 120, what=f"{OLD} serves")


@pytest.fixture
def whole() -> Iterator[None]:
    """The store is as it was, whatever the test leaves behind."""
    lab.until(lambda: keep_up(OLD), 120, what="every replica keeps up")
    yield
    back_to(SNAPSHOT, OLD)


class Held:
    """A playbook that is held up when it comes to a task, until it may go on."""

    def __init__(self, name: str, task: str, **extra: Any) -> None:
        self._stopped = threading.Event()
        self._group = 0
        self._run: lab.Run | None = None
        self._thread = threading.Thread(target=self._play, args=(name, extra, task))
        self._thread.start()
        assert self._stopped.wait(300), f"{name} does not come to {task}"
        assert self._group, self._run

    def _play(self, name: str, extra: dict[str, Any], task: str) -> None:
        self._run = lab.playbook_met(name, extra, task, self._hold)
        self._stopped.set()

    def _hold(self, group: int) -> None:
        # The task that includes another one may have its name.
        if self._group:
            return
        os.killpg(group, signal.SIGSTOP)
        self._group = group
        self._stopped.set()

    def go_on(self) -> None:
        os.killpg(self._group, signal.SIGCONT)

    def kill(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._group, signal.SIGKILL)

    def ended(self) -> lab.Run:
        self._thread.join(600)
        assert self._run is not None
        return self._run


Hold = Callable[[str, str, str], Held]


@pytest.fixture
def hold(whole: None) -> Iterator[Hold]:
    """A playbook that is to make a host the master, held up; none outlives the test."""
    made: list[Held] = []

    def begin(name: str, task: str, candidate: str) -> Held:
        confirm = {"cyrus_confirm": "store1"} if name == "failover" else {}
        made.append(Held(name, task, cyrus_candidate=candidate, **confirm))
        return made[-1]

    yield begin
    for held in made:
        held.kill()


def masters() -> list[str]:
    return [host for host in STORE if role(host)["role"] == "master"]


def fenced() -> list[str]:
    there = "test -e /var/lib/cyrus-replication/fence.json"
    return [host for host in STORE if lab.ssh(host, there, check=False).returncode == 0]


def switchover(candidate: str, **extra: str) -> lab.Run:
    return lab.playbook("switchover", extra={"cyrus_candidate": candidate, **extra})


def is_master(host: str) -> None:
    assert masters() == [host]
    lab.until(lambda: [other for other in STORE if serves(other)] == [host], 30)
    assert fenced() == []


def test_what_one_switchover_has_fenced_is_its_own_until_that_is_taken_back(hold: Hold) -> None:
    slow = hold("switchover", "Take the role from the old master", THIRD)
    for extra in ({}, {"cyrus_switchover_state": "undone"}):
        other = switchover(NEW, **extra)
        assert other.rc != 0
        said = " ".join(other.output.split())
        assert f"by another run (switchover from {OLD} to {THIRD})" in said, said
        assert other.changed() == 0, other.output
    assert fenced() == [OLD]
    back = switchover(OLD)
    assert back.rc == 0, back.output
    is_master(OLD)
    won = switchover(NEW)
    assert won.rc == 0, won.output
    slow.go_on()
    lost = slow.ended()
    assert lost.rc != 0
    said = " ".join(lost.output.split())
    assert f"Another run has made {NEW} the master of store store1" in said, said
    is_master(NEW)


@lab.only_long
def test_of_two_switchovers_that_have_begun_one_fences(hold: Hold) -> None:
    slow = hold("switchover", "Fence the master", THIRD)
    fast = hold("switchover", "Drain each channel", NEW)
    slow.go_on()
    lost = slow.ended()
    assert lost.rc != 0
    assert "is fenced by switchover since" in " ".join(lost.output.split()), lost.output
    assert fenced() == [OLD]
    fast.go_on()
    won = fast.ended()
    assert won.rc == 0, won.output
    is_master(NEW)


GIVES_WAY = "leaves store store1 to another change of its master"


def test_of_two_failovers_the_one_that_finds_the_other_gives_way(hold: Hold) -> None:
    lab.ssh(OLD, "systemctl stop cyrus-imapd")
    slow = hold("failover", "Fence the candidate", THIRD)
    fast = hold("failover", "Give the role to the candidate", NEW)
    slow.go_on()
    lost = slow.ended()
    fast.go_on()
    won = fast.ended()
    assert lost.rc != 0
    assert f"{NEW} is fenced by a failover" in lost.output, lost.output
    assert GIVES_WAY in " ".join(lost.output.split()), lost.output
    assert won.rc == 0, won.output
    lab.ssh(OLD, "systemctl start cyrus-imapd")
    lab.until(lambda: masters() == [NEW], 30, what=f"{OLD} is superseded")
    assert [host for host in STORE if serves(host)] == [NEW]


@lab.only_long
def test_of_two_failovers_in_step_one_at_most_goes_on(hold: Hold) -> None:
    lab.ssh(OLD, "systemctl stop cyrus-imapd")
    runs = {host: hold("failover", "Fence the candidate", host) for host in (NEW, THIRD)}
    for run in runs.values():
        run.go_on()
    ended = {host: run.ended() for host, run in runs.items()}
    won = [host for host, run in ended.items() if run.rc == 0]
    print("won:", won)
    assert len(won) <= 1
    for host, end in ended.items():
        assert host in won or GIVES_WAY in " ".join(end.output.split()), end.output
    assert set(masters()) <= {OLD, *won}
    if not won:
        again = lab.playbook("failover", extra={"cyrus_candidate": NEW, "cyrus_confirm": "store1"})
        assert again.rc == 0, again.output
    lab.ssh(OLD, "systemctl start cyrus-imapd")
    lab.until(lambda: len(masters()) == 1, 30, what=f"{OLD} is superseded")
    assert [host for host in STORE if serves(host)] == masters() == (won or [NEW])
