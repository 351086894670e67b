# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Our replicator against Cyrus's own rolling `sync_client -R`, with the same interval, in turns.

`python -m tests.benchmark.replicator` on a lab that is up: sets up a store, measures how long mail
takes to a replica and how fast a burst is drained, and prints the tables of docs/benchmarks.md.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from tests.integration import lab, plain
from tests.integration.arrivals import Arrivals
from tests.lab.content import Message
from tests.lab.deliver import Delivery
from tests.lab.load import Accepted, Load, message
from tests.lab.mail import append, generate, the_store

MASTER, REPLICA, CHANNEL = "imap1", "imap2", "imap2"
UNIT, OTHER = f"cyrus-replicator@{CHANNEL}", "cyrus-replicator@imap3"
USERS = [f"u{number:05}" for number in range(1, 501)]
FEW = USERS[:20]
SINGLES, SECONDS, TRICKLE = 20, 30, 5
BURST = 20_000
_CONNECTIONS = 4


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def logs() -> list[str]:
    return lab.ssh(MASTER, f"ls /var/lib/cyrus/sync/{CHANNEL}").stdout.split()


def empty() -> bool:
    return not logs()


@contextmanager
def ours() -> Iterator[None]:
    """Our replicator does the work, which runs whenever nothing else is said."""
    lab.ssh(MASTER, f"systemctl start {UNIT}")
    yield


@contextmanager
def native() -> Iterator[None]:
    with plain.replication(CHANNEL, MASTER):
        yield


SIDES = {"native": native, "ours": ours}


def singles() -> list[float]:
    """Mail that comes now and then, at no time that has to do with the interval."""
    store = the_store()
    accepted = []
    with (
        Arrivals(REPLICA, FEW, pause=0.02) as arrivals,
        Delivery(store.address, store.admin, store.password) as delivery,
    ):
        for _turn in range(SINGLES):
            time.sleep(random.uniform(0.7, 2.2))
            user = random.choice(FEW)
            delivery.send(user, message(user))
            accepted.append(Accepted(user, time.time()))
        time.sleep(3)
    return arrivals.delays(accepted)


def trickle() -> list[float]:
    """Mail that comes all the time."""
    with Arrivals(REPLICA, FEW, pause=0.02) as arrivals:
        with Load(FEW, TRICKLE) as load:
            time.sleep(SECONDS)
        time.sleep(3)
    return arrivals.delays(load.accepted)


def latency(mails: Callable[[], list[float]]) -> dict[str, float]:
    """The median of each side's delays, in seconds."""
    found = {}
    # Who begins does not matter, and does not stay the same.
    for side in random.sample(sorted(SIDES), 2):
        lab.until(empty, 60, what="an empty log")
        with SIDES[side]():
            time.sleep(3)
            found[side] = statistics.median(mails())
        say(f"  {side}: {found[side]:.3f} s")
    return found


def put_in(round_: str) -> None:
    """The burst: an APPEND a message, as clients and deliveries make them."""
    store = the_store()
    each = BURST // len(USERS)

    def to(user: str) -> None:
        with store.imap(user) as session:
            for number in range(each):
                body = b"Subject: %s %d\r\n\r\n%s\r\n" % (round_.encode(), number, b"text " * 200)
                text = body + user.encode() + b"\r\n"
                append(session, "INBOX", [Message(text, "", "01-Jan-2026 00:00:00 +0000")])

    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        list(pool.map(to, USERS))


def drained(since: float, arrivals: Arrivals) -> float:
    """Seconds until every message is there and the log is empty."""
    lab.until(empty, 900, 0.2, "an empty log")
    emptied = time.time() - since
    burst = [Accepted(user, since) for user in USERS for _turn in range(BURST // len(USERS))]
    lab.until(lambda: not arrivals.missing(burst), 60, 0.2, "every message on the replica")
    return max([emptied, *arrivals.delays(burst)])


def held_up(side: str, round_: str) -> float:
    """The burst waits in the log; the time begins with the service."""
    lab.ssh(MASTER, f"systemctl stop {UNIT}")
    with Arrivals(REPLICA, USERS, pause=0.2) as arrivals:
        put_in(round_)
        since = time.time()
        with SIDES[side]():
            return drained(since, arrivals)


def live(side: str, round_: str) -> float:
    """The service runs; the time begins with the burst."""
    with SIDES[side](), Arrivals(REPLICA, USERS, pause=0.2) as arrivals:
        time.sleep(3)
        since = time.time()
        put_in(round_)
        return drained(since, arrivals)


def burst(how: Callable[[str, str], float]) -> dict[str, float]:
    found = {}
    for side in random.sample(sorted(SIDES), 2):
        lab.until(empty, 60, what="an empty log")
        found[side] = how(side, f"{how.__name__} {side} {time.time_ns()}")
        say(f"  {side}: {found[side]:.1f} s")
    return found


def row(name: str, rounds: list[dict[str, float]]) -> str:
    """Medians of all rounds; the ratio is the median of the rounds' own ratios."""
    sides = [statistics.median(found[side] for found in rounds) for side in ("native", "ours")]
    ratios = [found["ours"] / found["native"] for found in rounds]
    spread = f"{min(ratios):.2f} to {max(ratios):.2f}"
    ratio = statistics.median(ratios)
    return f"| {name} | {sides[0]:.2f} s | {sides[1]:.2f} s | {ratio:.2f} | {spread} |"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmark.replicator")
    parser.add_argument("--rounds", type=int, default=5, help="of each latency; 0 leaves it out")
    parser.add_argument("--bursts", type=int, default=3, help="of each burst; 0 leaves it out")
    args = parser.parse_args()
    run = lab.playbook("setup")
    if run.rc != 0:
        sys.exit(run.output)
    # The other channel would take its part of the same cores.
    lab.ssh(MASTER, f"systemctl stop {OTHER}")
    generate(the_store(), len(USERS), seed=1, folders=1, count=0)
    lab.until(empty, 300, what="an empty log")
    measures: list[tuple[str, int, Callable[[], dict[str, float]]]] = [
        ("one message now and then", args.rounds, lambda: latency(singles)),
        (f"{TRICKLE} messages a second", args.rounds, lambda: latency(trickle)),
        (f"{BURST} messages that waited", args.bursts, lambda: burst(held_up)),
        (f"{BURST} messages as they come", args.bursts, lambda: burst(live)),
    ]
    rows = []
    for name, rounds, measure in measures:
        if rounds == 0:
            continue
        say(name)
        rows.append(row(name, [measure() for _round in range(rounds)]))
        say(rows[-1])
    lab.ssh(MASTER, f"systemctl start {OTHER}")
    print("| | `sync_client -R` | replicator | ratio | of the rounds |\n|---|---|---|---|---|")
    print("\n".join(rows))
    print(f"\n{os.cpu_count()} cores carry all hosts; {args.rounds} and {args.bursts} rounds.")


if __name__ == "__main__":
    main()
