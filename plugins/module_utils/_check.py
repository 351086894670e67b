# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Compares a master and a replica: both are read in lockstep, and what differs is looked at again
once the replica has had the time to catch up.

A look reads everything of some scopes (a user, or some shared mailboxes) on both sides. What two
looks find alike, with nothing on its way in between, is a difference; what never settles is
lagging; what could not be read is unknown.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import islice

from . import _names, _parity
from ._dlist import FormatError
from ._floor import without_later
from ._look import NAMES_PER_REQUEST, Look, Scope, Unknown, scopes_of
from ._model import SCRIPT_MAILBOXES_SINCE, Mailbox, State
from ._parity import MAX_PER_MAILBOX, Difference, Tally
from ._session import Answer, FullMailbox, Session, quoted, quoted_list
from ._synclog import SyncLog, Waiting
from ._touched import Touched

Progress = Callable[[str, int, int], None]

_LOOK_AGAIN_AFTER = 0.5
# So many looks have to find a difference alike; one more where its mailbox was logged meanwhile,
# since sync_client logs a locked mailbox again instead of replicating it.
_ENOUGH_LOOKS = 2

# A CRC that says nothing: 0, which Cyrus takes for equal to all.
_CRC_ZERO = re.compile(rb" SYNC_CRC 0 (?!.* LAST_UID 0 )")
_QUOTA_ROOT = re.compile(rb' QUOTAROOT ([^ ()"{]+)?')
_UNIQUE_ID = re.compile(rb'\AMAILBOX %\(UNIQUEID ([^ ]+) MBOXNAME ([^ "{]+|"[^"]*")')


@dataclass(frozen=True)
class Side:
    """One of the two servers: its session, and what lists its mailboxes by internal name."""

    name: str
    session: Session
    listing: Callable[[], Iterable[str]]


@dataclass
class Findings:
    """What a comparison came to."""

    differences: list[Difference] = field(default_factory=list)
    lagging: list[Difference] = field(default_factory=list)
    unknown: list[Unknown] = field(default_factory=list)
    skipped: list[Unknown] = field(default_factory=list)
    tally: Tally = field(default_factory=Tally)


class Check:
    """A comparison of `master` and `replica` at a level, summary or messages.

    `log` is the channel's log where it can be read, which tells what is on its way. `settle` is
    how long, in seconds, the replica may take to catch up. What is not `touched` is equal as far as
    both sides list it; None compares all.
    """

    def __init__(
        self,
        master: Side,
        replica: Side,
        level: str,
        log: SyncLog | None,
        settle: float,
        progress: Progress,
        touched: Touched | None = None,
    ) -> None:
        self._master = master
        self._replica = replica
        self._level = level
        self._log = log
        self._settle = settle
        self._progress = progress
        self._touched = touched
        # Names of the master's mailboxes by their unique ids.
        self._names: dict[str, str] = {}

    def run(self) -> Findings:
        look = self._look(None, "compared")
        findings = Findings(tally=look.tally, skipped=list(look.skipped))
        self._look_again(look, findings)
        if look.overflow:
            findings.skipped.append(
                Unknown("report", f"{look.overflow} further differences are not listed")
            )
        return findings

    # -- looking again

    def _look_again(self, look: Look, findings: Findings) -> None:
        """Until all that was found has settled, or the time is up."""
        deadline = time.monotonic() + self._settle
        floors = look.floors()
        settled: dict[Difference, None] = {}
        looks = dict.fromkeys(look.found, 1)
        while look.found or look.unknown:
            on_its_way = self._waiting()
            caught_up = self._catch_up(deadline)
            again = self._look(look.suspects, "looked at again")
            again.found = without_later(again.found, floors, again.heads)
            floors = {**again.floors(), **floors}
            # What fills the list of a mailbox may be on its way, and hide what is not.
            kept = (one for one in findings.skipped if one.user not in look.suspects)
            findings.skipped = [*kept, *again.skipped]
            on_its_way = self._waiting() if caught_up else on_its_way | self._waiting()
            looks = {d: looks.get(d, 0) + 1 for d in [*settled, *again.found]}
            moving = {
                (d.user, d.mailbox)
                for d in again.found
                if looks[d] < _ENOUGH_LOOKS
                or (
                    (d.user, d.mailbox) in on_its_way
                    and not (caught_up and looks[d] > _ENOUGH_LOOKS)
                )
            }
            found = set(again.found)
            settled = {d: None for d in settled if d in found or d.user not in look.suspects}
            settled.update((d, None) for d in again.found if (d.user, d.mailbox) not in moving)
            again.found = [d for d in again.found if (d.user, d.mailbox) in moving]
            look = again
            if time.monotonic() >= deadline:
                break
        findings.differences = _parity.pair_renames(settled)
        findings.lagging = look.found
        findings.unknown = look.unknown

    def _waiting(self) -> Waiting:
        return self._log.waiting() if self._log else Waiting()

    def _catch_up(self, deadline: float) -> bool:
        """Waits until all that was logged by now has been done; whether it has."""
        if self._log is None:
            time.sleep(self._settle)
            return False
        time.sleep(_LOOK_AGAIN_AFTER)
        mark = self._log.mark()
        try:
            while not mark.passed():
                if time.monotonic() >= deadline:
                    return False
                time.sleep(0.05)
            return True
        finally:
            mark.close()

    # -- one look

    def _look(self, users: set[str | None] | None, verb: str) -> Look:
        """At these users (None among them: at shared mailboxes), or at all."""
        names = frozenset(self._master.listing()), frozenset(self._replica.listing())
        wanted = names[0] | names[1] if self._touched is None else self._touched.of(*names)
        scopes = [s for s in scopes_of(wanted) if users is None or s.user in users]
        look = Look(names)
        if self._touched is not None:
            roots = self._touched.quotas
            look.quota_roots |= {r for r in roots if users is None or _names.owner(r) in users}
        look.to_open += self._script_mailboxes(wanted, users)
        for done, (scope, mine, copy) in enumerate(self._in_lockstep(scopes)):
            self._compare_scope(look, scope, mine, copy)
            self._progress("users and groups of shared mailboxes " + verb, done + 1, len(scopes))
        self._explain_unreadable(look)
        self._open_mailboxes(look, verb)
        self._compare_quotas(look)
        self._compare_server_annotations(look)
        if self._touched is not None:
            self._learn_names(look)
        lone = look.lone_users
        look.found = [self._named(d) for d in look.found if not self._is_leftover(d, lone)]
        return look

    def _script_mailboxes(
        self, names: Iterable[str], users: set[str | None] | None
    ) -> Iterator[tuple[str | None, str]]:
        """Where newer Cyrus keeps scripts. GET MAILBOXES passes over these, and META tells what a
        database says of them."""
        versions = self._master.session.version, self._replica.session.version
        if any(version is not None and version < SCRIPT_MAILBOXES_SINCE for version in versions):
            return
        for name in sorted(names):
            user = _names.owner(name)
            wanted = users is None or user in users
            if wanted and _names.is_sieve(name) and not _names.is_deleted(name):
                yield user, name

    def _in_lockstep(
        self, scopes: list[Scope]
    ) -> Iterator[tuple[Scope, list[Answer], list[Answer]]]:
        ours = self._master.session.ask(r for scope in scopes for r in scope.requests())
        theirs = self._replica.session.ask(r for scope in scopes for r in scope.requests())
        for scope in scopes:
            count = sum(1 for _request in scope.requests())
            yield scope, list(islice(ours, count)), list(islice(theirs, count))

    def _compare_scope(
        self, look: Look, scope: Scope, mine: list[Answer], copy: list[Answer]
    ) -> None:
        refusal = self._refused(mine, copy)
        if refusal is not None:
            look.unknown.append(Unknown(scope.label, refusal, scope.user))
            return
        ours = [line for answer in mine for line in answer.lines]
        theirs = [line for answer in copy for line in answer.lines]
        mailboxes = [line for line in ours if line.startswith(b"MAILBOX ")]
        self._note_names(mailboxes)
        look.tally.users += scope.user is not None
        if ours == theirs and len(mailboxes) == len(scope.names) and self._is_plain(look, ours):
            look.tally.mailboxes += len(mailboxes)
            return
        try:
            self._compare_states(look, scope, State.parse(ours), State.parse(theirs))
        except FormatError as error:
            look.unknown.append(
                Unknown(scope.label, f"the answer is not understood: {error}", scope.user)
            )

    def _is_plain(self, look: Look, lines: list[bytes]) -> bool:
        """Whether answers that are equal byte for byte need no closer look. Nearly all are; so
        they are not parsed, and only their quota roots noted."""
        if self._level != "summary":
            return False
        roots = set()
        for line in lines:
            if _CRC_ZERO.search(line):
                return False
            root = _QUOTA_ROOT.search(line)
            if root:
                if root.group(1) is None:
                    return False
                roots.add(root.group(1).decode("utf-8", "surrogateescape"))
        look.quota_roots |= roots
        return True

    def _refused(self, mine: Iterable[Answer], copy: Iterable[Answer]) -> str | None:
        for side, answers in ((self._master, mine), (self._replica, copy)):
            for answer in answers:
                if answer.refusal is not None:
                    return f"{side.name} refuses: {answer.refusal}"
        return None

    def _compare_states(self, look: Look, scope: Scope, mine: State, copy: State) -> None:
        for name in scope.names:
            ours, theirs = mine.mailboxes.get(name), copy.mailboxes.get(name)
            hidden = (name in look.names[0] and ours is None) or (
                name in look.names[1] and theirs is None
            )
            if hidden:
                # Listed, but not told: that is damage, or it goes or comes just now.
                look.unreadable.append((scope.user, name))
                mine.mailboxes.pop(name, None)
                copy.mailboxes.pop(name, None)
                continue
            look.tally.mailboxes += 1
            if ours is not None and theirs is not None:
                look.heads[name] = ours, theirs
            for mailbox in (ours, theirs):
                if mailbox is not None and mailbox.quota_root is not None:
                    look.quota_roots.add(mailbox.quota_root)
            if self._must_open(ours, theirs):
                look.to_open.append((scope.user, name))
        look.add(_parity.compare_user(scope.user, mine, copy))

    def _must_open(self, ours: Mailbox | None, theirs: Mailbox | None) -> bool:
        if ours is None or theirs is None or ours.is_intermediate or theirs.is_intermediate:
            return False
        return self._level == "messages" or _parity.must_open(ours, theirs)

    def _is_leftover(self, difference: Difference, lone_users: set[str | None]) -> bool:
        """What a user had seen of mailboxes that are gone, which a replica keeps; and the quota of
        a user who is on one side only, which is one difference already."""
        if difference.kind == "seen":
            return difference.master is None and difference.field not in self._names
        of_user = difference.kind == "quota_limit" or _names.is_sieve(difference.mailbox or "")
        return of_user and difference.user in lone_users

    def _learn_names(self, look: Look) -> None:
        """Of mailboxes that were not read, but of which somebody has seen something."""
        seen = {d.field.rpartition(" ")[2] for d in look.found if d.kind == "seen"}
        unknown = sorted(seen - self._names.keys())
        for start in range(0, len(unknown), NAMES_PER_REQUEST):
            request = "UNIQUEIDS " + quoted_list(unknown[start : start + NAMES_PER_REQUEST])
            for answer in self._master.session.ask([request]):
                self._note_names(answer.lines)

    def _note_names(self, lines: Iterable[bytes]) -> None:
        for line in lines:
            found = _UNIQUE_ID.match(line)
            if found:
                uniqueid, name = (
                    word.decode("utf-8", "surrogateescape") for word in found.groups()
                )
                self._names[uniqueid] = name.strip('"')

    def _named(self, difference: Difference) -> Difference:
        """Seen state is told by a mailbox's unique id; an administrator wants its name."""
        if difference.kind != "seen":
            return difference
        uniqueid = difference.field.rpartition(" ")[2]
        return replace(difference, mailbox=self._names.get(uniqueid))

    def _explain_unreadable(self, look: Look) -> None:
        """Why a listed mailbox is not told: GET MAILBOXES passes over what cannot be opened."""
        for (user, name), ours, theirs in self._full(look.unreadable):
            self._note_unopened(look, user, name, (_drain(ours), _drain(theirs)))

    def _note_unopened(
        self, look: Look, user: str | None, name: str, reasons: tuple[str | None, str | None]
    ) -> None:
        """That a mailbox was not compared: a difference where only one side can open it."""
        if reasons[0] != reasons[1] and _names.is_sieve(name):
            sides = (None if reason else name for reason in reasons)
            look.add([Difference("mailbox", user, name, None, "mailbox", *sides)])
            return
        if reasons[0] != reasons[1]:
            look.add([Difference("index", user, name, None, "open", *map(_opens, reasons))])
            return
        reason = "it was listed and not told, and can be opened nevertheless"
        if reasons[0] is not None:
            reason = f"neither side can open it: {reasons[0]}"
        look.unknown.append(Unknown(name, reason, user))

    def _open_mailboxes(self, look: Look, verb: str) -> None:
        total = len(look.to_open)
        for done, ((user, name), ours, theirs) in enumerate(self._full(look.to_open)):
            self._compare_records(look, user, name, ours, theirs)
            self._progress(f"mailboxes {verb} record by record", done + 1, total)

    def _full(
        self, mailboxes: list[tuple[str | None, str]]
    ) -> Iterator[tuple[tuple[str | None, str], FullMailbox, FullMailbox]]:
        names = [name for _user, name in mailboxes]
        ours = self._master.session.full_mailboxes(names)
        theirs = self._replica.session.full_mailboxes(names)
        return zip(mailboxes, ours, theirs)

    def _compare_records(
        self,
        look: Look,
        user: str | None,
        name: str,
        ours: FullMailbox,
        theirs: FullMailbox,
    ) -> None:
        reasons = ours.refusal, theirs.refusal
        if reasons != (None, None):
            _drain(ours), _drain(theirs)
            self._note_unopened(look, user, name, reasons)
            return
        try:
            heads = Mailbox.of(ours.head), Mailbox.of(theirs.head)
            differences = _parity.compare_records(
                user, name, ours.records, theirs.records, look.count_message
            )
            found = list(islice(differences, MAX_PER_MAILBOX))
            more = sum(1 for _difference in differences)
        except FormatError as error:
            look.unknown.append(Unknown(name, f"the answer is not understood: {error}", user))
            _drain(ours), _drain(theirs)
            return
        if more:
            look.skipped.append(Unknown(name, f"{more} further differences are not listed", user))
        look.add(found or _parity.stale_crc(user, *heads))

    def _compare_quotas(self, look: Look) -> None:
        roots = sorted(look.quota_roots)
        requests = ["QUOTA " + quoted(root) for root in roots]
        ours = self._master.session.ask(requests)
        theirs = self._replica.session.ask(requests)
        for root, mine, copy in zip(roots, ours, theirs):
            states = self._parse(look, root, mine, copy)
            if states is not None:
                quotas = (state.quotas.get(root) for state in states)
                look.add(_parity.compare_quota(root, *quotas))

    def _compare_server_annotations(self, look: Look) -> None:
        mine = next(self._master.session.ask(['ANNOTATION ""']))
        copy = next(self._replica.session.ask(['ANNOTATION ""']))
        states = self._parse(look, "server annotations", mine, copy)
        if states is not None:
            annotations = (state.annotations for state in states)
            look.add(_parity.compare_server_annotations(*annotations))

    def _parse(
        self, look: Look, scope: str, mine: Answer, copy: Answer
    ) -> tuple[State, State] | None:
        user = _names.owner(scope)
        refusal = self._refused([mine], [copy])
        if refusal is not None:
            look.unknown.append(Unknown(scope, refusal, user))
            return None
        try:
            return State.parse(mine.lines), State.parse(copy.lines)
        except FormatError as error:
            look.unknown.append(Unknown(scope, f"the answer is not understood: {error}", user))
            return None


def _opens(refusal: str | None) -> str:
    return "possible" if refusal is None else f"refused ({refusal})"


def _drain(mailbox: FullMailbox) -> str | None:
    """Reads a mailbox to its end; why it was refused, if it was."""
    deque(mailbox.records, maxlen=0)
    return mailbox.refusal
