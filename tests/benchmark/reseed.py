# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy by reseed against `sync_client -A` into an empty replica, in one run, under deliveries.

`python -m tests.benchmark.reseed` on a lab that is up: sets up a store of three hosts with 500
users and 20,000 messages of 20 KB, empties the third host twice, and has it filled either way.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from tests.integration import lab
from tests.integration.ledger import Ledger
from tests.integration.load import LmtpLoad, at
from tests.lab import mail
from tests.lab.content import Message

MASTER, SOURCE, TARGET = "imap1", "imap2", "imap3"
USERS, EACH, SIZE, RATE = 500, 40, 20_000, 10
SPOOL, CONFIG = "/var/spool/cyrus/mail", "/var/lib/cyrus"
SYNC = "setpriv --reuid=cyrus --regid=mail --init-groups /usr/lib/cyrus/bin/sync_client"
_DATE = "01-Nov-2026 10:00:00 +0000"
_PASS = re.compile(r"pass (\d+): ([0-9.]+) of ([0-9.]+) MB in ([0-9.]+) s")


@dataclass(frozen=True)
class Took:
    """Seconds, and bytes that came to the target over the wire."""

    seconds: float
    received: int


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare() -> list[str]:
    run = lab.playbook("setup")
    assert run.rc == 0, run.output
    store, chance = mail.the_store(), Random(1)
    mail.generate(store, USERS, seed=1, folders=1, count=1)
    users = mail.generated(USERS)
    for number, user in enumerate(users):
        if number % 50 == 0:
            say(f"{number} of {USERS} users are filled")
        with store.imap(user) as session:
            mail.append(session, "INBOX", [_message(chance, user, n) for n in range(EACH)])
    lab.until(lambda: drained(SOURCE), 1800, every=5, what="the replicas have all")
    return users


def _message(chance: Random, user: str, number: int) -> Message:
    head = f"Message-ID: <{number}.{user}@bench>\r\nTo: <{user}@lab.test>\r\nSubject: x\r\n\r\n"
    lines = "\r\n".join(f"{chance.getrandbits(280):072x}" for _line in range(SIZE // 74))
    return Message(f"{head}{lines}\r\n".encode(), "", _DATE)


def drained(channel: str) -> bool:
    done = lab.module(MASTER, "channel", name=channel, state="drained", compare="live", timeout=60)
    return not done.get("failed")


def emptied() -> None:
    """Nothing is on the target, and nothing is sent there."""
    paused = lab.module(MASTER, "channel", name=TARGET, state="paused")
    assert not paused.get("failed"), paused
    lab.ssh(
        TARGET,
        f"systemctl stop cyrus-imapd; find {SPOOL} -mindepth 1 -delete;"
        f" rm -rf {CONFIG}/*.db {CONFIG}/user {CONFIG}/quota; systemctl start cyrus-imapd",
    )


def received() -> int:
    counters = lab.ssh(TARGET, "cat /sys/class/net/*/statistics/rx_bytes").stdout.split()
    return sum(map(int, counters))


def timed(work: Callable[[], None]) -> Took:
    before, begun = received(), time.monotonic()
    work()
    return Took(time.monotonic() - begun, received() - before)


def plain() -> None:
    lab.ssh(MASTER, f"{SYNC} -A -n {TARGET}", timeout=3600)


def measure(users: Sequence[str]) -> None:
    with LmtpLoad(Ledger(), users, at(MASTER), RATE):
        emptied()
        peer = timed(plain)
        say(f"sync_client -A: {peer.seconds:.1f} s, {peer.received / 1e6:.0f} MB")
        emptied()
        told = {
            "cyrus_target": TARGET,
            "cyrus_source": SOURCE,
            "cyrus_accept_single_copy": "store1",
        }
        runs: list[lab.Run] = []
        ours = timed(lambda: runs.append(lab.playbook("reseed", extra=told)))
    assert runs[0].rc == 0, runs[0].output
    say(runs[0].output[-3000:])
    history = json.loads(lab.ssh(MASTER, "tail -1 /var/lib/cyrus-replication/history.jsonl").stdout)
    rest = history["seconds"]["rest"]
    passes = _PASS.findall(runs[0].output)
    moved, whole = float(passes[-1][1]), float(passes[-1][2])
    print("| | seconds | MB over the wire |\n|---|---|---|")
    print(f"| `sync_client -A` | {peer.seconds:.1f} | {peer.received / 1e6:.0f} |")
    print(f"| reseed | {ours.seconds:.1f} | {ours.received / 1e6:.0f} |")
    print(f"| ratio | {ours.seconds / peer.seconds:.2f} | {ours.received / peer.received:.2f} |")
    print(f"\nthe source rested for {rest:g} s, {rest / ours.seconds:.1%} of the time")
    print(f"the last pass moved {moved:g} of {whole:g} MB, {moved / whole:.2%}")


if __name__ == "__main__":
    measure(prepare())
