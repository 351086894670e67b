# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A planned change of master on real hosts, under load, and with each phase made to fail.

Runs on the lab's hosts with tests.lab.site; leaves the store with a master, whichever it is.
TEST_LONG=1 plays more rounds, and ends a run at more points.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import lab
from .ledger import Ledger, queued
from .load import AppendLoad, SmtpLoad, Writers, append, log_in, message
from .store import STORE, files, in_sync, role, serves, the_name

ROUNDS = 3 if lab.LONG else 1
RECORD = "/var/lib/cyrus-replication/role.json"
# In each a run is killed when it comes to the task; the first two by default.
DEATHS = ("Drain each channel", "Give the role to the candidate")
MORE_DEATHS = (
    "Fence the master",
    "Take the role from the old master",
    "Point the traffic to the new master",
    "Release deliveries to the store",
    "Send a probe",
    "Append to the history",
)


def master() -> str:
    """The one that all of the store's records name."""
    (found,) = {str(role(host)["master"]) for host in STORE}
    return found


def other() -> str:
    return "imap2" if master() == "imap1" else "imap1"


def switchover(candidate: str, *args: str, **extra: object) -> lab.Run:
    return lab.playbook("switchover", *args, extra={"cyrus_candidate": candidate, **extra})


def switchover_killed(candidate: str, task: str) -> None:
    lab.playbook_killed("switchover", {"cyrus_candidate": candidate}, task)


def settled(expected: str, tmp_path: Path) -> None:
    """The store has this master and no other, nothing is held or fenced, all copies are equal."""
    assert master() == expected
    assert [host for host in STORE if serves(host)] == [expected]
    for host in STORE:
        assert lab.ssh(host, "ls /var/lib/cyrus-replication/fence.json", check=False).returncode
    assert "store1" not in lab.ssh("mx1", "postconf -h defer_transports").stdout
    assert in_sync(tmp_path)


def test_check_mode_tells_and_changes_nothing() -> None:
    hosts = [*STORE, "mx1", "ns1"]
    before = {host: files(host) for host in hosts}
    run = switchover(other(), "--check", "--diff")
    assert run.rc == 0, run.output
    assert f"would go from {master()} to {other()}" in run.output
    assert f" is {lab.address(other())} at {lab.address('ns1')}" in run.output
    assert run.changed() == 1, run.output
    assert {host: files(host) for host in hosts} == before


def behind_the_fence(output: str) -> list[str]:
    """The tasks that did something while nobody took writes and deliveries were held."""
    tasks = re.findall(
        r"^TASK \[(?:mailops\.cyrus\.\w+ : )?(.*?)\] \*(.*?)(?=^TASK |\Z)", output, re.M | re.S
    )
    done = [name for name, said in tasks if re.search(r"^(?:ok|changed): \[", said, re.M)]
    return done[done.index("Fence the master") + 1 : done.index("Release deliveries to the store")]


def test_there_and_back_under_load(tmp_path: Path) -> None:
    users = [str(user) for user in lab.var("lab_users")]
    ledger = Ledger()
    with (
        SmtpLoad(ledger, users, rate=10),
        AppendLoad(ledger, users[:4], the_name, rate=4),
        Writers(STORE, users[-1], ledger) as writers,
    ):
        for _round in range(2 * ROUNDS):
            candidate = other()
            run = switchover(candidate)
            assert run.rc == 0, run.output
            assert master() == candidate
            assert len(behind_the_fence(run.output)) <= 12, behind_the_fence(run.output)
    turns = [turn.host for turn in writers.assert_one_at_a_time()]
    assert len(turns) == 1 + 2 * ROUNDS, turns
    print("no host took writes for", [round(seconds, 1) for seconds in writers.outages()], "s")
    lab.until(lambda: queued() == 0, 120, what="the queue is empty")
    settled(candidate, tmp_path)
    for host in STORE:
        ledger.check_soon(host, 60).assert_exactly_once()
    assert ledger.bounces() == []


def test_again_changes_nothing() -> None:
    run = switchover(master())
    assert run.rc == 0, run.output
    assert run.changed() == 0, run.output
    assert f"{master()} is master of store store1 already" in run.output
    undone = switchover(master(), cyrus_switchover_state="undone")
    assert undone.rc != 0
    assert "can't be taken back: run switchover with another host" in " ".join(
        undone.output.split()
    )
    assert undone.changed() == 0, undone.output


def test_setup_after_a_switchover_changes_nothing() -> None:
    before = {host: role(host) for host in STORE}
    run = lab.playbook("setup")
    assert run.rc == 0, run.output
    assert run.changed() == 0, run.output
    assert {host: role(host) for host in STORE} == before


@contextmanager
def broken(*commands: tuple[str, str, str]) -> Iterator[None]:
    """Each is a host, what breaks it, and what mends it."""
    for host, wrong, _right in commands:
        lab.ssh(host, wrong)
    try:
        yield
    finally:
        for host, _wrong, right in commands:
            lab.ssh(host, right)


@contextmanager
def kept_back(host: str, channel: str, user: str) -> Iterator[None]:
    """A user whom an administrator does not let through to a replica."""
    named: dict[str, Any] = {"channel": channel, "user": user}
    done = lab.module(host, "quarantine", state="present", reason="under examination", **named)
    assert not done.get("failed"), done
    try:
        yield
    finally:
        lab.module(host, "quarantine", state="released", **named)


def test_all_reasons_at_once_and_nothing_changed() -> None:
    now, candidate = master(), other()
    note = '{"what": "a backup", "since": "2026-11-01T10:00:00Z"}'
    breaks = (
        (now, f"touch {paused(candidate)}", f"rm {paused(candidate)}"),
        ("mx1", "systemctl stop postfix", "systemctl start postfix"),
        ("ns1", "systemctl stop named", "systemctl start named"),
        (
            candidate,
            f"echo '{note}' > /var/lib/cyrus-replication/activity-backup.json",
            "rm /var/lib/cyrus-replication/activity-backup.json",
        ),
        (
            now,
            "echo 'partition-extra: /var/spool/cyrus/extra' >> /etc/imapd.conf",
            "sed -i '/^partition-extra:/d' /etc/imapd.conf",
        ),
        (
            "imap3",
            f'sed -i.kept \'s/"epoch": [0-9]*/"epoch": 1/\' {RECORD}',
            f"mv {RECORD}.kept {RECORD}",
        ),
    )
    told = (
        "is paused",
        "mx1",
        "name server",
        "certificate",
        f"{candidate}: a backup is under way",
        f"{candidate} has no partition extra",
        "imap3 is in epoch 1",
        "user eva is in quarantine of channel imap3",
        "make room",
    )
    with lab.unguarded(["imap3"]), kept_back(now, "imap3", "eva"), broken(*breaks):
        before = {host: files(host) for host in STORE}
        for mode in ((), ("--check",)):
            run = switchover(candidate, *mode, cyrus_min_certificate_days=9999, cyrus_min_free=100)
            assert run.rc != 0
            for said in told:
                assert said in " ".join(run.output.split()), (said, run.output)
            assert {host: files(host) for host in STORE} == before
            assert master() == now
        assert serves(now)


@lab.only_long
def test_what_is_in_quarantine_and_accepted_is_archived_first(tmp_path: Path) -> None:
    now, candidate = master(), other()
    ledger = Ledger()
    with kept_back(now, candidate, "eva"):
        write(now, "eva", ledger)
        refused = switchover(candidate)
        assert refused.rc != 0
        assert "accept it by name in cyrus_accept_quarantine" in refused.output, refused.output
        run = switchover(candidate, cyrus_accept_quarantine=["eva"])
        assert run.rc == 0, run.output
    found = re.search(rf"eva was archived on {now}: (\S+), \d+ messages", run.output)
    assert found, run.output
    (kept,) = ledger.accepted()
    assert lab.ssh(now, f"grep -rlF '{kept.ident}' {found.group(1)}").stdout
    assert master() == candidate
    differs = lab.playbook("parity")
    assert "message user.eva" in differs.output, differs.output
    # With the next change Cyrus brings to the new master what its replicas had; twice, where the
    # change has got the UID that the old master had given out.
    write(candidate, "eva", ledger)
    lab.until(lambda: in_sync(tmp_path), 60, what="all copies are equal")
    assert ledger.check_soon(candidate, 60).lost == []
    # What an administrator held back then is forgotten when the host is master again.
    back = switchover(now)
    assert back.rc == 0, back.output
    settled(now, tmp_path)


def write(host: str, user: str, ledger: Ledger) -> None:
    """A message that an IMAP client appends."""
    ident = ledger.new_ident()
    with log_in(lab.address(host), user, 10) as session:
        append(session, message(ident, user, 24))
    ledger.accept(ident, user, "imap", lab.address(host))


def quiet(host: str, command: str) -> None:
    lab.ssh(host, command)


def paused(replica: str) -> str:
    return f"/var/lib/cyrus-replication/channels/{replica}/paused"


def unreachable(host: str) -> Callable[[int], None]:
    return lambda _group: lab.lab("link", host, "down")


@pytest.mark.parametrize(
    ("task", "host"),
    [("Hold deliveries to the store", "mx1"), ("Drain each channel", "{candidate}")],
)
def test_a_host_that_goes_away_before_the_move_undoes_everything(
    task: str, host: str, tmp_path: Path
) -> None:
    now, candidate = master(), other()
    gone = host.format(candidate=candidate)
    try:
        run = lab.playbook_met(
            "switchover",
            {"cyrus_candidate": candidate, "cyrus_switchover_timeout": 15},
            task,
            unreachable(gone),
        )
    finally:
        lab.lab("link", gone, "up")
    assert run.rc != 0
    assert gone in run.output
    assert "is not changed" in run.output, run.output
    assert master() == now
    lab.until(lambda: serves(now), what=f"{now} serves again")
    if gone == "mx1":
        undone = switchover(candidate, cyrus_switchover_state="undone")
        assert undone.rc == 0, undone.output
    settled(now, tmp_path)


def test_a_replica_that_is_gone_when_the_role_moves_holds_nobody_up(tmp_path: Path) -> None:
    candidate = other()
    try:
        run = lab.playbook_met(
            "switchover",
            {"cyrus_candidate": candidate, "cyrus_switchover_timeout": 20},
            "Give the role to the candidate",
            unreachable("imap3"),
        )
        assert run.rc != 0
        assert "imap3" in run.output
        assert "run switchover again" in run.output, run.output
        assert serves(candidate)
        assert the_name() == lab.address(candidate)
        undone = switchover(candidate, cyrus_switchover_state="undone")
        assert undone.rc != 0
        assert "can't be taken back" in undone.output, undone.output
    finally:
        lab.lab("link", "imap3", "up")
    again = switchover(candidate)
    assert again.rc == 0, again.output
    settled(candidate, tmp_path)


def test_a_name_server_that_refuses_behind_the_move_is_gone_on_with(tmp_path: Path) -> None:
    candidate = other()
    run = lab.playbook_met(
        "switchover",
        {"cyrus_candidate": candidate},
        "Give the role to the candidate",
        lambda _group: quiet("ns1", "systemctl stop named"),
    )
    lab.ssh("ns1", "systemctl start named")
    assert run.rc != 0
    assert "run switchover again" in run.output, run.output
    # The table at the end tells what is, not what was.
    assert re.search(rf"{candidate} +master +{role(candidate)['epoch']} ", run.output), run.output
    assert master() == candidate
    again = switchover(candidate)
    assert again.rc == 0, again.output
    settled(candidate, tmp_path)


@pytest.mark.parametrize("task", DEATHS + (MORE_DEATHS if lab.LONG else ()))
def test_a_controller_that_dies_is_gone_on_with(task: str, tmp_path: Path) -> None:
    now, candidate = master(), other()
    if task == DEATHS[-1]:
        # A torn history hides no unfinished change.
        lab.ssh(now, 'printf \'{"epoch": 3, "fro\' >> /var/lib/cyrus-replication/history.jsonl')
    with Writers(STORE, str(lab.var("lab_users")[-1])) as writers:
        switchover_killed(candidate, task)
        again = switchover(candidate)
    assert again.rc == 0, again.output
    assert [turn.host for turn in writers.assert_one_at_a_time()] == [now, candidate]
    settled(candidate, tmp_path)


def switchover_stopped(candidate: str, host: str, point: str, tmp_path: Path) -> lab.Run:
    """A run in which a module is killed on one host when it comes to a point."""
    path = tmp_path / "stopping.yml"
    variables = {"ansible_python_interpreter": lab.stopping(host, f"{point}:1")}
    path.write_text(json.dumps({"all": {"hosts": {host: variables}}}))
    return switchover(candidate, "-i", str(path))


def test_a_module_that_is_killed_before_the_record_is_undone(tmp_path: Path) -> None:
    now, candidate = master(), other()
    run = switchover_stopped(candidate, now, "stopped", tmp_path)
    assert run.rc != 0
    assert "is not changed, and what was done is undone" in " ".join(run.output.split())
    settled(now, tmp_path)


def test_a_module_that_is_killed_behind_the_record_is_gone_on_with(tmp_path: Path) -> None:
    now, candidate = master(), other()
    run = switchover_stopped(candidate, now, "recorded", tmp_path)
    assert run.rc != 0
    assert "run switchover again" in " ".join(run.output.split()), run.output
    assert [host for host in STORE if serves(host)] == [candidate]
    again = switchover(candidate)
    assert again.rc == 0, again.output
    settled(candidate, tmp_path)


_HOOK = """
- name: Note what is asked for
  ansible.builtin.lineinfile:
    path: /root/asked
    create: true
    mode: "0600"
    line: "{{ cyrus_mta_action }}"
  when: inventory_hostname == 'mx1'

- name: Refuse
  ansible.builtin.fail:
    msg: the queue is frozen
  when: cyrus_mta_action == refused and inventory_hostname == 'mx1'
"""


@pytest.mark.parametrize("refused", ["hold", "nothing"] if lab.LONG else ["hold"])
def test_deliveries_are_held_by_the_sites_own_tasks(refused: str, tmp_path: Path) -> None:
    now, candidate = master(), other()
    hook = tmp_path / "hook.yml"
    hook.write_text(_HOOK)
    own = {"cyrus_mta_driver": "none", "cyrus_mta_hook": str(hook), "refused": refused}
    run = switchover(candidate, **own)
    asked = lab.ssh("mx1", "cat /root/asked; rm /root/asked").stdout.split()
    assert asked == ["hold", "release"]
    assert (run.rc == 0) == (refused == "nothing"), run.output
    if run.rc:
        assert "hold: the queue is frozen" in run.output
        assert "is not changed, and what was done is undone" in " ".join(run.output.split())
    settled(now if run.rc else candidate, tmp_path)


@lab.only_long
def test_a_run_that_died_is_undone_by_naming_the_master(tmp_path: Path) -> None:
    now, candidate = master(), other()
    switchover_killed(candidate, "Drain each channel")
    run = switchover(now)
    assert run.rc == 0, run.output
    settled(now, tmp_path)


def test_a_run_that_died_is_undone_where_that_is_asked_for(tmp_path: Path) -> None:
    now, candidate = master(), other()
    switchover_killed(candidate, "Drain each channel")
    assert not serves(now)
    shown = lab.playbook("status")
    assert re.search(rf"{now} +fenced", shown.output), shown.output
    run = switchover(candidate, cyrus_switchover_state="undone")
    assert run.rc == 0, run.output
    settled(now, tmp_path)


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({}, "Name the host that is to become master"),
        ({"cyrus_candidate": "nobody"}, "names nobody"),
        ({"cyrus_candidate": "mx1"}, "names mx1"),
        ({"cyrus_candidate": "imap2", "cyrus_hosts": "nogroup"}, "there is no group nogroup"),
        ({"cyrus_candidate": "imap2", "cyrus_switchover_state": "maybe"}, "cyrus_switchover_state"),
        ({"cyrus_candidate": "imap2", "cyrus_mta_hook": "nowhere.yml"}, "which does not exist"),
    ],
)
def test_bad_input_is_one_sentence(extra: dict[str, str], said: str) -> None:
    run = lab.playbook("switchover", extra=extra)
    assert run.rc != 0
    assert said in run.output, run.output
    assert run.changed() == 0 or "nogroup" in said


def test_a_probe_without_a_mailbox_is_refused() -> None:
    run = switchover(other(), "--check", cyrus_probe_recipient="none.such@example.org")
    assert run.rc != 0
    said = " ".join(run.output.split())
    assert f"no probe can arrive on {master()}: none.such has no mailbox" in said, said
    assert "(1 reason)" in said, said
    assert run.changed() == 0, run.output


def test_a_probe_that_does_not_arrive_is_told_in_one_sentence() -> None:
    user = lab.var("lab_users")[0]
    sought = {"user": user, "message_id": "<never@sent>", "timeout": 0.5, "expected": 1}
    found = lab.module(master(), "arrival_info", **sought)
    assert found["failed"]
    assert found["msg"].startswith("0 instead of 1 of the message <never@sent> came into INBOX of")


def test_a_limit_is_refused() -> None:
    run = switchover("imap2", "--limit", "imap1")
    assert run.rc != 0
    assert "without --limit" in run.output


@lab.only_long
def test_behind_another_ones_record_nothing_is_undone(tmp_path: Path) -> None:
    candidate = other()
    (third,) = set(STORE) - {master(), candidate}
    switchover_killed(candidate, "Give the role to the candidate")
    for extra in ({}, {"cyrus_switchover_state": "undone"}):
        run = switchover(third, **extra)
        assert run.rc != 0
        said = " ".join(run.output.split())
        assert f"complete that change first, with -e cyrus_candidate={candidate}" in said, said
        assert "(1 reason)" in said, said
        assert run.changed() == 0, run.output
    run = switchover(candidate)
    assert run.rc == 0, run.output
    settled(candidate, tmp_path)
