# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What becomes of a mailbox that cannot be replicated: into quarantine with the reason, and out."""

from __future__ import annotations

import time

from . import _advice, _bundle, _diagnosis, _events
from ._batch import Batch
from ._client import Outcome
from ._ends import Ends
from ._events import Event, Target
from ._points import reach
from ._quarantine import ADMINISTRATOR, REPLICATOR, Entry, Quarantine
from ._reporter import Reporter
from ._room import Room
from ._synclog import Owner


class Ward:
    """Puts into quarantine what fails while the replica is well, and lets out what works again."""

    def __init__(
        self,
        ends: Ends,
        log: Owner,
        quarantine: Quarantine,
        room: Room,
        reporter: Reporter,
    ) -> None:
        self._ends = ends
        self._log = log
        self._quarantine = quarantine
        self._room = room
        self._reporter = reporter

    def blame(self, events: list[Event], unproven: dict[Target, str], outcome: Outcome) -> None:
        """These events fail by themselves. Raises StalledError where all that is new would."""
        for target, why in unproven.items():
            diagnosis = _diagnosis.diagnose(self._ends, target, outcome)
            self._room.check(diagnosis.partition, diagnosis.largest)
            reason, advice = _advice.advise(why, diagnosis.finding)
            reach("held")
            self._hold(target, events, reason, advice)
            self._reporter.say(f"{target.name} is in quarantine: {reason}", failed=True)

    def _hold(self, target: Target, events: list[Event], reason: str, advice: str | None) -> None:
        self._quarantine.hold(target, reason, advice, REPLICATOR, events, time.time())
        self._quarantine.save()

    def keep(self, kept: dict[Target, list[Event]]) -> None:
        """The events of what is in quarantine wait there."""
        for target, events in kept.items():
            self._quarantine.keep(target, events)
        if kept:
            self._quarantine.save()
            reach("kept")

    def release(self, batch: Batch, entry: Entry) -> tuple[str, str | None] | None:
        """As `retry`, for one that an administrator held and does not hold any longer: where it
        fails, it is tried again like any other."""
        failed = self.retry(batch, entry)
        if failed is not None and entry.by == ADMINISTRATOR:
            events = [_events.read(line) for line in self._quarantine.release(entry.target)]
            self._hold(entry.target, events, *failed)
        return failed

    def retry(self, batch: Batch, entry: Entry) -> tuple[str, str | None] | None:
        """Tries an entry; None where it is released, else the reason and what to do."""
        target = entry.target
        events = [_events.read(line) for line in entry.events] or [_bundle.event_of(target)]
        unproven, outcome = batch.retry(events)
        reach("retried")
        if target in unproven:
            diagnosis = _diagnosis.diagnose(self._ends, target, outcome)
            reason, advice = _advice.advise(unproven[target], diagnosis.finding)
            self._quarantine.failed(target, reason, advice, time.time())
            self._quarantine.save()
            return reason, advice
        # An administrator may have spoken while that ran, and events may have come.
        now = self._quarantine.covers(target)
        if now is None or now.target != target:
            return None
        if now.by != entry.by:
            return now.reason, now.advice
        self._let_go(now)
        return None

    def _let_go(self, entry: Entry) -> None:
        """Out of quarantine; and all of its user is looked at once more, since mending it may have
        taken away more than what was in quarantine."""
        owner = _events.owner(entry.target)
        whole = entry.target if owner is None else Target("user", owner)
        self._log.append([*entry.events, _bundle.event_of(whole).line])
        self._quarantine.release(entry.target)
        self._quarantine.save()
        reach("released")
        self._reporter.say(f"{entry.target.name} is released from quarantine")
