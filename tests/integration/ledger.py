# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every message that a server answered for, and whether each is there exactly once in the end.

It judges the collection, so it uses nothing of it: the end state is read over plain IMAP.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import shlex
import threading
import time
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field

from . import lab

_SOCKET = "/run/cyrus/private/imap"
_CONNECTIONS = 4

# Runs on the host that is judged, which may take no clients: prints each Message-ID with its user.
_READ = r"""
import concurrent.futures, imaplib, json, re, socket, sys
asked = json.load(sys.stdin)
imaplib._MAXLINE = 100_000_000

class Local(imaplib.IMAP4):
    def _create_socket(self, timeout=None):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect(asked["socket"])
        return connection

def must(answer):
    if answer[0] != "OK":
        raise SystemExit(f"IMAP: {answer}")
    return answer[1]

def read(user):
    found = []
    session = Local()
    secret = "\0".join((user, asked["admin"], asked["password"])).encode()
    must(session.authenticate("PLAIN", lambda _challenge: secret))
    for line in must(session.list('""', "INBOX*")):
        name = re.search(rb'"." (".*"|\S+)$', line).group(1).decode()
        if b"\\Noselect" in line or b"\\NonExistent" in line:
            continue
        count = int(must(session.select(name, readonly=True))[0])
        if count:
            wanted = "(BODY.PEEK[HEADER.FIELDS (MESSAGE-ID)])"
            for part in must(session.fetch("1:*", wanted)):
                if isinstance(part, tuple):
                    found.append(part[1].decode("utf-8", "replace").partition(":")[2].strip())
    session.logout()
    return user, found

with concurrent.futures.ThreadPoolExecutor(asked["connections"]) as pool:
    for user, found in pool.map(read, asked["users"]):
        print(json.dumps([user, found]), flush=True)
"""


@dataclass(frozen=True)
class Accepted:
    """A message that a server answered for: whose, by which way, where, and when."""

    ident: str
    user: str
    way: str
    server: str
    time: float


@dataclass(frozen=True)
class Verdict:
    """What the end state says of what was accepted."""

    accepted: int
    lost: list[Accepted]
    duplicated: dict[str, int]

    def assert_exactly_once(self) -> None:
        lost = [f"{one.ident} to {one.user} by {one.way} at {one.server}" for one in self.lost]
        assert not self.lost, f"{len(lost)} of {self.accepted} lost: {lost[:10]}"
        assert not self.duplicated, f"there more than once: {self.duplicated}"


@dataclass
class Ledger:
    """What was accepted. Each message has a Message-ID of its own, used once, answered or not."""

    entries: list[Accepted] = field(default_factory=list)
    begun: float = field(default_factory=time.time)
    _run: str = field(default_factory=lambda: secrets.token_hex(4))
    _count: itertools.count[int] = field(default_factory=itertools.count)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def new_ident(self) -> str:
        with self._lock:
            return f"<{next(self._count)}.{self._run}@ledger.example.com>"

    def accept(self, ident: str, user: str, way: str, server: str) -> None:
        """Call it once the server has said that it has the message, and not before."""
        with self._lock:
            self.entries.append(Accepted(ident, user, way, server, time.time()))

    def accepted(self) -> list[Accepted]:
        with self._lock:
            return list(self.entries)

    def is_ours(self, ident: str) -> bool:
        return ident.endswith(f".{self._run}@ledger.example.com>")

    def check(self, host: str, users: Collection[str] = ()) -> Verdict:
        """Read every user's mail on a host, by default of all users who were written to."""
        entries = self.accepted()
        found = idents(host, sorted({*users, *(one.user for one in entries)}))
        return self.judge(entries, found)

    def judge(self, entries: Sequence[Accepted], found: dict[str, list[str]]) -> Verdict:
        """Compare what was accepted with what is there. Pure."""
        count = Counter(i for mine in found.values() for i in mine if self.is_ours(i))
        lost = [one for one in entries if one.ident not in found.get(one.user, ())]
        return Verdict(len(entries), lost, {i: n for i, n in count.items() if n > 1})

    def check_soon(self, host: str, seconds: float, users: Collection[str] = ()) -> Verdict:
        """As `check`, once all is there or after so many seconds: mail may still be in a queue."""
        deadline = time.monotonic() + seconds * lab.patience()
        while True:
            verdict = self.check(host, users)
            if not verdict.lost or time.monotonic() > deadline:
                return verdict
            time.sleep(1)

    def bounces(self, mta: str = "mx1") -> list[str]:
        """What the mail exchanger's log says of mail that went back, or whose sender was told."""
        log = lab.ssh(
            mta, f"journalctl --since @{int(self.begun)} -o cat -q -t postfix/bounce"
        ).stdout
        agents = lab.ssh(
            mta,
            f"journalctl --since @{int(self.begun)} -o cat -q -g 'status=(bounced|expired)'",
            check=False,
        ).stdout
        told = re.compile("sender (non-delivery|delay)|status=(bounced|expired)")
        return [line for line in (log + agents).splitlines() if told.search(line)]


def idents(host: str, users: Sequence[str]) -> dict[str, list[str]]:
    """The Message-IDs in all of each user's mailboxes, as a host has them."""
    asked = {
        "socket": _SOCKET,
        "admin": lab.var("cyrus_admin_user", host),
        "password": lab.var("cyrus_admin_password", host),
        "users": list(users),
        "connections": _CONNECTIONS,
    }
    command = f"python3 -c {shlex.quote(_READ)}"
    told = lab.ssh(host, command, data=json.dumps(asked), timeout=600).stdout
    found: dict[str, list[str]] = dict(json.loads(line) for line in told.splitlines())
    assert set(found) == set(users), f"{host} was not read to the end"
    return found


def queued(mta: str = "mx1") -> int:
    """Messages that wait in the mail exchanger's queue."""
    return len(lab.ssh(mta, "postqueue -j").stdout.splitlines())
