# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One reading of some scopes on both sides: what is read together, and what was found. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from . import _names
from ._model import Mailbox
from ._parity import Difference, Tally
from ._session import quoted, quoted_list

# So many names go into one request, and so many shared mailboxes into one scope.
NAMES_PER_REQUEST = 100
# More differences than these are counted, not listed.
MAX_DIFFERENCES = 20000


@dataclass(frozen=True)
class Scope:
    """What is read and compared together: a user's mailboxes, or (user None) shared ones."""

    user: str | None
    names: tuple[str, ...]

    def requests(self) -> Iterator[str]:
        for start in range(0, len(self.names), NAMES_PER_REQUEST):
            yield "MAILBOXES " + quoted_list(self.names[start : start + NAMES_PER_REQUEST])
        if self.user is not None:
            yield "META " + quoted(self.user)

    @property
    def label(self) -> str:
        """What it is called in a report."""
        return self.user if self.user is not None else ", ".join(self.names[:3])


@dataclass(frozen=True)
class Unknown:
    """What could not be compared, and why; `user` is whose it is."""

    scope: str
    reason: str
    user: str | None = None


@dataclass
class Look:
    """One reading of some scopes; `names` is what each side lists."""

    names: tuple[frozenset[str], frozenset[str]]
    found: list[Difference] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    skipped: list[Unknown] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)
    to_open: list[tuple[str | None, str]] = field(default_factory=list)
    unreadable: list[tuple[str | None, str]] = field(default_factory=list)
    quota_roots: set[str] = field(default_factory=set)
    # Of mailboxes that both sides have, and that are not equal byte for byte.
    heads: dict[str, tuple[Mailbox, Mailbox]] = field(default_factory=dict)
    overflow: int = 0

    def add(self, differences: Iterable[Difference]) -> None:
        for difference in differences:
            if len(self.found) < MAX_DIFFERENCES:
                self.found.append(difference)
            else:
                self.overflow += 1

    @property
    def suspects(self) -> set[str | None]:
        """Users of whom something has to be looked at again."""
        return {d.user for d in self.found} | {u.user for u in [*self.unknown, *self.skipped]}

    @property
    def lone_users(self) -> set[str | None]:
        """Users who are on one side only."""
        return {d.user for d in self.found if d.kind == "user"}

    def floors(self) -> dict[str, Mailbox]:
        """Where mailboxes of the master stood."""
        return {name: ours for name, (ours, _theirs) in self.heads.items()}

    def count_message(self) -> None:
        self.tally.messages += 1


def scopes_of(names: Iterable[str]) -> list[Scope]:
    """All mailboxes, deleted ones included, by the user whose they are; shared ones in chunks."""
    by_user: dict[str | None, list[str]] = {}
    for name in names:
        if not _names.is_sieve(name):
            by_user.setdefault(_names.owner(name), []).append(name)
    shared = sorted(by_user.pop(None, []))
    scopes = [
        Scope(user, tuple(sorted(own)))
        for user, own in sorted(by_user.items(), key=lambda item: item[0] or "")
    ]
    scopes += [
        Scope(None, tuple(shared[start : start + NAMES_PER_REQUEST]))
        for start in range(0, len(shared), NAMES_PER_REQUEST)
    ]
    return scopes
