# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Deliveries to a store, held on a host that hands mail to it, and released again.

What is held is noted before the first change (_holds), and the mail server's files follow from the
site's own text and the notes alone. So a run that was cut off is completed, or undone, by the next.
"""

from __future__ import annotations

import difflib
import os
import re
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

from . import _files, _holds, _state
from ._errors import ReplicationError
from ._holds import ADMINISTRATOR, HELD, RELEASING, Hold
from ._points import reach

# Tables whose entries stand in the setting itself.
_SECRET = re.compile(r"((?:static|inline):).*")


@dataclass(frozen=True)
class Change:
    """A file as it is and as it is to be; None where there is none."""

    path: str
    before: str | None
    after: str | None

    def diff(self) -> dict[str, str]:
        """Only the lines that change: a site's others may hold secrets."""
        lines = difflib.unified_diff(
            (self.before or "").splitlines(keepends=True),
            (self.after or "").splitlines(keepends=True),
            self.path,
            self.path,
            n=0,
        )
        return {"prepared": _SECRET.sub(r"\1********", "".join(lines))}


@dataclass
class Outcome:
    """What there is now, and what was done, or would be done."""

    held: bool | None
    by: str | None = None
    queued: int | None = None
    done: list[str] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)


class Driver(Protocol):
    """One kind of mail server."""

    name: str
    # Addresses whose machines do not answer any more: nothing that is open to them will end.
    dead: Sequence[str]

    def require_running(self) -> None:
        """Refuse a mail server that does not run."""

    def refuse(self, hold: Hold) -> None:
        """Refuse what can't be held here."""

    def agents(self, hold: Hold) -> Sequence[str]:
        """The services that hand over the mail that is meant."""

    def files(self, holds: Sequence[Hold]) -> Mapping[str, str | None]:
        """The files as they have to be while these are held."""

    def check_files(self) -> None:
        """Refuse files that the mail server would not start with."""

    def reload(self, hold: Hold, deadline: float) -> None:
        """Let the mail server read its files, and let what was being handed over end."""

    def holds(self, hold: Hold) -> bool:
        """Whether the mail server holds all that is meant, as it says itself."""

    def queued(self, hold: Hold) -> int:
        """Messages in the queue for it."""

    def flush(self, hold: Hold, others: Sequence[Hold]) -> None:
        """Try the queue at once; what others hold stays."""


# -- files


def _read(path: str) -> str | None:
    return _files.read(path) if os.path.exists(path) else None


def _changes(files: Mapping[str, str | None]) -> list[Change]:
    found = (Change(path, _read(path), text) for path, text in files.items())
    return [change for change in found if change.before != change.after]


def _put(path: str, text: str | None) -> None:
    path = os.path.realpath(path)
    if text is not None:
        old = os.stat(path) if os.path.exists(path) else None
        mode, uid, gid = (old.st_mode & 0o7777, old.st_uid, old.st_gid) if old else (0o644, 0, 0)
        _files.write(path, text, mode, uid, gid)
        # Each of Postfix's programs waits until main.cf is older than this second.
        before = time.time() - 2
        os.utime(path, (before, before))
    elif os.path.exists(path):
        os.unlink(path)
        _files.sync_directory(os.path.dirname(path))


def _install(driver: Driver, changes: Sequence[Change]) -> None:
    """Put all of them in place, or none. No file names one that is not there."""
    ordered = sorted(changes, key=lambda change: change.after is None)
    try:
        for change in ordered:
            _put(change.path, change.after)
        driver.check_files()
    except (OSError, ReplicationError) as error:
        for change in reversed(ordered):
            _put(change.path, change.before)
        raise ReplicationError(f"nothing was changed: {error}") from error


# -- what there is to do


def hold(driver: Driver, wanted: Hold, check: bool, seconds: float) -> Outcome:
    """Keep the mail in the queue. When this returns nothing is being handed over any more."""
    driver.require_running()
    driver.refuse(wanted)
    before, others = _split(driver, wanted)
    if before is not None and not before.same(wanted):
        _refuse_others(before, wanted.by)
    changes = _changes(driver.files([*others, wanted]))
    wanted = _owned(wanted, before)
    settled = before is not None and before.phase == HELD and before.same(wanted)
    if before is not None and settled and not changes and driver.holds(wanted):
        return _held_already(before, wanted, driver.queued(wanted), check)
    done = [f"hold {what}" for what in (*wanted.domains, *wanted.transports)]
    if check:
        return _foreseen(before, driver.queued(wanted), done, changes)
    deadline = time.monotonic() + seconds
    # Once it is held, nobody can say any more who handed the domains' mail over.
    agents = before.agents if before and before.same(wanted) else driver.agents(wanted)
    wanted = replace(wanted, agents=tuple(agents))
    _holds.note(wanted)
    reach("noted")
    try:
        _install(driver, changes)
    except ReplicationError:
        _holds.forget(wanted.store)
        if before is not None:
            _holds.note(before)
        raise
    reach("installed")
    driver.reload(wanted, deadline)
    reach("reloaded")
    if not driver.holds(wanted):
        raise ReplicationError(
            f"{driver.name} does not hold the mail of store {wanted.store} after its files were "
            "changed: see whether another of its settings overrides "
            + " and ".join(change.path for change in changes)
        )
    _holds.note(replace(wanted, phase=HELD))
    return Outcome(True, wanted.by, driver.queued(wanted), done, changes)


def _owned(wanted: Hold, before: Hold | None) -> Hold:
    """With its owner: who holds it already, unless an administrator takes it over."""
    if before is None or (wanted.by == ADMINISTRATOR and before.by != ADMINISTRATOR):
        return replace(wanted, since=_state.timestamp())
    return replace(wanted, by=before.by, since=before.since)


def _held_already(before: Hold, wanted: Hold, queued: int, check: bool) -> Outcome:
    """Nothing is left to change but the owner."""
    if before.by == wanted.by:
        return Outcome(True, before.by, queued)
    if not check:
        _holds.note(replace(before, by=wanted.by, since=wanted.since))
    by = before.by if check else wanted.by
    return Outcome(True, by, queued, [f"take over the hold of {before.by}"])


def _refuse_others(before: Hold, by: str) -> None:
    """Nobody but an administrator changes or takes back what another holds."""
    if by not in (before.by, ADMINISTRATOR):
        raise ReplicationError(
            f"deliveries to the store {before.store} are held by {before.by} since "
            f"{before.since}: release them as an administrator, with the module delivery_hold, "
            "state=released by=administrator"
        )


def _foreseen(
    before: Hold | None, queued: int | None, done: list[str], changes: list[Change]
) -> Outcome:
    """What there is while nothing is done."""
    return Outcome(before is not None, before.by if before else None, queued, done, changes)


def release(driver: Driver, wanted: Hold, check: bool, flush: bool, seconds: float) -> Outcome:
    """Let the mail go again, with the files as the site had them."""
    before, others = _split(driver, wanted)
    if before is not None:
        _refuse_others(before, wanted.by)
    changes = _changes(driver.files(others))
    if before is None and not changes:
        return Outcome(False, queued=_queued(driver, wanted))
    meant = before or wanted
    done = [f"release {what}" for what in (*meant.domains, *meant.transports)]
    done += ["flush the queue"] if flush else []
    if check:
        return _foreseen(before, _queued(driver, meant), done, changes)
    driver.require_running()
    _holds.note(replace(meant, phase=RELEASING))
    reach("noted")
    _install(driver, changes)
    reach("installed")
    driver.reload(meant, time.monotonic() + seconds)
    reach("reloaded")
    queued = _queued(driver, meant)
    if flush:
        driver.flush(meant, others)
        reach("flushed")
    _holds.forget(meant.store)
    return Outcome(False, None, queued, done, changes)


def nothing_known(driver: str) -> dict[str, object]:
    """What is told of a mail server that can't be asked."""
    found: dict[str, object] = {"driver": driver}
    found.update(dict.fromkeys(("running", "held", "by", "since", "queued", "reason")))
    return found


def look(driver: Driver, wanted: Hold) -> dict[str, object]:
    """What there is, and the first reason that stands against a hold; never fails."""
    found = nothing_known(driver.name)
    try:
        before, _others = _split(driver, wanted)
        if before is not None:
            found.update(by=before.by, since=before.since)
        found["running"] = False
        driver.require_running()
        found["running"] = True
        if before is None:
            found["held"] = False
            driver.refuse(wanted)
            driver.check_files()
        else:
            found["held"] = before.phase == HELD and driver.holds(before)
        found["queued"] = driver.queued(before or wanted)
    except (OSError, ReplicationError) as error:
        found["reason"] = str(error)
    return found


def _split(driver: Driver, wanted: Hold) -> tuple[Hold | None, list[Hold]]:
    """The hold of this store, and those of others."""
    found = _holds.noted(driver.name)
    mine = [hold for hold in found if hold.store == wanted.store]
    return (mine[0] if mine else None), [hold for hold in found if hold.store != wanted.store]


def _queued(driver: Driver, meant: Hold) -> int | None:
    try:
        return driver.queued(meant)
    except ReplicationError:
        return None
