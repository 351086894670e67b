# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What an old master alone has, brought to the new one: compared, archived, carried out, and
compared again until nothing is left to be done.

Nothing of where it stands is kept but the archive: a run that was cut off is completed by the next
one, since the comparison finds what is there already.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import (
    _alone,
    _endpoints,
    _files,
    _former,
    _merge,
    _names,
    _peers,
    _points,
    _rejoins,
    _role,
    _survey,
)
from ._apply import Applier, grouped
from ._errors import ReplicationError
from ._install import Install
from ._plan import NEW, OLD, DeleteMailbox, Plan, Step, ends_user
from ._rescue import Archive
from ._session import Endpoint, Session
from ._survey import Holding

ARCHIVE = "archive"

# Clients go on meanwhile, so a step may meet another mailbox than was compared.
_ROUNDS = 3
# A large mailbox is taken in one go.
_SECONDS = 600.0
# One whose controller has died comes to its end by itself.
_TURN_SECONDS = 120.0


@dataclass(frozen=True)
class Asked:
    """`epoch` is that of the merge base; `path` the socket of an IMAP server that has the old
    master's data, where that host itself is gone; `user` limits all to one user; `without_base`
    archives everything and merges nothing."""

    old: str
    epoch: int
    path: str | None = None
    user: str | None = None
    without_base: bool = False

    @property
    def folder(self) -> str:
        return _rejoins.folder(self.epoch)

    @property
    def base(self) -> str:
        return _rejoins.base_of(self.epoch)

    @property
    def returned(self) -> str:
        return _rejoins.returned_of(self.epoch)

    @property
    def report(self) -> str:
        return os.path.join(self.folder, f"report-{self.old}.json")


@dataclass
class Report:
    """What was found and done. `left` are the steps that were not carried out in the end;
    `touched_on_old` the owners whose copy on the old master is not what the base says."""

    archive: str
    changed: bool = False
    counts: dict[str, int] = field(default_factory=dict)
    plan: list[dict[str, Any]] = field(default_factory=list)
    conflicts: list[dict[str, Any]] = field(default_factory=list)
    failures: list[dict[str, Any]] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    touched_on_old: list[str | None] = field(default_factory=list)
    left: int = 0

    @property
    def trouble(self) -> str | None:
        """Why the old master's data is still needed where it is, if so."""
        if self.unknown:
            more = f" and {len(self.unknown) - 1} more" if len(self.unknown) > 1 else ""
            return f"not everything could be read: {self.unknown[0]}{more}"
        if self.left:
            told = self.failures[0]["reason"] if self.failures else "clients came in between"
            return f"{self.left} steps are not carried out ({told}): run it again"
        return None


def copy_back(asked: Asked, check: bool) -> Report:
    """All of it, or with `check` what would be done."""
    report = Report(archive=os.path.join(asked.folder, ARCHIVE))
    install, me = Install.discover(), _own_record(asked)
    new, old = _own_endpoint(me, install), _old_endpoint(asked, me, install)
    if not asked.without_base and not os.path.exists(asked.base):
        raise ReplicationError(
            f"this host has no merge base of epoch {asked.epoch}: {asked.base} is missing"
        )
    turn = contextlib.nullcontext() if check else _turn(asked.folder)
    with turn, closing(Session(old)) as there, closing(Session(new)) as here:
        if here.is_same_server(there) and not asked.path:
            raise ReplicationError(f"{asked.old} leads to this host: correct its address")
        if not sum(1 for _mailbox in there.listing()):
            raise ReplicationError(
                f"{asked.old} lists no mailbox at all: see that its disk is whole and its list of "
                "mailboxes is there"
            )
        work = _Work(asked, report, there, here, install)
        plans = work.plans()
        report.plan = [step.as_dict() for plan in plans for step in plan.steps]
        _tell(report, plans)
        if check:
            report.changed = bool(report.plan) or work.archive.lacks(plans)
            return report
        work.carry_out(plans)
        if report.trouble is None:
            work.remember()
    _write(asked, report)
    return report


class _Work:
    """One copy-back, with both servers open."""

    def __init__(
        self, asked: Asked, report: Report, there: Session, here: Session, install: Install
    ) -> None:
        self.archive = Archive(report.archive)
        self._asked = asked
        self._report = report
        self._there = there
        self._here = here
        self._install = install
        # Of this host's mailboxes by unique id, as far as they have been seen.
        self._names: dict[str, str] = {}
        header = {} if asked.without_base else _survey.read(asked.base)[0]
        # Whom the base was kept for; any other host was a replica of that one.
        self._master = header.get("old")
        self._is_ancestor = not header.get("superseded")

    def plans(self, owners: set[str | None] | None = None) -> list[Plan]:
        """What has to be done, of everybody or of some owners."""
        wanted = owners
        if self._asked.user is not None:
            wanted = {self._asked.user}
        old, new = (
            _survey.survey(session, _of_owners(session.listing(), wanted))
            for session in (self._there, self._here)
        )
        if self._asked.without_base:
            plans = _merge.merge_all(None, old, new, self._names)
        elif self._asked.old == self._master:
            plans = _merge.merge_all(self._base(wanted), old, new, self._names)
            if not self._is_ancestor:
                plans = [_former.only_added(plan) for plan in plans]
        else:
            plans = self._of_former(wanted, old, new)
        return [plan for plan in plans if wanted is None or plan.owner in wanted]

    def _of_former(
        self, wanted: set[str | None] | None, old: Iterator[Holding], new: Iterator[Holding]
    ) -> list[Plan]:
        """The plans where the old host was a replica."""
        former = _former.Former()
        beyond = former.beyond(self._base(wanted), old)
        merged = _merge.merge_all(self._base(wanted), beyond, new, self._names)
        plans = map(former.corrected, merged)
        if not os.path.exists(self._asked.returned):
            return list(plans)
        return _former.only_new(plans, _survey.read(self._asked.returned)[1])

    def _base(self, wanted: set[str | None] | None) -> Iterator[Holding]:
        _header, base = _survey.read(self._asked.base)
        return (one for one in base if wanted is None or one.owner in wanted)

    def remember(self) -> None:
        """What the old master had, for those of its replicas that come back later: what it knew
        of is brought back already."""
        asked = self._asked
        others = set(_rejoins.awaited(asked.epoch)) - {asked.old}
        if asked.old == self._master and others and asked.user is None:
            header = {"epoch": asked.epoch, "host": asked.old}
            there = _survey.survey(self._there, self._there.listing())
            _survey.write(asked.returned, header, there)

    def carry_out(self, plans: list[Plan]) -> None:
        counts: Counter[str] = Counter()
        report = self._report
        for _round in range(_ROUNDS):
            self._keep(plans, counts)
            todo = [plan for plan in plans if plan.steps]
            if not todo:
                break
            report.failures = [failed for plan in todo for failed in self._steps(plan, counts)]
            plans = self.plans({plan.owner for plan in todo})
            # What clients did in between may clash as well, and be read no more.
            told = [conflict.as_dict() for plan in plans for conflict in plan.conflicts]
            report.conflicts += [one for one in told if one not in report.conflicts]
            self._note_unknown(sentence for plan in plans for sentence in plan.unknown)
        else:
            self._keep(plans, counts)
        # What can't be read is no step that could be carried out.
        report.left = sum(len(self.archive.covered(plan)) for plan in plans)
        report.counts.update(counts)
        report.changed = any(counts.values())

    def _keep(self, plans: list[Plan], counts: Counter[str]) -> None:
        kept = self.archive.keep(plans, {OLD: self._there, NEW: self._here})
        _points.reach("archived")
        counts.update(
            archived=kept.messages, archived_bytes=kept.bytes, archived_scripts=kept.scripts
        )
        self._note_unknown(kept.unknown)

    def _note_unknown(self, sentences: Iterable[str]) -> None:
        known = self._report.unknown
        known += [one for one in dict.fromkeys(sentences) if one not in known]

    def _steps(self, plan: Plan, counts: Counter[str]) -> Iterator[dict[str, Any]]:
        """Carries out a plan's steps; what fails stops none of the others, but that the INBOX is
        there as long as any other mailbox of the user."""
        stays = False
        for group in grouped(self.archive.covered(plan)):
            held = stays and ends_user(group[0])
            reason = "another mailbox of the user stays" if held else self._failure(group)
            stays |= reason is not None and isinstance(group[0], DeleteMailbox)
            _points.reach("carried")
            if reason is None:
                counts.update(_counted(group))
            else:
                yield from ({"step": step.as_dict(), "reason": reason} for step in group)

    def _failure(self, group: list[Step]) -> str | None:
        """Why a group could not be carried out, if so."""
        try:
            # Each its own: a step that fails may leave a session of no further use.
            with closing(Session(self._here.endpoint)) as session:
                Applier(session, self.archive.path, self._install.partitions()).carry_out(group)
        except (ReplicationError, OSError) as error:
            return str(error)
        return None


def _counted(group: list[Step]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for step in group:
        counts[step.verb] += 1
        counts["messages"] += len(getattr(step, "messages", ()))
    return counts


def _tell(report: Report, plans: list[Plan]) -> None:
    report.conflicts = [conflict.as_dict() for plan in plans for conflict in plan.conflicts]
    report.unknown = [sentence for plan in plans for sentence in plan.unknown]
    report.touched_on_old = [plan.owner for plan in plans if plan.touched_on_old]
    report.counts = {
        "owners": len(plans),
        "conflicts": len(report.conflicts),
        "saves": sum(len(plan.saves) for plan in plans),
        "steps": len(report.plan),
    }


def _write(asked: Asked, report: Report) -> None:
    if report.changed or not os.path.exists(asked.report):
        try:
            _files.write(asked.report, json.dumps(asdict(report), indent=1) + "\n", 0o600)
        except OSError as error:
            raise ReplicationError(
                f"{asked.report} can't be written ({error.strerror}): make room and run it again"
            ) from error


# -- the two servers


def _own_record(asked: Asked) -> _role.Record:
    record = _role.read()
    if record is None or record.role != "master":
        raise ReplicationError("this host is no master: run it on the store's new master")
    if asked.old == record.host:
        raise ReplicationError(f"{asked.old} is this host: name the old master")
    return record


def _own_endpoint(me: _role.Record, install: Install) -> Endpoint:
    own = _endpoints.own(_endpoints.read_store(), me.host, install.settings)
    return replace(own, answer_timeout=_SECONDS)


def _old_endpoint(asked: Asked, me: _role.Record, install: Install) -> Endpoint:
    if asked.path is not None:
        return replace(_own_endpoint(me, install), name=asked.old, path=asked.path)
    store = _endpoints.read_store()
    told = _peers.ask(store, asked.old).record
    if (told.role, told.epoch) != ("fenced", me.epoch):
        raise ReplicationError(
            f"{asked.old} is {told.role} in epoch {told.epoch}, not fenced in epoch {me.epoch}: "
            "let its guard see the new master first"
        )
    return _endpoints.reading(store, asked.old, install.settings)


def _of_owners(names: Iterable[str], owners: set[str | None] | None) -> Iterator[str]:
    return (name for name in names if owners is None or _names.owner(name) in owners)


def _turn(folder: str) -> contextlib.AbstractContextManager[None]:
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
    except OSError as error:
        raise ReplicationError(f"{folder} can't be made: {error.strerror}") from error
    return _alone.alone(
        folder, "another copy-back is running on this host: wait for it", _TURN_SECONDS
    )
