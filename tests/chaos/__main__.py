# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""`python -m tests.chaos --rounds N [--seed S]`: the last line tells what was lost.

A run that was cut off is gone on with; one that came to its end, or failed, is put aside.
"""

from __future__ import annotations

import argparse
import json
import secrets
import sys

from . import exam, faults, plain, store
from .deck import Card
from .goal import Goal, last_line, line
from .round import Ways


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    add = parser.add_argument
    names = [fault.name for fault in faults.FAULTS]
    add("--rounds", type=int, metavar="N", help="rounds that count (default 18, of a card 1)")
    add("--seed", default="", metavar="S", help="of an earlier run, to draw the same again")
    add("--fault", action="append", choices=names)
    add("--card", type=_card, metavar="JSON", help="the card of a round, to play that again")
    add("--plain", action="store_true", help="what is lost without failover and rejoin")
    args = parser.parse_args()
    args.rounds = args.rounds or (1 if args.card else 18)
    args.fault = args.fault or ([args.card.fault] if args.card else names)
    return args


def _card(text: str) -> Card:
    try:
        return Card(**json.loads(text))
    except (ValueError, TypeError) as error:
        raise argparse.ArgumentTypeError(f"{text} is no card: {error}") from error


def main() -> int:
    args = _arguments()
    goal = Goal(args.rounds, args.fault)
    name = "plain" if args.plain else "again" if args.card else "rounds"
    record = exam.begin(name, args.seed, goal)
    played = record.outcomes
    seed = played[0].seed if played else args.seed or secrets.token_hex(4)
    print(f"seed={seed}, {len(played)} rounds were played before", flush=True)
    store.boot()
    ways = Ways(plain.failover, plain.rejoin) if args.plain else Ways()
    for outcome in exam.rounds(goal, record, seed, ways, args.card):
        print("\n".join([line(outcome), *(f"  {text}" for text in outcome.failures())]), flush=True)
    left = goal.left(played)
    print("\n".join([*goal.table(played), *left]))
    print(f"seed={seed}")
    print(last_line(played))
    return int(bool(left) or any(outcome.failures() for outcome in played))


if __name__ == "__main__":
    sys.exit(main())
