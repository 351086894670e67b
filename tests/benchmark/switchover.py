# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How long nobody can write while the master changes, and whether each message is there once.

`python -m tests.benchmark.switchover [--users N] [--runs N]` on a lab that is up: sets up a store
with users, lets mail flow through the mail exchanger and from IMAP clients, and changes the master
to and fro. The ledger that judges the end uses nothing of the collection.
"""

from __future__ import annotations

import argparse
import itertools
import re
import statistics
import subprocess
import sys
import time

from tests.integration import lab
from tests.integration.ledger import Ledger, queued
from tests.integration.load import AppendLoad, SmtpLoad, Writers
from tests.integration.test_switchover import STORE, master, switchover, the_name

CLIENTS, RATE = 20, 20.0
_PHASES = re.compile(r"epoch \d+ \((.* s)\)$", re.MULTILINE)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def prepare(users: int) -> list[str]:
    """A store with so many users, and what stands around it; their names."""
    run = lab.playbook("setup")
    assert run.rc == 0, run.output
    for words in (["tests.lab.site"], ["tests.lab.mail", "--users", str(users)]):
        subprocess.run([sys.executable, "-m", *words], cwd=lab.ROOT, check=True)
    return [f"u{number:05}" for number in range(1, users + 1)]


def clients_outages(ledger: Ledger) -> list[float]:
    """Seconds from the last write that a client could make at one host to the first at the next."""
    writes = [entry for entry in ledger.accepted() if entry.way == "imap"]
    return [
        two.time - one.time for one, two in itertools.pairwise(writes) if one.server != two.server
    ]


def measure(users: list[str], runs: int) -> None:
    ledger, probe = Ledger(), Ledger()
    took: list[float] = []
    with (
        SmtpLoad(ledger, users, RATE),
        AppendLoad(ledger, users[:CLIENTS], the_name, RATE),
        Writers(STORE, users[-1], probe) as writers,
    ):
        for number in range(1, runs + 1):
            candidate = "imap2" if master() == "imap1" else "imap1"
            begun = time.monotonic()
            run = switchover(candidate)
            took.append(time.monotonic() - begun)
            assert run.rc == 0, run.output
            told = _PHASES.search(run.output)
            say(f"{number}: to {candidate} in {took[-1]:.1f} s: {told.group(1) if told else ''}")
            time.sleep(10)
    writers.assert_one_at_a_time()
    lab.until(lambda: queued() == 0, 300, what="the queue is empty")
    print(f"{len(users)} users, {runs} runs; seconds, median and most:")
    for name, seconds in (
        ("no host takes writes", writers.outages()),
        ("clients who follow the name can't write", clients_outages(ledger)),
        ("the whole playbook", took),
    ):
        print(f"  {name}: {statistics.median(seconds):.1f}, {max(seconds):.1f}")
    for host in STORE:
        for judged in (ledger, probe):
            verdict = judged.check_soon(host, 60)
            verdict.assert_exactly_once()
            print(f"  {host}: {verdict.accepted} accepted, each there once")
    bounces = ledger.bounces()
    print(f"  bounced: {len(bounces)}")
    assert not bounces, bounces


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=500)
    parser.add_argument("--runs", type=int, default=10)
    given = parser.parse_args()
    measure(prepare(given.users), given.runs)


if __name__ == "__main__":
    main()
