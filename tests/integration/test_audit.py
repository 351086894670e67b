# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was dropped from a replication log is found, by whom the audit names; and where the audit
does not know, everything is compared."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab.imap import Imap, Literal
from tests.lab.mail import generate, the_store

from . import lab
from .arrivals import inboxes

MASTER, REPLICA = "imap1", "imap2"
CHANNEL = REPLICA
LOG = f"/var/lib/cyrus/sync/{CHANNEL}/log"
STATE = "/var/lib/cyrus-replication"
USERS = [f"u{number:05}" for number in range(1, 41)]
LOST, ASIDE, OTHER, BUSY = USERS[:4]

_LIBRARY = "/usr/lib/cyrus-replication/cyrus-replication.pyz"
_COLLECT = f"""
import sys
sys.path.insert(0, {_LIBRARY!r})
from cyrus_replication import _audit
_audit.collect()
"""
# What was touched until now is made to have been so an hour ago.
_AGE = f"""
import json
path = "{STATE}/audit.json"
audit = json.load(open(path))
audit["since"] -= 7200
for names in audit["touched"].values():
    names.update((name, at - 3600) for name, at in names.items())
json.dump(audit, open(path, "w"))
"""


def python(code: str) -> None:
    lab.ssh(MASTER, f"python3 -I -c {shlex.quote(code)}")


def drain(compare: str = "touched", check: bool = False) -> dict[str, Any]:
    return lab.module(
        MASTER, "channel", check, name=CHANNEL, state="drained", compare=compare, timeout=20
    )


def session(user: str = "") -> Any:
    return the_store().imap(user)


def append(user: str, subject: str = "audit") -> None:
    with session(user) as imap:
        imap.run("APPEND", "INBOX", Literal(f"Subject: {subject}\r\n\r\n".encode()))


def equal(*users: str) -> bool:
    return inboxes(MASTER, users) == inboxes(REPLICA, users)


def fresh() -> None:
    """All was found equal just now, and nobody was touched for an hour."""
    run = lab.playbook("parity")
    assert run.rc == 0, run.output
    python(_COLLECT)
    python(_AGE)


@contextmanager
def paused() -> Iterator[None]:
    """What is logged waits, where a test gets at it."""
    lab.module(MASTER, "channel", name=CHANNEL, state="paused")
    yield
    lab.module(MASTER, "channel", name=CHANNEL, state="started")


def mend(user: str) -> None:
    """Bring a user to the replica who is not in any log."""
    append(user, "again")
    lab.until(lambda: equal(user), 30, what=f"{user} on the replica")


@pytest.fixture(scope="module", autouse=True)
def users() -> None:
    generate(the_store(), len(USERS), seed=5, folders=2, count=2)
    for user in (LOST, ASIDE):
        append(user)
    lab.until(lambda: drain("none")["left"] == [], 60, what="a replica with all users")
    fresh()


def test_plain_logs_do_not_show_what_was_dropped_from_them() -> None:
    with paused():
        append(LOST)
        append(ASIDE)
        lab.ssh(MASTER, f"sed -i '/{LOST}/d' {LOG}")
        # What the manual advises where a log blocks: away with it, and replay it later. Only what
        # is looked for here, not a heartbeat, for which the channel would wait.
        lab.ssh(MASTER, f"grep {ASIDE} {LOG} > {LOG}.aside && sed -i '/{ASIDE}/d' {LOG}")
    waits = drain("none")
    assert (waits["left"], waits["compared"]) == ([], None), waits
    assert not equal(LOST)
    assert not equal(ASIDE)


def test_the_audit_finds_it() -> None:
    found = drain()
    assert found["failed"], found
    assert LOST in found["msg"]
    assert ASIDE in found["msg"]
    compared = found["compared"]
    assert (compared["scope"], compared["why"]) == ("touched", None)
    assert compared["users"] < len(USERS) / 2
    differ = {difference["user"] for difference in found["report"]["differences"]}
    assert differ == {LOST, ASIDE}
    lab.ssh(MASTER, f"runuser -u cyrus -- sh -c 'cat {LOG}.aside >> {LOG}'; rm {LOG}.aside")
    lab.until(lambda: equal(ASIDE), 30, what="what was aside, on the replica")
    mend(LOST)
    after = drain()
    assert after["left"] == [], after
    assert after["report"]["in_sync"] is True


def test_everything_that_a_user_can_touch() -> None:
    # Another one each time that this is run on the same hosts.
    new = f"INBOX/new{time.time_ns()}"

    def touch(imap: Imap) -> None:
        imap.run("CREATE", new)
        imap.run("SUBSCRIBE", new)
        imap.run("SELECT", "INBOX")
        imap.run("STORE 1 +FLAGS (\\Flagged $Audit)")
        imap.run("SETACL", new, f"{OTHER} lr")

    fresh()
    quiet = drain()
    assert quiet["compared"]["scope"] == "touched"
    assert quiet["compared"]["users"] == 0
    with session(BUSY) as imap:
        touch(imap)
    with session() as admin:
        admin.run("SETQUOTA", f"user/{OTHER}", "(STORAGE 100000)")
        admin.run('SETMETADATA "" (/shared/comment "audit")')
    loud = drain()
    assert loud["left"] == [], loud
    assert loud["compared"]["scope"] == "touched"
    # Whose root gets its first limit is touched as well.
    assert loud["compared"]["users"] in (1, 2)
    assert loud["compared"]["mailboxes"] >= 3


def test_check_mode_changes_nothing() -> None:
    append(BUSY)
    files = f"{STATE}/audit.json {STATE}/audit.lock /var/lib/cyrus/sync/audit/log"
    told = f"systemctl stop cyrus-guard 2>/dev/null; sha256sum {files}; ls {STATE}"
    before = lab.ssh(MASTER, told, check=False).stdout
    found = drain(check=True)
    assert found["compared"]["scope"] == "touched"
    assert 0 < found["compared"]["users"] < 5
    after = lab.ssh(MASTER, told, check=False).stdout
    lab.ssh(MASTER, "systemctl start cyrus-guard 2>/dev/null", check=False)
    # Its own heartbeat may have been logged meanwhile.
    logged = "/var/lib/cyrus/sync/audit/log"
    assert [line for line in after.splitlines() if logged not in line] == [
        line for line in before.splitlines() if logged not in line
    ]


def why(*told: str) -> None:
    """Everything is compared, and it is said why."""
    found = drain()
    assert found["compared"]["scope"] == "all", found
    assert found["compared"]["users"] >= len(USERS)
    for words in told:
        assert words in found["compared"]["why"]


@lab.only_long
def test_a_process_that_was_killed() -> None:
    fresh()
    with session(BUSY):
        lab.ssh(MASTER, "pkill -KILL -n -x imapd")
    lab.until(
        lambda: lab.ssh(
            MASTER, "journalctl -o cat -t cyrus/master --since -30s | grep 'signaled to death'"
        )
    )
    why("may have lost an event", "signaled to death by signal 9")


def test_an_audit_that_cyrus_cannot_write() -> None:
    fresh()
    folder = "/var/lib/cyrus/sync/audit"
    lab.ssh(MASTER, f"chown -R root:root {folder}")
    append(BUSY)
    why("does not belong to cyrus")
    lab.ssh(MASTER, f"chown -R cyrus:mail {folder}")
    why("Cyrus lost an event")
    fresh()
    assert drain()["compared"]["scope"] == "touched"


@lab.only_long
def test_a_doubt_and_the_changes_of_imapd_conf() -> None:
    fresh()
    doubt = {"since": "2099-01-01T00:00:00Z", "reason": "somebody had a doubt"}
    lab.ssh(MASTER, f"cat > {STATE}/doubt.json", data=json.dumps(doubt))
    why("somebody had a doubt")
    lab.ssh(MASTER, f"rm {STATE}/doubt.json")
    with session(BUSY):
        # A process that began before the file was changed; who knows what it has read.
        lab.ssh(MASTER, "touch /etc/imapd.conf")
        time.sleep(0.1)
        python(_COLLECT)
        why("imapd.conf was changed")


@lab.only_long
def test_without_a_comparison_that_found_all_equal() -> None:
    parity = f"{STATE}/parity/{CHANNEL}.json"
    told = lab.ssh(MASTER, f"cat {parity}").stdout
    for changed, reason in (
        ({"in_sync": False}, "did not find all equal"),
        ({"epoch": 99}, "was in epoch 99"),
    ):
        lab.ssh(MASTER, f"cat > {parity}", data=json.dumps({**json.loads(told), **changed}))
        why(reason)
    lab.ssh(MASTER, f"rm {parity}")
    why("never compared in full")
