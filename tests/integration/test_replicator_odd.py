# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The replicator where something else is odd than a user's mailbox: its own heartbeat, locks that
somebody holds, its files."""

from __future__ import annotations

import json
import shlex
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.imap import Literal
from tests.lab.mail import the_store

from . import lab
from .arrivals import inboxes

MASTER, REPLICA = "imap1", "imap2"
CHANNEL = REPLICA
UNIT = f"cyrus-replicator@{CHANNEL}"
STATE = f"/var/lib/cyrus-replication/channels/{CHANNEL}"
HEARTBEAT = f"cyrus-heartbeat-{CHANNEL}"

_HOLD = """
import fcntl, sys, time
with open(sys.argv[1], "r+b") as file:
    fcntl.lockf(file, fcntl.LOCK_EX)
    print("held", flush=True)
    sys.stdin.read()
"""


def append(user: str) -> None:
    with the_store().imap(user) as session:
        session.run("APPEND", "INBOX", Literal(b"Subject: odd\r\n\r\n"))


def log(text: str) -> None:
    """Written to the channel's log as Cyrus would, by printf."""
    path = f"/var/lib/cyrus/sync/{CHANNEL}/log"
    command = f"setpriv --reuid=cyrus --regid=mail --init-groups tee -a {path}"
    lab.ssh(MASTER, f"printf {shlex.quote(text)} | {command}")


def equal(user: str) -> bool:
    return inboxes(MASTER, [user]) == inboxes(REPLICA, [user])


def arrives(user: str, seconds: float) -> float:
    """How many seconds until a new message of a user is on the replica."""
    append(user)
    begun = time.monotonic()
    lab.until(lambda: equal(user), seconds, 0.1, f"the mail of {user} on the replica")
    print(f"{user}'s mail after {time.monotonic() - begun:.1f} s")
    return time.monotonic() - begun


def quarantine() -> set[str]:
    text = lab.ssh(MASTER, f"cat {STATE}/quarantine.json 2>/dev/null", check=False).stdout
    return {entry["name"] for entry in json.loads(text)["entries"]} if text else set()


def state() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(MASTER, f"cat {STATE}/state.json").stdout)
    return found


def restarts() -> int:
    return int(lab.ssh(MASTER, f"systemctl show -p NRestarts --value {UNIT}").stdout)


def folder(host: str, mailbox: str) -> str:
    command = "setpriv --reuid=cyrus --regid=mail --init-groups /usr/lib/cyrus/bin/mbpath"
    return lab.ssh(host, f"{command} {mailbox}").stdout.strip()


@contextmanager
def held(host: str, mailbox: str) -> Iterator[None]:
    """Somebody works on a mailbox's index and lets nobody else."""
    path = f"{folder(host, mailbox)}/cyrus.index"
    command = lab.ssh_command(host, f"python3 -c {shlex.quote(_HOLD)} {path}")
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        if holder.stdin is None or holder.stdout is None:
            raise RuntimeError("ssh has no pipes")
        holder.stdout.readline()
        try:
            yield
        finally:
            holder.stdin.close()


@pytest.fixture(autouse=True)
def nothing_left() -> Iterator[None]:
    before, held_back = restarts(), quarantine()
    yield
    lab.until(lambda: quarantine() <= held_back, 90, what="an empty quarantine")
    assert restarts() == before
    assert state()["state"] == "running"


def test_a_damaged_heartbeat_stops_nobody() -> None:
    index = f"{folder(REPLICA, HEARTBEAT)}/cyrus.index"
    lab.ssh(REPLICA, f"cp -p {index} /root/index; truncate -s 64 {index}")
    lab.until(lambda: HEARTBEAT in quarantine(), 30, what="the heartbeat in quarantine")
    assert arrives("ben", 10) < 5
    assert state()["state"] == "running"
    lab.ssh(REPLICA, f"cp -p /root/index {index}; rm /root/index")


@pytest.mark.parametrize("host", [MASTER, REPLICA])
def test_a_lock_that_is_held_for_long_delays_others_for_seconds(host: str) -> None:
    with held(host, "user/carla"):
        log(r"MAILBOX user.carla\n")
        time.sleep(1)
        # Once; then the mailbox is aside.
        assert arrives("ben", 40) < 30
        assert arrives("ben", 20) < 5


def test_files_that_a_power_cut_has_spoilt_are_made_anew() -> None:
    lab.ssh(MASTER, f"systemctl stop {UNIT}")
    lab.ssh(
        MASTER,
        f"head -c 122 /dev/zero > {STATE}/journal; head -c 99 /dev/zero > {STATE}/state.json",
    )
    lab.ssh(MASTER, f"systemctl start {UNIT}")
    arrives("ben", 10)
    assert restarts() == 0


def test_lines_that_are_no_events_stop_nothing_and_are_a_doubt() -> None:
    log(r'nonsense\nUNUSER "ben\nUNUSER be')
    arrives("ben", 10)
    doubt = json.loads(lab.ssh(MASTER, f"cat {STATE}/doubt.json").stdout)
    assert "no events" in doubt["reason"]
    lab.ssh(MASTER, f"rm {STATE}/doubt.json")


def test_a_user_who_is_deleted_and_made_again_is_not_blamed() -> None:
    lab.ssh(MASTER, f"systemctl stop {UNIT}")
    with the_store().imap("") as admin:
        for again in range(2):
            if again:
                admin.run("DELETE", "user/rex")
            admin.run("CREATE", "user/rex")
            admin.run("CREATE", "user/rex/B")
            admin.run("SETACL", "user/rex", str(lab.var("cyrus_admin_user")), "lrswipkxtecda")
    lab.ssh(MASTER, f"systemctl start {UNIT}")
    lab.until(lambda: equal("rex") and len(inboxes(REPLICA, ["rex"])) == 1, 10, what="rex")
    assert not any("rex" in name for name in quarantine())
    with the_store().imap("") as admin:
        admin.run("DELETE", "user/rex")
    lab.until(lambda: not inboxes(REPLICA, ["rex"]), 10, what="rex gone")
