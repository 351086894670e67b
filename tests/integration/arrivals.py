# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When mail that the master took is there on a replica, as the replica tells it."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from types import TracebackType

from tests.lab.load import Accepted

from . import lab

_FIELD = re.compile(r"(MBOXNAME|UNIQUEID|SYNC_CRC|LAST_UID|HIGHESTMODSEQ|UIDVALIDITY) (\S+)")

# Runs on the replica until its stdin ends: prints each inbox whose last UID has risen, with the
# time. The hosts share the machine's clock.
_POLL = r"""
import json, re, select, socket, sys, time
users, pause = json.loads(sys.argv[1]), float(sys.argv[2])
asked = "GET MAILBOXES (%s)\r\n" % " ".join(f"user.{user}" for user in users)
told = re.compile(rb"MBOXNAME user\.(\S+) .*?LAST_UID (\d+)")
seen = {}

def lines(stream):
    while True:
        line = stream.readline()
        if not line:
            raise OSError("closed")
        yield line
        if line.startswith((b"OK", b"NO", b"BAD", b"* OK")):
            return

def watch():
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(20)
    connection.connect("/run/cyrus/private/csync")
    with connection.makefile("rwb") as stream:
        list(lines(stream))
        while not select.select([sys.stdin], [], [], pause)[0]:
            stream.write(asked.encode())
            stream.flush()
            now = time.time()
            for line in lines(stream):
                found = told.search(line)
                if found:
                    user, uid = found.group(1).decode(), int(found.group(2))
                    if seen.get(user) != uid:
                        seen[user] = uid
                        print(json.dumps([user, uid, now]), flush=True)

while not select.select([sys.stdin], [], [], 0)[0]:
    try:
        watch()
    except OSError:
        time.sleep(0.2)
"""


# Runs on either side: prints what it says of the inboxes of users.
_ASK = r"""
import json, socket, sys
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(20)
connection.connect("/run/cyrus/private/csync")
names = " ".join(f"user.{user}" for user in json.loads(sys.argv[1]))
with connection.makefile("rwb") as stream:
    while not stream.readline().startswith(b"* OK"):
        pass
    stream.write(f"GET MAILBOXES ({names})\r\n".encode())
    stream.flush()
    for line in stream:
        if not line.startswith(b"* "):
            break
        print(line.decode().rstrip())
"""


def inboxes(host: str, users: Sequence[str]) -> dict[str, dict[str, str]]:
    """The fields of each user's inbox, as a host has it; of those that it can open."""
    command = f"python3 -c {shlex.quote(_ASK)} {shlex.quote(json.dumps(list(users)))}"
    found = {}
    for line in lab.ssh(host, command).stdout.splitlines():
        fields = dict(_FIELD.findall(line))
        found[fields["MBOXNAME"]] = fields
    return found


@dataclass
class Arrivals:
    """Watches the inboxes of users while it is entered; begin in sync and without load."""

    replica: str
    users: list[str]
    pause: float = 0.4
    _base: dict[str, int] = field(default_factory=dict)
    _seen: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def __enter__(self) -> Arrivals:
        command = f"python3 -c {shlex.quote(_POLL)} {shlex.quote(json.dumps(self.users))}"
        self._process = subprocess.Popen(
            lab.ssh_command(self.replica, f"{command} {self.pause}"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()
        lab.until(lambda: len(self._base) == len(self.users), 20, 0.1, "every inbox on the replica")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        self._process.wait(30)
        self._thread.join(10)

    def _read(self) -> None:
        for line in self._process.stdout or ():
            user, uid, when = json.loads(line)
            self._base.setdefault(user, uid)
            self._seen.setdefault(user, []).append((uid, when))

    def delays(self, accepted: Iterable[Accepted]) -> list[float]:
        """Seconds from each answer to the arrival; for what is not there yet, until now."""
        now = time.time()
        return [(when or now) - message.time for message, when in self._arrived(accepted)]

    def missing(self, accepted: Iterable[Accepted]) -> int:
        """How many have not arrived yet."""
        return sum(when is None for _message, when in self._arrived(accepted))

    def _arrived(self, accepted: Iterable[Accepted]) -> Iterator[tuple[Accepted, float | None]]:
        """Each message, and when it was seen: a user's mail arrives in the order of its UIDs."""
        count: Counter[str] = Counter()
        for message in sorted(accepted, key=lambda message: message.time):
            count[message.user] += 1
            uid = self._base[message.user] + count[message.user]
            seen = list(self._seen[message.user])
            yield message, next((when for last, when in seen if last >= uid), None)
