# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master that is fenced while clients of every kind are connected, and that is released again.

Plain Cyrus's own shutdown notice comes first. The guard is kept from running, so that what the host
does by itself is seen.
"""

from __future__ import annotations

import base64
import contextlib
import json
import shlex
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import pytest

from tests.lab.imap import Literal
from tests.lab.logins import create_logins
from tests.lab.mail import generate, the_store

from . import lab

MASTER, REPLICA = "imap1", "imap2"
STATE = "/var/lib/cyrus-replication"
NOTICE = "/var/lib/cyrus/msg/shutdown"
USER = "u00001"
POP = 'cmd="pop3d" listen="110" prefork=0 maxchild=10'
PORTS = {"imap": 143, "lmtp": 24, "sieve": 4190, "pop3": 110}
MAIL = b"Subject: half\r\n\r\n"
UNITS = ("foreign", "expire", "lock")
GUARD = "cyrus-guard.service"


@pytest.fixture(scope="module", autouse=True)
def store() -> Iterator[None]:
    services = {**lab.var("cyrus_services", MASTER), "pop3": POP}
    extra = {"cyrus_services": services, "cyrus_extra_packages": ["cyrus-pop3d"]}
    run = lab.playbook("setup", extra=extra)
    assert run.rc == 0, run.output
    generate(the_store(), 3, seed=4, folders=1, count=3)
    create_logins([MASTER], [USER], password())
    lab.ssh(MASTER, f"systemctl disable --now {GUARD}")
    yield
    lab.ssh(MASTER, f"systemctl enable --now {GUARD}")
    fence(state="absent", force=True)
    run = lab.playbook("setup")
    assert run.rc == 0, run.output


@pytest.fixture(autouse=True)
def serving() -> Iterator[None]:
    yield
    lab.ssh(MASTER, f"systemctl stop {' '.join(UNITS)} 2>/dev/null; rm -f {NOTICE}", check=False)
    if opened() != set(PORTS):
        fence(state="absent", force=True)


def password() -> str:
    return str(lab.var("lab_user_password"))


def fence(**options: Any) -> dict[str, Any]:
    """The module's result; a failure is no exception."""
    return lab.module(MASTER, "fence", **options)


def fenced(**options: Any) -> dict[str, Any]:
    done = fence(**options)
    assert not done.get("failed"), done["msg"]
    return done


def text(path: str) -> str:
    return lab.ssh(MASTER, f"cat {path} 2>/dev/null", check=False).stdout


def opened() -> set[str]:
    """Services whose port answers."""
    found = set()
    for name, port in PORTS.items():
        with contextlib.suppress(OSError), socket.create_connection((lab.address(MASTER), port), 5):
            found.add(name)
    return found


def processes() -> list[str]:
    """Services for clients that have a process."""
    script = "cat /proc/[0-9]*/environ 2>/dev/null | tr '\\0' '\\n' | grep ^CYRUS_SERVICE= || true"
    words = {line.partition("=")[2] for line in lab.ssh(MASTER, script).stdout.split()}
    return sorted(words - {"privcsync", "privimap"})


def count(user: str = USER) -> int:
    """Messages in an INBOX, read where a fenced host answers as well."""
    script = (
        "import socket; s = socket.socket(socket.AF_UNIX); s.connect('/run/cyrus/private/csync')\n"
        "f = s.makefile('rwb')\n"
        "while not f.readline().startswith(b'* OK'): pass\n"
        f"f.write(b'GET FULLMAILBOX user.{user}\\r\\n'); f.flush()\n"
        "print(f.readline().count(b'GUID '))"
    )
    return int(lab.ssh(MASTER, f"python3 -c {shlex.quote(script)}").stdout)


class Line:
    """A raw connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection((lab.address(MASTER), port), timeout=20)
        self._file = self.socket.makefile("rb")
        self.said = [self._file.readline()]

    def close(self) -> None:
        self._file.close()
        self.socket.close()

    def ask(self, command: bytes, *until: bytes) -> bytes:
        """Send, and read up to a line that begins with one of these."""
        self.socket.sendall(command)
        while until:
            line = self._file.readline()
            self.said.append(line)
            if not line or line.startswith(until):
                break
        return self.said[-1]

    def rest(self) -> bytes:
        """All that comes until the server closes the connection."""
        self.socket.settimeout(10)
        try:
            return self._file.read()
        except ConnectionResetError:
            return b""


def plain(user: str, act_as: str = "") -> bytes:
    return base64.b64encode(f"{act_as}\0{user}\0{password()}".encode())


@contextmanager
def imap_line(*, idle: bool = False) -> Iterator[Line]:
    with closing(Line(143)) as line:
        assert line.ask(b"a LOGIN %b %b\r\n" % (USER.encode(), password().encode()), b"a ")
        assert line.ask(b"b SELECT INBOX\r\n", b"b ").startswith(b"b OK")
        if idle:
            assert line.ask(b"c IDLE\r\n", b"+")
        yield line


@contextmanager
def delivery() -> Iterator[Line]:
    """LMTP in the middle of a message."""
    with closing(Line(24)) as line:
        line.ask(b"LHLO test\r\n", b"250 ")
        admin = str(lab.var("cyrus_admin_user")).encode()
        secret = str(lab.var("cyrus_admin_password")).encode()
        word = base64.b64encode(b"\0" + admin + b"\0" + secret)
        assert line.ask(b"AUTH PLAIN " + word + b"\r\n", b"235", b"5").startswith(b"235")
        line.ask(b"MAIL FROM:<a@example.com>\r\n", b"250", b"5")
        assert line.ask(b"RCPT TO:<%b>\r\n" % USER.encode(), b"250", b"5").startswith(b"250")
        assert line.ask(b"DATA\r\n", b"354", b"4", b"5").startswith(b"354")
        line.ask(MAIL)
        yield line


@contextmanager
def background(name: str, command: str) -> Iterator[None]:
    """A command that an administrator or cron has started."""
    lab.ssh(
        MASTER,
        f"systemd-run --quiet --collect --unit={name} -p User=cyrus -p Group=mail"
        f" sh -c {shlex.quote(command)}",
    )
    try:
        yield
    finally:
        lab.ssh(MASTER, f"systemctl stop {name}", check=False)


def hashes() -> str:
    return lab.ssh(
        MASTER,
        "find /etc /var/lib/cyrus/msg /var/lib/cyrus-replication -xdev -type f"
        " -not -path '*/channels/*' -print0 | sort -z | xargs -0 sha256sum",
    ).stdout


def test_plain_notice_lets_administrators_and_deliveries_go_on() -> None:
    before = count()
    with the_store().imap() as admin, delivery() as half, imap_line() as idle:
        lab.ssh(MASTER, f"echo closed > {NOTICE}")
        admin.run("SETQUOTA", f"user/{USER}", "(STORAGE 123456)")
        assert half.ask(b"late\r\n.\r\n", b"250", b"4", b"5").startswith(b"250")
        # Nobody tells a client that asks for nothing.
        idle.socket.settimeout(2)
        with pytest.raises(TimeoutError):
            idle.socket.recv(1)
    assert count() == before + 1
    assert opened() == set(PORTS)


def test_fenced_means_that_no_client_is_left() -> None:
    before = count()
    with ExitStack() as stack:
        idle = stack.enter_context(imap_line())
        idling = stack.enter_context(imap_line(idle=True))
        stuck = stack.enter_context(imap_line())
        active = stack.enter_context(imap_line())
        half = stack.enter_context(delivery())
        pop = stack.enter_context(closing(Line(110)))
        pop.ask(b"USER %b\r\n" % USER.encode(), b"+OK")
        assert pop.ask(b"PASS %b\r\n" % password().encode(), b"+OK", b"-").startswith(b"+OK")
        sieve = stack.enter_context(closing(Line(4190)))
        admin = stack.enter_context(closing(Line(143)))
        login = f"{lab.var('cyrus_admin_user')} {lab.var('cyrus_admin_password')}".encode()
        assert admin.ask(b"a LOGIN " + login + b"\r\n", b"a ").startswith(b"a OK")
        # It asks for much and takes nothing.
        stuck.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        stuck.ask(b"s FETCH 1:* BODY[]\r\n" * 4000)
        stack.enter_context(closing(_Asking(active)))
        done = fenced(by="switchover", reason="to imap2")
        assert done["fence"]["by"] == "switchover"
        assert done["seconds"] < 10 * lab.patience()
        assert opened() == set()
        assert processes() == []
        assert done["ended"]["imap"] >= 5
        assert {"imap", "lmtp", "pop3", "sieve"} <= set(done["ended"])
        assert b"* BYE [ALERT] This server is closed" in idle.rest()
        for line in (idling, pop, sieve, admin):
            line.rest()
        assert b"250" not in half.rest()
        print(f"\nfenced in {done['seconds']:.2f} s: {done['ended']}")
    assert b"BYE [ALERT] This server is closed" in b"".join(active.said)
    assert count() == before


class _Asking:
    """A client that is always busy, until it is told to go."""

    def __init__(self, line: Line) -> None:
        self._thread = threading.Thread(target=self._ask, args=(line,), daemon=True)
        self._thread.start()

    @staticmethod
    def _ask(line: Line) -> None:
        with contextlib.suppress(OSError):
            while line.ask(b"n NOOP\r\n", b"n ", b"* BYE").startswith(b"n "):
                time.sleep(0.01)

    def close(self) -> None:
        self._thread.join(20)


def test_fence_outlives_a_restart_and_a_reboot() -> None:
    fenced(by="switchover", reason="to imap2")
    lab.ssh(MASTER, "systemctl restart cyrus-imapd")
    lab.until(lambda: count() >= 0, 30, what="a Cyrus that runs")
    assert (opened(), processes()) == (set(), [])
    lab.lab("reboot", MASTER)
    lab.until(lambda: count() >= 0, 60, what="a Cyrus that runs")
    assert (opened(), processes()) == (set(), [])
    run = lab.playbook("setup")
    assert run.rc != 0
    assert f"{MASTER} is fenced by switchover since" in run.output
    assert f"{MASTER} is fenced by switchover since" in lab.playbook("status").output
    done = fence(state="absent")
    assert "has not learned since its boot whether it is still the master" in done["msg"]
    assert fenced(state="absent", force=True)["changed"]
    assert opened() == set(PORTS)


def test_replication_goes_on_and_its_log_stays_empty() -> None:
    fenced()
    fenced(state="absent")
    assert not lab.module(MASTER, "channel", name=REPLICA, state="paused").get("failed")
    with the_store().imap(USER) as session:
        session.run("APPEND", "INBOX", Literal(b"Subject: last\r\n\r\nbefore the fence\r\n"))
    fenced(by="switchover")
    log = f"/var/lib/cyrus/sync/{REPLICA}/log"
    assert text(log)
    assert not lab.module(MASTER, "channel", name=REPLICA, state="started").get("failed")
    lab.until(lambda: not text(log) and not text(f"{log}-run"), 20, what="an empty log")
    path = f"{STATE}/channels/{REPLICA}/state.json"
    written = json.loads(text(path))["heartbeat"]["written"]
    time.sleep(12)
    assert json.loads(text(path))["heartbeat"]["written"] == written
    assert not text(log)


def test_program_that_writes_is_named_and_nothing_is_changed() -> None:
    before = hashes()
    with background("foreign", "sleep 60 | /usr/lib/cyrus/bin/ctl_mboxlist -u"):
        lab.until(lambda: "may be writing" in fence(timeout=5).get("msg", ""), 10)
        done = fence(timeout=5)
    assert done["msg"].startswith("ctl_mboxlist (process ")
    assert hashes() == before
    assert opened() == set(PORTS)


def test_client_that_can_not_be_ended_is_named_and_the_host_serves_again() -> None:
    with imap_line() as line:
        find = "pgrep -n -x imapd"
        pid = lab.ssh(MASTER, f"{find} | tee /tmp/stopped; kill -STOP $({find})").stdout.strip()
        done = fence(timeout=4)
        assert done["failed"]
        assert f"imapd (process {pid}) did not end in time" in done["msg"]
        assert done["msg"].endswith("the host serves again")
        lab.ssh(MASTER, f"kill -CONT {pid}", check=False)
        line.rest()
    assert opened() == set(PORTS)
    assert text(f"{STATE}/fence.json") == text(NOTICE) == ""


@lab.only_long
def test_event_that_runs_is_waited_for() -> None:
    lock = "import fcntl, time; f = open('/var/lib/cyrus/deliver.db', 'r+'); fcntl.lockf(f, 2)"
    join = "echo 0 > /sys/fs/cgroup/system.slice/cyrus-imapd.service/cgroup.procs"
    with background("lock", f'python3 -c "{lock}; time.sleep(9)"'):
        time.sleep(1)
        lab.ssh(
            MASTER,
            f"({join}; exec setsid runuser -u cyrus -- /usr/lib/cyrus/bin/cyr_expire -E 3)"
            " >/dev/null 2>&1 </dev/null &",
        )
        lab.until(lambda: lab.ssh(MASTER, "pgrep -x cyr_expire"), 10, what="an event that runs")
        done = fenced()
    assert done["ended"]["cyr_expire"] == 1
    assert done["seconds"] > 1
    assert lab.ssh(MASTER, "pgrep cyr_expire", check=False).returncode == 1


def test_all_comes_back_and_twice_is_once() -> None:
    before = hashes()
    options = {"by": "switchover", "reason": "twice"}
    assert lab.module(MASTER, "fence", check=True, **options)["changed"]
    assert hashes() == before
    assert fenced(**options)["changed"]
    once = hashes()
    assert not fenced(**options)["changed"]
    assert lab.module(MASTER, "fence", check=True, state="absent")["changed"]
    assert hashes() == once
    done = fenced(by="switchover", state="absent")
    assert done["changed"]
    assert done["seconds"] < 10 * lab.patience()
    assert hashes() == before
    assert opened() == set(PORTS)
    assert not fenced(by="switchover", state="absent")["changed"]


@lab.only_long
def test_fence_of_an_administrator_is_an_administrator_s_to_remove() -> None:
    fenced(reason="the disk is replaced")
    done = fence(by="switchover", state="absent")
    assert "is fenced by administrator since" in done["msg"]
    assert fenced(by="switchover")["fence"]["by"] == "administrator"
    lab.ssh(MASTER, f"echo '{{' > {STATE}/fence.json")
    assert "is damaged" in fence(by="switchover", state="absent")["msg"]
    assert fenced(state="absent")["changed"]


def test_host_does_not_start_without_its_record() -> None:
    record = f"{STATE}/role.json"
    lab.ssh(MASTER, f"cp -a {record} /root/role.json; echo '{{' > {record}")
    try:
        lab.ssh(MASTER, "systemctl restart cyrus-imapd", check=False)
        assert (opened(), processes()) == (set(), [])
        lab.ssh(MASTER, f"rm {record}")
        lab.ssh(MASTER, "systemctl restart cyrus-imapd", check=False)
        assert (opened(), processes()) == (set(), [])
        said = lab.ssh(MASTER, "journalctl -u cyrus-imapd -n 20 -o cat").stdout
        assert "role.json is no role record" in said
        assert "role.json is missing: restore it" in said
    finally:
        lab.ssh(MASTER, f"mv /root/role.json {record}; systemctl restart cyrus-imapd")
    lab.until(lambda: opened() == set(PORTS), 30)


def test_master_that_nobody_has_cleared_does_not_serve() -> None:
    lab.ssh(MASTER, "rm /run/cyrus-replication/cleared.json; systemctl restart cyrus-imapd")
    lab.until(lambda: count() >= 0, 30, what="a Cyrus that runs")
    assert (opened(), processes()) == (set(), [])
    assert f"{MASTER} has not learned since its boot" in lab.playbook("status").output
