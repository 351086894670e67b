# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python -m tests.chaos --rounds N [--seed S]`: the last line tells what was lost."""

from __future__ import annotations

import argparse
import secrets
import sys

from . import exam, faults, plain, store
from .round import Outcome, Ways


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add = parser.add_argument
    add("--rounds", type=int, default=18, metavar="N", help="rounds that count (default 18)")
    add("--seed", default="", metavar="S", help="of an earlier run, to draw the same again")
    add("--fault", action="append", default=[], choices=[fault.name for fault in faults.FAULTS])
    add("--plain", action="store_true", help="what is lost without failover and rejoin")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    seed = args.seed or secrets.token_hex(4)
    print(f"seed={seed}", flush=True)
    store.boot()
    for host in store.STORE:
        faults.clear(host)
    store.prepare()
    ways = Ways(plain.failover, plain.rejoin) if args.plain else Ways()
    outcomes: list[Outcome] = []
    for outcome in exam.rounds(args.rounds, seed, ways, args.fault):
        outcomes.append(outcome)
        print(exam.line(len(outcomes), outcome), flush=True)
        for failure in outcome.verdict.failures():
            print(f"  {failure}", flush=True)
    print("\n".join(exam.table(outcomes)))
    if unmet := exam.unmet(outcomes):
        print(f"no fault came while {', '.join(sorted(unmet))}: run more rounds")
    print(f"seed={seed}")
    print(exam.last_line(outcomes))
    return int(any(outcome.verdict.failures() for outcome in outcomes))


if __name__ == "__main__":
    sys.exit(main())
