# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The guard of a host: it asks its peers for their epoch, and keeps a superseded master fenced.

It gives a master its clearance after a boot, fences one that another host has superseded or that
sees nobody any more, and tells the peers what this host is.
"""

from __future__ import annotations

import contextlib
import syslog
import threading
import time
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from . import (
    _address,
    _answering,
    _audit,
    _clearance,
    _cyrmaster,
    _fence,
    _fencing,
    _guard_state,
    _host_units,
    _notify,
    _peers,
    _posture,
    _role,
    _terms,
    _units,
    _verdict,
    _witness,
)
from ._endpoints import read_store
from ._errors import ReplicationError
from ._guard_state import Watch
from ._peers import Answer
from ._role import Record
from ._state import timestamp
from ._store import Store
from ._terms import Terms
from ._verdict import Verdict

BY = "guard"

# Seconds between two rounds of a master, of one whose peers are silent, and of others: what those
# have missed hurries nobody.
_OFTEN, _ALONE, _SELDOM = 2.0, 0.5, 10.0
_AUDIT = 60.0
# To bring back what serves clients, and to end it where that is in no hurry.
_SECONDS = 30.0
# To end it where another host may be master already: what is not done by then is killed.
_HASTE = 10.0
_LEVELS = {"watching": syslog.LOG_NOTICE, "waiting": syslog.LOG_WARNING}


class Guard:
    """One round after the other."""

    def __init__(self, store: Store, me: str, terms: Terms) -> None:
        self._store = store
        self._terms = terms
        self._peers = [host.name for host in store.hosts if host.name != me]
        now = time.monotonic()
        before = _guard_state.load()
        # A restart of the guard is no sign of life of the others, and ends nothing that was begun.
        if before is None or not 0 < before.contact <= now:
            before = Watch("", timestamp(), contact=now)
        self._watch = before
        # What was brought in line with the record once stays so, unless it failed.
        self._settled = False
        self._known: Record | None = None

    def round(self) -> float:
        """Ask everybody, and do what follows; returns in how many seconds to do so again."""
        heard = _peers.ask_all(self._store, self._peers)
        self._watch = replace(self._watch, peers=_peers.shown(heard))
        answers = [said for said in heard.values() if isinstance(said, Answer)]
        _terms.keep({said.record.host: said.terms for said in answers if said.terms})
        pause = _OFTEN if answers else _ALONE
        try:
            record, trouble = self._record()
            state, reason = self._act(record, answers)
            if trouble is not None:
                state, reason = "failing", trouble
            if record is None or record.role != "master":
                pause = _SELDOM
        except (ReplicationError, OSError) as error:
            state, reason = "failing", str(error)
        self._be(state, reason)
        return pause

    def _record(self) -> tuple[Record | None, str | None]:
        """This host's record; where that can't be read any more the last one, which it serves by,
        and why."""
        trouble = None
        try:
            found = _role.read()
            if found is None and self._known is not None:
                trouble = f"{_role.RECORD} is gone: restore it"
        except (ReplicationError, OSError) as error:
            found, trouble = None, f"{_role.RECORD} can't be read: {error}"
        self._known = found or self._known
        return self._known, trouble

    def _act(self, record: Record | None, answers: Sequence[Answer]) -> tuple[str, str | None]:
        """The state in which this host is then, and why."""
        if record is None or record.role == "replica":
            if record is not None:
                _forget_own_fence()
            return "watching", _verdict.passed_by(record, answers)
        if record.role == "fenced":
            self._settle()
            return "superseded", (
                f"{record.master} is master in epoch {record.epoch}, so {record.host} serves "
                "nobody: bring it back with rejoin"
            )
        cleared = _clearance.valid(record.epoch)
        lonely = self._lonely(bool(answers))
        return self._obey(record, _verdict.judge(record, answers, cleared, lonely, self._terms))

    def _obey(self, record: Record, verdict: Verdict) -> tuple[str, str | None]:
        if verdict.what == _verdict.SUPERSEDE and verdict.newer is not None:
            self._fence(str(verdict.reason))
            self._supersede(record, verdict.newer)
            return "superseded", verdict.reason
        if verdict.what == _verdict.EXPIRE and self._settled and _fence.read() is None:
            # An administrator has released it, for another lease.
            self._settled = False
            self._note(contact=time.monotonic())
        elif verdict.what in (_verdict.EXPIRE, _verdict.FENCE):
            self._fence(str(verdict.reason))
            return "fenced", verdict.reason
        else:
            # The next lease that is over fences anew.
            self._settled = False
        if verdict.what == _verdict.WAIT:
            return "waiting", verdict.reason
        if verdict.what == _verdict.HOLD:
            # An administrator's, so that nobody else releases it.
            _fence.put("administrator", str(verdict.reason))
        if verdict.what in (_verdict.CLEAR, _verdict.SERVE, _verdict.HOLD):
            self._clear(record, release=verdict.what == _verdict.CLEAR)
        fence = _fence.read()
        if fence is not None and fence.by == BY:
            return "fenced", fence.reason
        return "watching", verdict.reason

    def _lonely(self, answered: bool) -> float | None:
        """Seconds since anybody was seen; None where only peers could be."""
        now = time.monotonic()
        if answered or _witness.seen(self._terms.delivery_hosts):
            self._watch = replace(self._watch, contact=now)
        return now - self._watch.contact if self._terms.delivery_hosts else None

    def _clear(self, record: Record, release: bool) -> None:
        """This master may serve; a fence that the guard has put is removed, and one whose time is
        up."""
        fence = _fence.read()
        cleared = _clearance.valid(record.epoch)
        ends = fence is not None and release and (fence.over or fence.by == BY)
        if not cleared or ends:
            # Once more in the next round: Cyrus may just be about to start, with the old files.
            self._note(releasing=2)
        if not cleared:
            _clearance.grant(record.epoch)
        if fence is not None and ends and fence.by != BY:
            _say(f"the fence of {fence.by} ({fence.reason}) was until {fence.until}", "waiting")
        if self._watch.releasing and (fence is None or ends):
            _fencing.release(fence.by if fence else BY, _SECONDS)
            self._settled = False
            self._note(releasing=self._watch.releasing - 1)
        if self._watch.stopped:
            _units.queue([_units.CYRUS])
            self._note(stopped=False)

    def _note(self, **changed: Any) -> None:
        self._watch = replace(self._watch, **changed)
        self._watch.save()

    def _fence(self, reason: str) -> None:
        """Nobody is served from now on, whatever it takes."""
        try:
            fence = _fence.read()
            if self._settled and fence is not None:
                return
            # A change that was to come to an end may not know that somebody else can be master now.
            if fence is None or fence.by in ("switchover", "reseed"):
                _fence.put(BY, reason)
            _fencing.settle(time.monotonic() + _HASTE)
        except (ReplicationError, OSError) as error:
            # Without a clearance it does not come back, also where no fence can be written.
            _clearance.withdraw()
            _units.kill([_units.CYRUS])
            self._note(stopped=True)
            raise ReplicationError(f"Cyrus was stopped, since {error}") from error
        # It gives them up where the host may not serve.
        _address.up()
        self._settled = True

    def _supersede(self, record: Record, newer: Record) -> None:
        """This host's record says from now on that another is master."""
        _clearance.withdraw()
        wanted = replace(
            record, role="fenced", master=newer.master, epoch=newer.epoch, since=timestamp()
        )
        _role.ensure(wanted, "superseded", False)
        self._settled = False
        self._settle()

    def _settle(self) -> None:
        """The files and units of a host that is no master any more."""
        if self._settled:
            return
        _fencing.settle(time.monotonic() + _SECONDS)
        rendered = _posture.configuration()
        units = _host_units.unit_files(rendered.plan, rendered.request)
        names = [unit["name"] for unit in units]
        _units.end_stale(names, False)
        # Whoever has taken its place can read it from now on.
        _units.begin([name for name in names if name.startswith("cyrus-link@")])
        _address.up()
        fence = _fence.read()
        if fence is not None and fence.by != "administrator":
            _fence.remove()
        self._settled = True

    def _be(self, state: str, reason: str | None) -> None:
        since = self._watch.since
        if state != self._watch.state:
            since, text = timestamp(), state + (f": {reason}" if reason else "")
            _notify.notify(f"STATUS={text}")
            _say(text, state)
        self._note(state=state, since=since, reason=reason)


def _say(text: str, state: str) -> None:
    """A line in syslog, as loud as a state is."""
    syslog.syslog(_LEVELS.get(state, syslog.LOG_ALERT), text.replace("\n", " "))


def _forget_own_fence() -> None:
    """A host that is no master serves nobody anyway; the fence was for what it claimed to be."""
    fence = _fence.read()
    if fence is not None and fence.by == BY:
        _fence.remove()


def _keep_audit() -> None:
    """Who is touched on a master is noted all the time, so that little is left when it counts."""
    while True:
        time.sleep(_AUDIT)
        with contextlib.suppress(ReplicationError, OSError):
            # It notes itself what it could not do, and nobody is asked for it here.
            _audit.collect()


def run() -> int:
    """The service, until it is killed, which does no harm at any point."""
    syslog.openlog("cyrus-guard", syslog.LOG_PID, syslog.LOG_MAIL)
    store, (me, terms) = read_store(), _terms.own()
    _answering.start(store, me, terms)
    threading.Thread(target=_keep_audit, daemon=True).start()
    guard = Guard(store, me, terms)
    if _cyrmaster.main_pid() is not None:
        # Cyrus waits for a guard that is not ready yet, also where the guard restarts it.
        _notify.notify("READY=1")
    pause = guard.round()
    _notify.notify("READY=1")
    while True:
        time.sleep(pause)
        _notify.notify("WATCHDOG=1")
        pause = guard.round()
