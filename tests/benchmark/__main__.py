# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Full summary parity against `sync_client -A` with nothing to do, over the same link, in turns.

`make bench` boots the lab; this sets up a store, fills it, measures, and prints the table of
docs/benchmarks.md.
"""

from __future__ import annotations

import base64
import io
import json
import os
import statistics
import subprocess
import sys
import tarfile
from typing import Any

from tests.integration import lab

MASTER, REPLICA, CHANNEL = "imap1", "imap2", "imap2"
USERS, FOLDERS = 500, 4
MESSAGES = (10, 100)
ROUNDS = 9
PLACE = "/root/benchmark"

COLUMNS = (
    "messages a mailbox",
    "`sync_client -A`",
    "parity",
    "ratio",
    "users/s",
    "mailboxes/s",
    "peak memory",
)


def say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def ship() -> None:
    """Put the library and the part that runs on the master there."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        archive.add(lab.ROOT / "plugins/module_utils", "module_utils")
        archive.add(lab.ROOT / "tests/benchmark/on_master.py", "on_master.py")
    lab.ssh(
        MASTER,
        f"mkdir -p {PLACE} && base64 -d | tar -xz -C {PLACE}",
        data=base64.b64encode(packed.getvalue()).decode(),
    )


def fill(messages: int) -> None:
    command = [sys.executable, "-m", "tests.lab.mail", "--users", str(USERS)]
    command += ["--folders", str(FOLDERS), "--messages", str(messages)]
    subprocess.run(command, cwd=lab.ROOT, check=True, stdin=subprocess.DEVNULL)
    lab.until(drained, 1800, what="an empty log of the channel")


def drained() -> bool:
    return not lab.ssh(MASTER, f"ls /var/lib/cyrus/sync/{CHANNEL}").stdout.split()


def measure() -> list[dict[str, Any]]:
    command = f"python3 {PLACE}/on_master.py {REPLICA} {CHANNEL} summary {ROUNDS}"
    rounds: list[dict[str, Any]] = json.loads(lab.ssh(MASTER, command, timeout=3600).stdout)
    return rounds


def row(messages: int, rounds: list[dict[str, Any]]) -> str:
    """Medians of all rounds; the ratio is the median of the rounds' own ratios."""
    sync = statistics.median(entry["sync"]["seconds"] for entry in rounds)
    parity = statistics.median(entry["parity"]["seconds"] for entry in rounds)
    ratio = statistics.median(
        entry["parity"]["seconds"] / entry["sync"]["seconds"] for entry in rounds
    )
    memory = max(entry["parity"]["megabytes"] for entry in rounds)
    return (
        f"| {messages} | {sync:.2f} s | {parity:.2f} s | {ratio:.2f} "
        f"| {USERS / parity:.0f} | {USERS * FOLDERS / parity:.0f} | {memory:.0f} MB |"
    )


def main() -> None:
    run = lab.playbook("setup")
    if run.rc != 0:
        sys.exit(run.output)
    ship()
    lab.lab("snapshot", "save", "benchmark")
    rows = []
    for messages in MESSAGES:
        lab.lab("snapshot", "restore", "benchmark")
        say(f"{USERS} users with {FOLDERS} mailboxes of {messages} messages")
        fill(messages)
        rows.append(row(messages, measure()))
        say(rows[-1])
    print(f"| {' | '.join(COLUMNS)} |\n|{'---|' * len(COLUMNS)}")
    print("\n".join(rows))
    print(f"\n{os.cpu_count()} cores carry all hosts; {ROUNDS} rounds each.")


if __name__ == "__main__":
    main()
