# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs on the master: `sync_client -A` with nothing to do and a full parity check, in turns, each
as a process of its own, and prints what each run took.

Arguments: the replica, its channel, the level and the number of rounds. The library lies beside
this file as the package `module_utils`.
"""

from __future__ import annotations

import json
import os
import sys
import time

SYNC_CLIENT = "/usr/lib/cyrus/bin/sync_client"


def parity(replica: str, channel: str, level: str) -> int:
    """One check, printed as its report."""
    from module_utils._pair import check, pair_of  # type: ignore[import-not-found]

    side = {"path": None, "host": None}
    options = {
        "store": "store1",
        "epoch": None,
        "level": level,
        "channel": channel,
        "settle": 30.0,
        "master": {"name": "master", **side},
        "replica": {"name": replica, **side},
    }
    report = check(pair_of(options), lambda what, done, total: None)
    print(json.dumps(report))
    return 0 if report["in_sync"] is True else 1


def timed(argv: list[str], user: str | None = None) -> dict[str, float]:
    """Wall time in seconds and peak memory in MB of a process that has to succeed."""
    begin = time.monotonic()
    pid = os.fork()
    if pid == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        if user is not None:
            argv = ["setpriv", f"--reuid={user}", "--regid=mail", "--init-groups", *argv]
        os.execvp(argv[0], argv)
    _pid, status, usage = os.wait4(pid, 0)
    if status != 0:
        raise SystemExit(f"{' '.join(argv)} failed with status {status}")
    return {"seconds": time.monotonic() - begin, "megabytes": usage.ru_maxrss / 1024}


def main() -> None:
    if sys.argv[1] == "parity":
        sys.exit(parity(*sys.argv[2:5]))
    replica, channel, level, rounds = sys.argv[1:5]
    check = [sys.executable, os.path.abspath(__file__), "parity", replica, channel, level]
    sync = [SYNC_CLIENT, "-A", "-n", channel]
    timed(sync, "cyrus"), timed(check)
    turns = range(int(rounds))
    print(json.dumps([{"sync": timed(sync, "cyrus"), "parity": timed(check)} for _turn in turns]))


if __name__ == "__main__":
    main()
