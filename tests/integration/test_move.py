# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The role of master moved between two hosts and back, by one call each, also where a call is
killed half way, and what keeps it from being moved.

TEST_LONG=1 kills it at more points.
"""

from __future__ import annotations

import io
import itertools
import json
import re
import shlex
import subprocess
import tarfile
import uuid
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.imap import Literal
from tests.lab.mail import generate, the_store

from . import lab

HOSTS = ("imap1", "imap2")
STATE = "/var/lib/cyrus-replication"
USER = "u00001"
LIBRARY = "/root/library"
POINTS = (
    ("stopped", "recorded", "configured", "reloaded") if lab.LONG else ("recorded", "configured")
)
# Runs what the module role runs, where a test can have it killed at a point.
SCRIPT = """
import json, sys
from library import _move, _role
given = json.loads(sys.argv[1])
lists = {key: given.pop(key) for key in ("drained", "proven")}
record = _role.Record(since="2026-01-01T00:00:00Z", **given)
_move.carry_out(_move.Move(record, "test", **lists), 60)
"""


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    generate(the_store(), 3, seed=4, folders=1, count=3)
    yield
    if master() != HOSTS[0]:
        there(HOSTS[1], HOSTS[0])
    run = lab.playbook("setup")
    assert run.rc == 0, run.output


def record(host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(host, f"cat {STATE}/role.json").stdout)
    return found


def master() -> str:
    return str(max((record(host) for host in HOSTS), key=lambda found: found["epoch"])["master"])


def wanted(host: str, to: str, epoch: int) -> dict[str, Any]:
    return {
        "store": "store1",
        "host": host,
        "role": "master" if host == to else "replica",
        "master": to,
        "epoch": epoch,
        "drained": [] if host == to else [to],
        "proven": [other(to)] if host == to else [],
    }


def other(host: str) -> str:
    return HOSTS[1 - HOSTS.index(host)]


def role(host: str, to: str, epoch: int, **options: Any) -> dict[str, Any]:
    asked = {**wanted(host, to, epoch), "configure": True, "reason": "test", **options}
    return lab.module(host, "role", **asked)


def fence(host: str) -> dict[str, Any]:
    done = lab.module(host, "fence", by="switchover", reason="test")
    assert not done.get("failed"), done["msg"]
    return done


def drain(old: str, new: str) -> None:
    log = f"/var/lib/cyrus/sync/{new}/log"
    lab.until(
        lambda: lab.ssh(old, f"test ! -e {log} -a ! -e {log}-run", check=False).returncode == 0, 30
    )


def there(old: str, new: str) -> list[dict[str, Any]]:
    epoch = record(old)["epoch"] + 1
    seconds = [fence(old)]
    drain(old, new)
    seconds += [role(host, new, epoch) for host in (old, new)]
    for done in seconds:
        assert not done.get("failed"), done["msg"]
    follow(new, epoch)
    return seconds


def follow(new: str, epoch: int) -> None:
    """The replicas that the lab has besides these two."""
    for host in set(lab.hosts()) - set(HOSTS):
        done = role(host, new, epoch, drained=[])
        assert not done.get("failed"), done["msg"]


def replicated() -> None:
    """A change on the master, whoever that is, comes to the other host."""
    word = uuid.uuid4().hex
    store = the_store()
    with store.imap(USER) as session:
        session.run("APPEND", "INBOX", Literal(f"Subject: moved\r\n\r\n{word}\r\n".encode()))
    find = f"grep -rl {word} /var/spool/cyrus/mail | wc -l"
    lab.until(lambda: lab.ssh(other(store.master), find).stdout.strip() == "1", 30)


def settled(new: str) -> None:
    """Both hosts are what they have to be, and nothing is left to do."""
    replicated()
    old = other(new)
    units = "systemctl list-units --plain --no-legend 'cyrus-link@*' 'cyrus-replicator@*'"
    listed = {host: re.findall(r"cyrus-\w+@\w+\.", lab.ssh(host, units).stdout) for host in HOSTS}
    pair = [f"cyrus-link@{old}.", f"cyrus-replicator@{old}."]
    assert [unit for unit in listed[new] if old in unit] == pair
    assert listed[old] == ["cyrus-link@server."]
    assert {record(host)["master"] for host in HOSTS} == {new}
    assert lab.ssh(old, f"ls {STATE}/fence.json", check=False).returncode != 0
    # No process is left that has read the imapd.conf of the role before.
    for host, found in (("sync_log: 0", old), ("sync_log: 1", new)):
        assert host in lab.ssh(found, "cat /etc/imapd.conf").stdout


def library(host: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(lab.ROOT / "plugins" / "module_utils", "library")
    unpack = lab.ssh_command(host, f"mkdir -p {LIBRARY} && tar -x -C {LIBRARY}")
    subprocess.run(unpack, check=True, input=packed.getvalue(), timeout=60)


def killed(host: str, to: str, epoch: int, point: str) -> None:
    argument = shlex.quote(json.dumps(wanted(host, to, epoch)))
    done = lab.ssh(
        host,
        f"cd {LIBRARY} && CYRUS_REPLICATION_STOP_AT={point}:1 python3 - {argument}; exit $?",
        check=False,
        data=SCRIPT,
    )
    assert done.returncode == 137, done.stderr


def test_there_and_back_with_a_change_after_each() -> None:
    for old, new in (HOSTS, HOSTS[::-1]):
        fenced, left, taken = there(old, new)
        print(
            f"\n{old} to {new}: fenced in {fenced['seconds']:.2f} s, "
            f"replica in {left['seconds']:.2f} s, master in {taken['seconds']:.2f} s"
        )
        settled(new)
        epoch = record(new)["epoch"]
        for host in HOSTS:
            again = role(host, new, epoch)
            assert not again["changed"], again
    run = lab.playbook("setup")
    assert (run.rc, run.changed()) == (0, 0), run.output


@lab.only_long
def test_seeds_what_is_not_proven() -> None:
    fence("imap1")
    drain("imap1", "imap2")
    epoch = record("imap1")["epoch"] + 1
    assert not role("imap1", "imap2", epoch).get("failed")
    lab.ssh("imap1", "systemctl stop cyrus-link@server")
    assert not role("imap2", "imap2", epoch, proven=[]).get("failed")
    follow("imap2", epoch)
    log = lab.ssh("imap2", "cat /var/lib/cyrus/sync/imap1/log*").stdout
    assert f"USER {USER}" in log
    lab.ssh("imap1", "systemctl start cyrus-link@server")
    replicated()
    there("imap2", "imap1")


def test_killed_at_any_point_it_is_completed_by_the_next_call() -> None:
    for host in HOSTS:
        library(host)
    sides = itertools.cycle([HOSTS, HOSTS[::-1]])
    for point, (old, new) in zip(POINTS, sides, strict=False):
        fence(old)
        drain(old, new)
        epoch = record(old)["epoch"] + 1
        for host in (old, new):
            killed(host, new, epoch, point)
            done = role(host, new, epoch)
            assert not done.get("failed"), done["msg"]
        follow(new, epoch)
        settled(new)


def test_what_a_host_has_seen_when_it_was_master_before_does_not_count() -> None:
    old, new = HOSTS if master() == HOSTS[0] else HOSTS[::-1]
    state = f"{STATE}/channels/{old}/state.json"
    beat = {"interval": 2, "written": 1.0, "seen": 1.0, "delay": 0.1}
    told = {"channel": old, "replica": old, "state": "stopped", "since": "2026-01-01T00:00:00Z"}
    text = json.dumps({**told, "heartbeat": beat})
    lab.ssh(new, f"mkdir -p $(dirname {state}); cat > {state}", data=text)
    fence(old)
    drain(old, new)
    epoch = record(old)["epoch"] + 1
    assert not role(old, new, epoch).get("failed")
    # No heartbeat arrives.
    lab.ssh(old, "systemctl stop cyrus-link@server")
    assert not role(new, new, epoch).get("failed")
    follow(new, epoch)
    channels = lab.module(new, "channel_info")["channels"]
    (found,) = (channel for channel in channels if channel["name"] == old)
    assert found["lag"] is None, found
    lab.ssh(old, "systemctl start cyrus-link@server")
    settled(new)


def test_log_that_is_not_empty_keeps_the_role_where_it_is() -> None:
    old, new = HOSTS if master() == HOSTS[0] else HOSTS[::-1]
    assert not lab.module(old, "channel", name=new, state="paused").get("failed")
    with the_store().imap(USER) as session:
        session.run("APPEND", "INBOX", Literal(b"Subject: last\r\n\r\nnot replicated\r\n"))
    before = record(old)
    fence(old)
    done = role(old, new, before["epoch"] + 1)
    assert f"the log of channel {new} is not empty, with events of {USER}" in done["msg"]
    assert record(old) == before
    assert lab.ssh(old, f"ls {STATE}/fence.json").stdout
    assert lab.ssh(old, f"systemctl is-active cyrus-replicator@{new} cyrus-link@{new}").stdout
    assert not lab.module(old, "channel", name=new, state="started").get("failed")
    there(old, new)
    settled(new)


def test_record_that_can_not_be_written_keeps_all_as_it_is() -> None:
    old, new = HOSTS if master() == HOSTS[0] else HOSTS[::-1]
    before = record(old)
    fence(old)
    drain(old, new)
    for host in (old, new):
        # What the channels keep can still be written.
        keep = f"mount --bind {STATE}/channels {STATE}/channels"
        lab.ssh(host, f"mkdir -p {STATE}/channels; mount --bind {STATE} {STATE}; {keep}")
        lab.ssh(host, f"mount -o remount,bind,ro {STATE}")
        try:
            done = role(host, new, before["epoch"] + 1)
        finally:
            lab.ssh(host, f"umount -l {STATE}")
        assert re.search("json can't be (written|removed)", done["msg"]), done
    units = f"systemctl is-active cyrus-replicator@{new} cyrus-link@{new}"
    assert lab.ssh(old, units).stdout.split() == ["active", "active"]
    assert lab.ssh(new, "systemctl is-active cyrus-link@server").stdout.strip() == "active"
    assert record(old) == before
    there(old, new)
    settled(new)


def test_what_can_not_be_is_refused() -> None:
    old, new = HOSTS if master() == HOSTS[0] else HOSTS[::-1]
    epoch = record(old)["epoch"]
    assert "serves clients: fence it first" in role(old, new, epoch + 1)["msg"]
    assert "needs a higher epoch" in role(new, new, epoch)["msg"]
    for host in HOSTS:
        assert record(host)["master"] == old
