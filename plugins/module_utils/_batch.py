# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One log worked off: replicated, proven, and what is not proven halved until it stands alone.

sync_client ends at the first user that it cannot replicate, and those behind wait for ever. Here
what has not arrived is tried again in halves: all that can be replicated arrives, and what cannot
is left over by itself, first a user, then a mailbox of that user.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection
from typing import TypeVar

from . import _bundle, _events
from ._client import HASTY, HOPELESS, Client, Outcome
from ._ends import AwayError, Ends
from ._errors import ReplicationError
from ._events import Event, Target
from ._points import reach
from ._proof import Proof
from ._wire import StallError, WireError

T = TypeVar("T")

# So many owners at a time are held in memory.
_PORTION = 1000
# A target whose later events wait is left to them; not for ever.
_PATIENCE = 10

Bundle = list[Event]
# Told of what cannot be replicated: the events, and why each target has not arrived.
Blame = Callable[[Bundle, dict[Target, str], Outcome], None]


class _BrokenError(ReplicationError):
    """Asking about something breaks the connection, again and again."""


class Batch:
    """Works events off. `later` tells what has been logged meanwhile; `blame` is called with
    each part that fails by itself, and may raise if nobody's mailbox is at fault."""

    def __init__(
        self,
        client: Client,
        ends: Ends,
        later: Callable[[], Collection[Target]],
        blame: Blame,
    ) -> None:
        self._client = client
        self._ends = ends
        self._later = later
        self._blame = blame
        self._limit = HOPELESS
        self._postponed: Counter[Target] = Counter()

    def work_off(self, events: list[Event]) -> None:
        """Returns when the effect of every event is known."""
        self._limit = HOPELESS
        bundles = _events.by_owner(events)
        for start in range(0, len(bundles), _PORTION):
            self._try(bundles[start : start + _PORTION])

    def retry(self, events: Bundle) -> tuple[dict[Target, str], Outcome]:
        """As `replicate`, of what has failed before: nobody is to wait long for it."""
        self._limit = HASTY
        return self.replicate(events, talkative=True)

    def replicate(
        self, events: Bundle, talkative: bool = False
    ) -> tuple[dict[Target, str], Outcome]:
        """Runs sync_client once; what has not arrived, and why not."""
        targets = _bundle.targets_of(events)
        try:
            unproven, outcome = self._replicate(events, targets, talkative)
        except _BrokenError as error:
            unproven = dict.fromkeys(targets, str(error))
            outcome = Outcome(-1, stuck=isinstance(error.__cause__, StallError))
        reach("unproven" if unproven else "proven")
        return unproven, outcome

    def _replicate(
        self, events: Bundle, targets: list[Target], talkative: bool
    ) -> tuple[dict[Target, str], Outcome]:
        before = self._asked(lambda proof: proof.before(targets))
        reach("before the run")
        outcome = self._client.run([event.line for event in events], talkative, self._limit)
        reach("after the run")
        if not outcome.connected:
            raise AwayError("sync_client cannot connect to the replica, or was cut off from it")
        if outcome.stuck:
            self._limit = HASTY
        behind = self._asked(lambda proof: proof.behind(targets, before))
        if outcome.rc == 0 and not talkative:
            behind = self._without_postponed(behind)
        if behind:
            behind = self._asked(lambda proof: proof.unproven(behind, before))
        return behind, outcome

    def _asked(self, question: Callable[[Proof], T], again: bool = True) -> T:
        """What is damaged may end the process that is asked about it, on either side."""
        try:
            return question(self._ends.proof())
        except WireError as error:
            self._ends.close()
            self._ends.open()
            if not again or isinstance(error, StallError):
                raise _BrokenError(str(error)) from error
        return self._asked(question, again=False)

    def _try(self, bundles: list[Bundle]) -> None:
        unproven, outcome = self.replicate([event for bundle in bundles for event in bundle])
        suspects = [b for b in bundles if any(t in unproven for t in _bundle.targets_of(b))]
        if not suspects:
            return
        if len(suspects) > 1:
            reach("halved")
            half = len(suspects) // 2
            self._try(suspects[:half])
            self._try(suspects[half:])
        elif len(bundles) > 1:
            self._try(suspects)
        else:
            self._take_apart(suspects[0], unproven, outcome)

    def _take_apart(self, bundle: Bundle, unproven: dict[Target, str], outcome: Outcome) -> None:
        parts = _bundle.split(bundle, self._mailboxes)
        if len(parts) > 1:
            reach("split")
            self._try(parts)
            return
        if not outcome.stuck:
            # Once more by itself, now asked for its reasons.
            unproven, outcome = self.replicate(parts[0], talkative=True)
        if unproven:
            reach("blamed")
            self._blame(parts[0], unproven, outcome)

    def _mailboxes(self, user: str) -> list[str]:
        return self._ends.live_mailboxes([user])[user]

    def _without_postponed(self, behind: dict[Target, str]) -> dict[Target, str]:
        """A mailbox that was locked, or has changed again, has an event in the log by now."""
        later = self._later() if behind else ()
        before, self._postponed = self._postponed, Counter()
        rest = {}
        for target, why in behind.items():
            if target in later and before[target] < _PATIENCE:
                self._postponed[target] = before[target] + 1
            else:
                rest[target] = why
        return rest
