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

from tests.lab.imap import Imap, Literal
from tests.lab.mail import the_store

from . import lab
from .arrivals import inboxes

MASTER, REPLICA = "imap1", "imap2"
CHANNEL = REPLICA
UNIT = f"cyrus-replicator@{CHANNEL}"
STATE = f"/var/lib/cyrus-replication/channels/{CHANNEL}"
HEARTBEAT = f"cyrus-heartbeat-{CHANNEL}"

# A user whose mail has to come through, and one who stands in its way.
CALM, BUSY = "calm", "busy"

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


def drop(admin: Imap, user: str) -> None:
    admin.run("SETACL", f"user/{user}", str(lab.var("cyrus_admin_user")), "lrswipkxtecda")
    admin.run("DELETE", f"user/{user}")


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


@pytest.fixture(scope="module", autouse=True)
def users() -> Iterator[None]:
    """Two of our own, whoever else is there."""
    with the_store().imap("") as admin:
        for user in (CALM, BUSY):
            admin.run("CREATE", f"user/{user}")
    lab.until(lambda: len(inboxes(REPLICA, [CALM, BUSY])) == 2, 20, what="the users there")
    yield
    with the_store().imap("") as admin:
        for user in (CALM, BUSY):
            drop(admin, user)
    lab.until(lambda: not inboxes(REPLICA, [CALM, BUSY]), 20, what="the users gone")


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
    assert arrives(CALM, 10) < 5 * lab.patience()
    assert state()["state"] == "running"
    lab.ssh(REPLICA, f"cp -p /root/index {index}; rm /root/index")


@pytest.mark.parametrize("host", [MASTER, REPLICA])
def test_a_lock_that_is_held_for_long_delays_others_for_seconds(host: str) -> None:
    with held(host, f"user/{BUSY}"):
        log(rf"MAILBOX user.{BUSY}\n")
        time.sleep(1)
        # Once; then the mailbox is aside.
        assert arrives(CALM, 40) < 30 * lab.patience()
        assert arrives(CALM, 20) < 5 * lab.patience()


def test_files_that_a_power_cut_has_spoilt_are_made_anew() -> None:
    lab.ssh(MASTER, f"systemctl stop {UNIT}")
    lab.ssh(
        MASTER,
        f"head -c 122 /dev/zero > {STATE}/journal; head -c 99 /dev/zero > {STATE}/state.json",
    )
    lab.ssh(MASTER, f"systemctl start {UNIT}")
    arrives(CALM, 10)
    assert restarts() == 0


def test_lines_that_are_no_events_stop_nothing_and_are_a_doubt() -> None:
    log(r'nonsense\nUNUSER "calm\nUNUSER cal')
    arrives(CALM, 10)
    doubt = json.loads(lab.ssh(MASTER, f"cat {STATE}/doubt.json").stdout)
    assert "no events" in doubt["reason"]
    lab.ssh(MASTER, f"rm {STATE}/doubt.json")


def test_a_user_who_is_deleted_and_made_again_is_not_blamed() -> None:
    lab.ssh(MASTER, f"systemctl stop {UNIT}")
    with the_store().imap("") as admin:
        for again in range(2):
            if again:
                drop(admin, "rex")
            admin.run("CREATE", "user/rex")
            admin.run("CREATE", "user/rex/B")
    lab.ssh(MASTER, f"systemctl start {UNIT}")
    lab.until(lambda: equal("rex") and len(inboxes(REPLICA, ["rex"])) == 1, 10, what="rex")
    assert not any("rex" in name for name in quarantine())
    # Cyrus deletes no two mailboxes of one name in one second.
    time.sleep(1.1)
    with the_store().imap("") as admin:
        drop(admin, "rex")
    lab.until(lambda: not inboxes(REPLICA, ["rex"]), 10, what="rex gone")
