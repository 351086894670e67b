# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guard: a master that another host has superseded, or that sees nobody, serves no client.

TEST_LONG=1 also sets the store up with a plain link, and has a store without delivery hosts.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from . import lab

MASTER, PEER, MX = "imap1", "imap2", "mx1"
PEERS = [host for host in lab.hosts() if host != MASTER]
CHOICES = "/etc/cyrus-replication/guard.json"
STATE = "/var/lib/cyrus-replication"
DROP_IN = "/etc/systemd/system/cyrus-imapd.service.d/cyrus-replication.conf"
INBOX = "user/guarded"
CLIENT_PORTS = {24, 143, 4190}
SNAPSHOT = "guard"
# From the moment at which a peer says it; the guard asks every two seconds.
FENCED_WITHIN = 10.0
SERVES_WITHIN = 20.0
LEASE = 6


@pytest.fixture(scope="module", autouse=True)
def saved() -> None:
    """The hosts as they are while all is well, to come back to."""
    with admin() as session:
        session.create(INBOX)
        session.setacl(INBOX, str(lab.var("cyrus_admin_user")), "lrswipkxtecda")
    lab.lab("snapshot", "save", SNAPSHOT)
    lab.until(serves, 30, what="a master that serves")


@pytest.fixture
def superseding() -> Iterator[None]:
    """A test that makes another host master; afterwards all is well again."""
    yield
    lab.lab("snapshot", "restore", SNAPSHOT)
    lab.until(serves, 30, what="a master that serves again")


def admin() -> Any:
    # Cyrus's own notice of a shutdown does not keep an administrator from writing.
    return lab.imap(MASTER, lab.var("cyrus_admin_user"), lab.var("cyrus_admin_password"))


def serves() -> bool:
    with admin() as session:
        stored = session.append(INBOX, "", "", b"Subject: guarded\r\n\r\n")[0] == "OK"
    return stored and open_ports() == CLIENT_PORTS


def inside(host: str, *argv: str) -> str:
    """What a command says, also on a host that the network does not reach."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.lab", "run", host, "--", *argv],
        check=False,
        cwd=lab.ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=60,
    )
    return done.stdout


def open_ports() -> set[int]:
    """Ports for clients on which the master listens."""
    listed = inside(MASTER, "ss", "-Hltn").splitlines()
    assert listed
    return {int(line.split()[3].rpartition(":")[2]) for line in listed} & CLIENT_PORTS


def closed() -> bool:
    return not open_ports()


def fence() -> dict[str, str]:
    """The fence of the master."""
    text = inside(MASTER, "cat", f"{STATE}/fence.json")
    found: dict[str, str] = json.loads(text) if text else {}
    return found


def guard() -> dict[str, Any]:
    """What the guard of the master says."""
    found: dict[str, Any] = json.loads(inside(MASTER, "cat", "/run/cyrus-replication/guard.json"))
    return found


def said(level: str) -> str:
    """What it has said in syslog since the boot, from a level on."""
    return inside(MASTER, "journalctl", "-b", "-t", "cyrus-guard", "-p", level, "-o", "cat")


def status(tmp_path: Path) -> tuple[dict[str, Any], str]:
    """The report on the master, and what an administrator sees."""
    path = tmp_path / "status.json"
    run = lab.playbook("status", extra={"cyrus_status_report": str(path)})
    (store,) = json.loads(path.read_text())
    (found,) = (host for host in store["hosts"] if host["host"] == MASTER)
    return found, run.output


def supersede() -> int:
    """What a change of master that did not reach this one leaves on a peer; its epoch."""
    record = json.loads(lab.ssh(PEER, f"cat {STATE}/role.json").stdout)
    epoch = int(record["epoch"]) + 1
    done = lab.module(
        PEER, "role", store=record["store"], host=PEER, role="master", master=PEER, epoch=epoch
    )
    assert done["changed"], done
    return epoch


@contextmanager
def choices(**changed: Any) -> Iterator[None]:
    """Other choices for the guard than those of the inventory."""
    before = lab.ssh(MASTER, f"cat {CHOICES}").stdout
    _choose(json.dumps({**json.loads(before), **changed}))
    try:
        yield
    finally:
        _choose(before)


def _choose(text: str) -> None:
    lab.ssh(MASTER, f"cat > {CHOICES} && systemctl restart cyrus-guard", data=text)


@contextmanager
def unplugged(*hosts: str) -> Iterator[None]:
    with ExitStack() as stack:
        for host in hosts:
            lab.lab("link", host, "down")
            stack.callback(lab.lab, "link", host, "up")
        yield


def reboot() -> None:
    lab.lab("reboot", MASTER)


def superseded(epoch: int) -> None:
    assert closed()
    record = json.loads(lab.ssh(MASTER, f"cat {STATE}/role.json").stdout)
    assert (record["role"], record["master"], record["epoch"]) == ("fenced", PEER, epoch)
    assert not fence()
    listed = lab.ssh(MASTER, "systemctl list-units --plain --no-legend --all").stdout
    assert "cyrus-replicator@" not in listed
    assert f"cyrus-link@{PEER}" not in listed
    assert "cyrus-link@guard-answer" in listed
    assert "cyrus-link@server" in listed
    assert f"{PEER} says that {PEER} is master in epoch {epoch}" in said("alert")


def test_a_fence_for_a_time_ends_where_nobody_ends_it() -> None:
    put: dict[str, Any] = {"by": "reseed", "reason": "a copy", "limit": 6}
    done = lab.module(MASTER, "fence", **put)
    assert done["fence"]["until"] > done["fence"]["since"], done
    assert closed()
    lab.until(serves, SERVES_WITHIN, what="a guard that lets it serve")
    assert fence() == {}
    assert "the fence of reseed (a copy) was until" in said("warning")


def test_a_superseded_master_serves_nobody_after_a_boot(superseding: None, tmp_path: Path) -> None:
    aside = f"/root/{os.path.basename(DROP_IN)}"
    lab.ssh(MASTER, f"systemctl disable --now cyrus-guard && mv {DROP_IN} {aside}")
    epoch = supersede()
    reboot()
    # Plain Cyrus: whoever was master takes writes again.
    lab.until(serves, SERVES_WITHIN, what="an old master that serves")
    lab.ssh(MASTER, f"mv {aside} {DROP_IN} && systemctl enable cyrus-guard")
    reboot()
    lab.until(lambda: guard()["state"] == "superseded", SERVES_WITHIN)
    superseded(epoch)
    found, output = status(tmp_path)
    assert (found["role"], found["epoch"]) == ("fenced", epoch)
    assert found["guard"]["peers"][PEER]["epoch"] == epoch
    assert "bring it back with rejoin" in output
    assert found["history"][-1]["what"] == "superseded"


def test_a_running_master_that_is_superseded_is_fenced(superseding: None) -> None:
    begin = time.monotonic()
    epoch = supersede()
    lab.until(lambda: guard()["state"] == "superseded", FENCED_WITHIN, every=0.1)
    print(f"fenced {time.monotonic() - begin:.1f} s after the call")
    superseded(epoch)
    with pytest.raises(ConnectionRefusedError), admin():
        pass
    lab.ssh(MASTER, "systemctl restart cyrus-imapd cyrus-guard")
    superseded(epoch)


@lab.only_long
def test_a_superseded_master_that_can_not_be_fenced_is_killed(superseding: None) -> None:
    notices = "/var/lib/cyrus/msg"
    lab.ssh(MASTER, f"mkdir -p {notices} && mount -t tmpfs -o ro tmpfs {notices}")
    supersede()
    lab.until(closed, FENCED_WITHIN, what="a master that serves nobody")
    assert guard()["state"] == "failing"
    assert "Cyrus was stopped, since" in said("alert")


def test_of_two_masters_in_one_epoch_neither_serves(superseding: None) -> None:
    kept = lab.ssh(PEER, f"cat {STATE}/role.json").stdout
    claimed = {**json.loads(kept), "role": "master", "master": PEER}
    lab.ssh(PEER, f"cat > {STATE}/role.json", data=json.dumps(claimed))
    for host in (MASTER, PEER):
        lab.until(partial(inside, host, "cat", f"{STATE}/fence.json"), FENCED_WITHIN)
    lab.until(closed, FENCED_WITHIN)
    lab.ssh(PEER, f"cat > {STATE}/role.json", data=kept)
    lab.until(serves, SERVES_WITHIN)
    lab.until(lambda: not inside(PEER, "cat", f"{STATE}/fence.json"), FENCED_WITHIN)


def test_the_master_serves_after_a_boot_when_a_peer_agrees() -> None:
    begin = time.monotonic()
    reboot()
    lab.until(serves, SERVES_WITHIN, every=0.1)
    print(f"serves {time.monotonic() - begin:.1f} s after the reboot was asked for")
    assert not said("warning")


def test_alone_after_a_boot_it_waits(tmp_path: Path) -> None:
    with unplugged(*PEERS):
        reboot()
        lab.until(lambda: guard()["state"] == "waiting", SERVES_WITHIN)
        assert "no peer has answered" in said("warning")
        time.sleep(5)
        assert closed()
    lab.until(serves, SERVES_WITHIN)
    assert guard()["state"] == "watching"


@lab.only_long
def test_alone_after_a_boot_it_serves_where_the_administrator_wants_that() -> None:
    with choices(alone="serve"):
        with unplugged(*PEERS):
            reboot()
            lab.until(serves, SERVES_WITHIN)
            assert "cyrus_guard_alone is serve" in said("notice")
        assert serves()


@lab.only_long
def test_alone_after_a_boot_it_stays_fenced_until_the_administrator_releases_it() -> None:
    with choices(alone="fence"):
        with unplugged(*PEERS):
            reboot()
            lab.until(lambda: fence()["by"] == "administrator", SERVES_WITHIN)
        lab.until(lambda: guard()["peers"][PEER]["reached"], FENCED_WITHIN)
        time.sleep(5)
        assert closed()
        done = lab.module(MASTER, "fence", state="absent")
        assert done["changed"], done
        assert serves()


def test_a_master_that_sees_nobody_fences_itself_after_the_lease() -> None:
    with choices(lease=LEASE):
        begin = time.monotonic()
        with unplugged(MASTER):
            time.sleep(max(0.0, begin + LEASE - 2 - time.monotonic()))
            assert open_ports() == CLIENT_PORTS
            lab.until(closed, FENCED_WITHIN)
            lab.until(lambda: fence()["by"] == "guard", FENCED_WITHIN)
            print(f"fenced {time.monotonic() - begin:.1f} s after the cut, the lease is {LEASE} s")
            assert "neither a peer nor a delivery host" in said("alert")
        lab.until(serves, SERVES_WITHIN)
        assert not fence()


def test_a_delivery_host_keeps_a_master_without_peers_serving() -> None:
    with choices(lease=LEASE), unplugged(*PEERS):
        end = time.monotonic() + 2 * LEASE
        while time.monotonic() < end:
            assert serves()
            time.sleep(1)
        with unplugged(MX):
            lab.until(closed, LEASE + FENCED_WITHIN)
            refused = lab.module(MASTER, "fence", state="absent")
            assert "seen neither a peer nor a delivery host" in refused["msg"], refused
        # A delivery host knows nothing of epochs.
        time.sleep(5)
        assert closed()
    lab.until(serves, SERVES_WITHIN)


@lab.only_long
def test_without_a_delivery_host_there_is_no_lease() -> None:
    with choices(lease=LEASE, delivery_hosts=[]), unplugged(*PEERS):
        time.sleep(LEASE + 5)
        assert serves()


def test_a_guard_that_is_killed_comes_back_and_changes_nothing() -> None:
    running = ("systemctl", "show", "--value", "-p", "MainPID", "cyrus-imapd", "cyrus-guard")
    cyrus, killed = inside(MASTER, *running).split()
    with admin() as session:
        lab.ssh(MASTER, f"kill -9 {killed}")
        lab.until(lambda: inside(MASTER, *running).split()[1] not in ("0", killed), FENCED_WITHIN)
        lab.until(lambda: guard()["peers"][PEER]["reached"], FENCED_WITHIN)
        assert session.noop()[0] == "OK"
    assert inside(MASTER, *running).split()[0] == cyrus
    assert serves()
    assert not fence()


@lab.only_long
def test_fences_of_others_are_not_the_guard_s() -> None:
    assert lab.module(MASTER, "fence", state="present", reason="a look inside")["changed"]
    lab.ssh(MASTER, "systemctl restart cyrus-guard")
    time.sleep(5)
    assert closed()
    assert fence()["by"] == "administrator"
    assert lab.module(MASTER, "fence", state="absent")["changed"]
    assert serves()


@lab.only_long
def test_a_plain_link_answers_the_store_alone(superseding: None) -> None:
    run = lab.playbook("setup", extra={"cyrus_link": "plain"})
    assert run.rc == 0, run.output
    lab.until(lambda: all(said["reached"] for said in guard()["peers"].values()), FENCED_WITHIN)
    ask = (
        "import socket; s = socket.create_connection(('ADDRESS', 2017), 5); print(s.recv(999))"
    ).replace("ADDRESS", lab.address(MASTER))
    assert '"role": "master"' in lab.ssh(PEER, f'python3 -c "{ask}"').stdout
    assert lab.ssh(MX, f'python3 -c "{ask}"').stdout == "b''\n"
    supersede()
    lab.until(lambda: guard()["state"] == "superseded", FENCED_WITHIN)
