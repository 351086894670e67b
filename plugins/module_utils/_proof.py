# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Whether what an event is about has reached the replica.

The master is read before sync_client runs, the replica afterwards. What is alike has arrived. The
rest is read once more on both sides, since the master goes on meanwhile: then the replica's state
has to lie between what the master had before and what it has now. sync_client's own word is not
asked for: it ends with 0 after several failures.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, field

from . import _names
from ._dlist import FormatError, Value
from ._events import Target
from ._model import SCRIPT_MAILBOXES_SINCE, Annotations, Mailbox, Quota, State
from ._parity import must_open
from ._session import Session, quoted, quoted_list

# The live mailboxes of these users on the master, by internal name.
Listing = Callable[[Collection[str]], dict[str, list[str]]]

# Few, so that an answer does not take long.
_NAMES_PER_REQUEST = 20
_NAME = re.compile(rb"MAILBOX %\(UNIQUEID [^ ]+ MBOXNAME ([A-Za-z0-9.!#_-]+) ")
_NONEXISTENT = "IMAP_MAILBOX_NONEXISTENT"


@dataclass
class Seen:
    """What one side answered about some targets; None where it has no such thing."""

    # As they came: most are equal byte for byte, and are never looked into.
    lines: dict[str, bytes] = field(default_factory=dict)
    users: dict[str, list[str]] = field(default_factory=dict)
    metas: dict[str, State] = field(default_factory=dict)
    quotas: dict[str, Quota | None] = field(default_factory=dict)
    annotations: Annotations = ()
    # Why something could not be read, by target.
    refused: dict[Target, str] = field(default_factory=dict)
    opened: dict[str, Mailbox] = field(default_factory=dict)

    def mailbox(self, name: str) -> Mailbox | None:
        if name in self.lines and name not in self.opened:
            target = Target("mailbox", name)
            self.opened.update(_parsed([self.lines[name]], target, self).mailboxes)
        return self.opened.get(name)


class Proof:
    """Compares targets over one session to each side; raises WireError where one breaks."""

    def __init__(
        self, master: Session, replica: Session, listing: Listing, tick: Callable[[], None]
    ) -> None:
        self._master = master
        self._replica = replica
        self._listing = listing
        self._tick = tick
        # Between two that keep scripts in a mailbox, that mailbox carries them.
        versions = master.version, replica.version
        self._scripts = any(v is not None and v < SCRIPT_MAILBOXES_SINCE for v in versions)

    def before(self, targets: Collection[Target]) -> Seen:
        """What the master has now; the events about it were logged before."""
        users = self._listing([t.name for t in targets if t.scope == "user"])
        return self._read(self._master, targets, users)

    def behind(self, targets: Collection[Target], before: Seen) -> dict[Target, str]:
        """What is not on the replica as the master had it, and in what it differs."""
        copy = self._copy(targets, before)
        found = {target: _differs(target, before, copy) for target in targets}
        return {target: why for target, why in found.items() if why is not None}

    def unproven(self, behind: dict[Target, str], before: Seen) -> dict[Target, str]:
        """What of that has not arrived, and not because the master has changed since."""
        copy = self._copy(behind, before)
        now = self.before(behind)
        return {t: why for t, why in behind.items() if not _between(t, before, copy, now)}

    def _copy(self, targets: Collection[Target], before: Seen) -> Seen:
        users = {t.name: before.users.get(t.name, []) for t in targets if t.scope == "user"}
        copy = self._read(self._replica, targets, users)
        gone = [user for user, names in users.items() if not names]
        answers = self._replica.ask(f"USER {quoted(user)}" for user in gone)
        for user, answer in zip(gone, answers):
            lines = [line for line in answer.lines if line.startswith(b"MAILBOX ")]
            state = _parsed(lines, Target("user", user), copy)
            copy.users[user] = [name for name in state.mailboxes if not _names.is_deleted(name)]
        return copy

    def _read(
        self, session: Session, targets: Collection[Target], users: dict[str, list[str]]
    ) -> Seen:
        seen = Seen(users=users)
        names = {t.name for t in targets if t.scope == "mailbox"}
        names |= {name for own in users.values() for name in own}
        self._read_mailboxes(session, sorted(names), seen)
        metas = {t.name for t in targets if t.scope == "meta"}
        self._read_metas(
            session, sorted(metas | {user for user, own in users.items() if own}), seen
        )
        self._read_quotas(session, sorted(t.name for t in targets if t.scope == "quota"), seen)
        if Target("server", "") in targets:
            seen.annotations = _one(
                session, 'ANNOTATION ""', Target("server", ""), seen
            ).annotations
        return seen

    def _read_mailboxes(self, session: Session, names: list[str], seen: Seen) -> None:
        plain = [name for name in names if not _names.is_sieve(name)]
        chunks = [
            plain[start : start + _NAMES_PER_REQUEST]
            for start in range(0, len(plain), _NAMES_PER_REQUEST)
        ]
        for answer in session.ask("MAILBOXES " + quoted_list(chunk) for chunk in chunks):
            self._tick()
            for line in answer.lines:
                seen.lines[_name_in(line)] = line
        # Scripts' mailboxes are passed over in that answer, as are those that cannot be opened.
        untold = [name for name in names if name not in seen.lines]
        for name, full in zip(untold, session.full_mailboxes(untold)):
            self._tick()
            deque(full.records, maxlen=0)
            if full.refusal is None:
                _open(name, full.head, seen)
            elif not full.refusal.startswith(_NONEXISTENT):
                seen.refused[Target("mailbox", name)] = full.refusal

    def _read_metas(self, session: Session, users: list[str], seen: Seen) -> None:
        for user, answer in zip(users, session.ask("META " + quoted(user) for user in users)):
            self._tick()
            if answer.refusal is not None:
                seen.refused[Target("meta", user)] = answer.refusal
            lines = [line for line in answer.lines if self._scripts or line[:6] != b"SIEVE "]
            seen.metas[user] = _parsed(lines, Target("meta", user), seen)

    def _read_quotas(self, session: Session, roots: list[str], seen: Seen) -> None:
        for root, answer in zip(roots, session.ask("QUOTA " + quoted(root) for root in roots)):
            state = _parsed(answer.lines, Target("quota", root), seen)
            seen.quotas[root] = state.quotas.get(root)


def _name_in(line: bytes) -> str:
    """The name in a mailbox's answer; nearly all need no parsing."""
    found = _NAME.match(line)
    if found is not None:
        return found.group(1).decode()
    try:
        return next(iter(State.parse([line]).mailboxes), "")
    except FormatError:
        return ""


def _one(session: Session, request: str, target: Target, seen: Seen) -> State:
    answer = next(session.ask([request]))
    if answer.refusal is not None:
        seen.refused[target] = answer.refusal
    return _parsed(answer.lines, target, seen)


def _open(name: str, head: dict[str, Value], seen: Seen) -> None:
    try:
        seen.opened[name] = Mailbox.of(head)
    except FormatError as error:
        seen.refused[Target("mailbox", name)] = f"the answer is not understood: {error}"


def _parsed(lines: Iterable[bytes], target: Target, seen: Seen) -> State:
    try:
        return State.parse(lines)
    except FormatError as error:
        seen.refused[target] = f"the answer is not understood: {error}"
        return State()


def _differs(target: Target, master: Seen, copy: Seen) -> str | None:
    """In what a target is not the same on both sides; None where it is."""
    if target.scope == "mailbox":
        line = master.lines.get(target.name)
        if line is not None and line == copy.lines.get(target.name):
            return None
        ours, theirs = master.mailbox(target.name), copy.mailbox(target.name)
    refusals = master.refused.get(target), copy.refused.get(target)
    if refusals != (None, None):
        # A user who is gone is refused by both.
        same = target.scope == "meta" and refusals[0] == refusals[1]
        return None if same else refusals[0] or refusals[1]
    if target.scope == "mailbox":
        return _mailboxes_differ(target.name, ours, theirs)
    if target.scope == "meta":
        return _metas_differ(master.metas[target.name], copy.metas[target.name])
    if target.scope == "quota":
        return _quotas_differ(master.quotas.get(target.name), copy.quotas.get(target.name))
    if target.scope == "server":
        return None if master.annotations == copy.annotations else "the server annotations differ"
    return next(_users_differ(target.name, master, copy), None)


def _users_differ(user: str, master: Seen, copy: Seen) -> Iterator[str]:
    own = master.users.get(user, [])
    if not own:
        if copy.users.get(user):
            yield "the user is gone from the master and still on the replica"
        return
    parts = [Target("mailbox", name) for name in own] + [Target("meta", user)]
    for part in parts:
        why = _differs(part, master, copy)
        if why is not None:
            yield f"{part.name}: {why}"


def _mailboxes_differ(name: str, ours: Mailbox | None, theirs: Mailbox | None) -> str | None:
    if ours is None or ours.is_intermediate:
        # What the master's cyr_expire has removed for good stays on the replica.
        if theirs is None or theirs.is_intermediate or _names.is_deleted(name):
            return None
        return "it is gone from the master and still on the replica"
    if theirs is None or theirs.is_intermediate:
        return "the replica has no such mailbox"
    if ours.uniqueid != theirs.uniqueid:
        return "the replica has another mailbox of that name"
    for attribute in ("uidvalidity", "last_uid", "highestmodseq", "annotations"):
        values = getattr(ours, attribute), getattr(theirs, attribute)
        if values[0] != values[1]:
            return f"{attribute} is {values[0]} on the master and {values[1]} on the replica"
    if ours.acl_rights() != theirs.acl_rights():
        return "the ACLs differ"
    # Where the checksums say nothing, the counters above have said that nothing is missing.
    if ours.crc_tells and theirs.crc_tells and must_open(ours, theirs):
        return "the checksums of the messages differ"
    return None


def _metas_differ(ours: State, theirs: State) -> str | None:
    if ours.subscriptions != theirs.subscriptions:
        return "the subscriptions differ"
    for script in sorted(ours.scripts.keys() | theirs.scripts.keys()):
        if ours.scripts.get(script) != theirs.scripts.get(script):
            return f"the Sieve script {script} is not the same on the replica"
    for uniqueid, mine in ours.seen.items():
        copy = theirs.seen.get(uniqueid)
        # Cyrus keeps the newer one of two.
        if copy is None or (copy != mine and copy.last_change <= mine.last_change):
            return f"what was seen of {uniqueid} differs"
    return None


def _quotas_differ(ours: Quota | None, theirs: Quota | None) -> str | None:
    return None if ours == theirs else "the quota limits differ"


def _between(target: Target, before: Seen, copy: Seen, now: Seen) -> bool:
    """Whether the replica's state is one that the master had since `before`."""
    if target in copy.refused or target in now.refused:
        return False
    if target.scope == "user":
        own = before.users.get(target.name, [])
        parts = [Target("mailbox", name) for name in own] + [Target("meta", target.name)]
        return bool(own) and all(_between(part, before, copy, now) for part in parts)
    if _differs(target, now, copy) is None:
        return True
    if target.scope != "mailbox":
        return False
    then, theirs, ours = (side.mailbox(target.name) for side in (before, copy, now))
    if then is None or theirs is None or ours is None:
        return False
    if not then.uniqueid == theirs.uniqueid == ours.uniqueid:
        return False
    if not then.uidvalidity == theirs.uidvalidity == ours.uidvalidity:
        return False
    return (
        then.last_uid <= theirs.last_uid <= ours.last_uid
        and then.highestmodseq <= theirs.highestmodseq < ours.highestmodseq
    )
