# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges what clients were told by what a server has in the end. Pure.

It knows of no mechanism: only of messages, places and answers.
"""

from __future__ import annotations

import itertools
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tests.integration.load import Turn

from .journal import Journal, Place


@dataclass(frozen=True)
class Found:
    """A message that a client sees."""

    place: Place
    ident: str
    flags: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Verdict:
    """Each a list of sentences; `retried` alone is no failure."""

    lost: list[str] = field(default_factory=list)
    duplicated: list[str] = field(default_factory=list)
    resurrected: list[str] = field(default_factory=list)
    dual_writers: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)
    unflagged: list[str] = field(default_factory=list)
    retried: list[str] = field(default_factory=list)

    def failures(self) -> list[str]:
        return [
            *(f"lost: {text}" for text in self.lost),
            *(f"duplicated: {text}" for text in self.duplicated),
            *(f"resurrected: {text}" for text in self.resurrected),
            *(f"dual writers: {text}" for text in self.dual_writers),
            *(f"UID reused: {text}" for text in self.reused),
            *(f"flag lost: {text}" for text in self.unflagged),
        ]


def judge(
    journal: Journal,
    found: Sequence[Found],
    archived: Collection[str],
    resent: Mapping[str, int],
    turns: Sequence[Turn],
) -> Verdict:
    """`resent`: how often the mail exchanger got no answer for a message, and sent it again."""
    count = Counter(one.ident for one in found if journal.ledger.is_ours(one.ident))
    extra = {ident: number - 1 for ident, number in count.items() if number > 1}
    excused = {ident for ident, number in extra.items() if number <= resent.get(ident, 0)}
    return Verdict(
        lost=_lost(journal, found, archived),
        duplicated=[f"{i} is there {count[i]} times" for i in extra if i not in excused],
        resurrected=[i for i in count if i in journal.expunged or i in journal.dropped],
        dual_writers=dual_writers(turns),
        reused=journal.reused + _reused(journal.seen, found),
        unflagged=_unflagged(journal.flags, found),
        retried=sorted(excused),
    )


def _lost(journal: Journal, found: Sequence[Found], archived: Collection[str]) -> list[str]:
    """What was accepted is in a mailbox of its user, or its user did away with it."""
    there = {(one.place.user, one.ident) for one in found}
    sentences = []
    for one in journal.ledger.accepted():
        if one.ident in journal.dropped:
            is_safe = one.ident in archived
        else:
            is_safe = one.ident in journal.doubtful or (one.user, one.ident) in there
        if not is_safe:
            sentences.append(f"{one.ident} to {one.user} by {one.way} at {one.server}")
    return sentences


def _reused(seen: Mapping[Place, str], found: Iterable[Found]) -> list[str]:
    return [
        f"{one.place} was {seen[one.place]} and is {one.ident}"
        for one in found
        if seen.get(one.place, one.ident) != one.ident
    ]


def _unflagged(flags: Mapping[str, set[str]], found: Iterable[Found]) -> list[str]:
    """What was flagged is so wherever it is."""
    has: dict[str, frozenset[str]] = defaultdict(frozenset)
    for one in found:
        has[one.ident] |= one.flags
    return [
        f"{ident}: {flag}"
        for ident, wanted in flags.items()
        for flag in sorted(wanted)
        if ident in has and flag not in has[ident]
    ]


def dual_writers(turns: Sequence[Turn]) -> list[str]:
    """No host may take a write before the last one of the host before it."""
    return [
        f"{two.host} took one at {two.sent:.3f}, {one.host} until {one.last:.3f}"
        for one, two in itertools.pairwise(turns)
        if two.sent < one.last
    ]
