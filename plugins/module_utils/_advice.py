# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What an administrator is told of a mailbox that does not replicate: why, and what to do. Pure.

A copy on a replica is never reconstructed: Cyrus gives it another UIDVALIDITY then, and the next
sync carries that to the master, where every client has to download everything again. It is dropped
instead, and the master sends it again with all its ids.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from . import _events, _names
from ._events import Target

RESET = "cyrus sync_reset -f"


class _Case(NamedTuple):
    """What is known of one failure, as the causes below look at it."""

    target: Target
    user: str | None
    master: str
    replica: str
    side: str | None
    refusal: str
    said: str
    reason: str
    crashed: bool
    stuck: bool
    relayed: bool

    @property
    def what(self) -> str:
        """The target in words."""
        scope, name = self.target
        return {
            "mailbox": name,
            "user": f"the user {name}",
            "meta": f"the subscriptions, seen state and scripts of {name}",
            "quota": f"the quota of {name}",
            "server": "the server annotations",
        }[scope]

    def tells(self, *patterns: str) -> bool:
        """Whether anybody has said one of these."""
        words = "\n".join((self.reason, self.refusal, self.said))
        return any(re.search(pattern, words, re.IGNORECASE) for pattern in patterns)


class _Cause(NamedTuple):
    """One way to fail: how it is known, and the two sentences."""

    fits: Callable[[_Case], bool]
    reason: Callable[[_Case], str]
    advice: Callable[[_Case], str]


def advise(reason: str, finding: Mapping[str, Any]) -> tuple[str, str]:
    """The reason, and what to do, a sentence or two each.

    `reason` is what a comparison says of the target. `finding` may hold `target` (a Target), `host`
    (the names of `master` and `replica`), `side` and `refusal` (who refuses to show the mailbox,
    and how), `said` (sync_client's lines), `crashed` (the connection broke while the replica
    lived), `stuck` (sync_client did not end), and `relayed` (who sends is a replica itself).
    """
    target = Target(*finding.get("target", ("server", "")))
    host = finding.get("host") or {}
    case = _Case(
        target,
        _events.owner(target),
        host.get("master", "the master"),
        host.get("replica", "the replica"),
        finding.get("side"),
        finding.get("refusal") or "",
        "\n".join(finding.get("said") or ()),
        reason,
        bool(finding.get("crashed")),
        bool(finding.get("stuck")),
        bool(finding.get("relayed")),
    )
    cause = next(cause for cause in _CAUSES if cause.fits(case))
    return cause.reason(case), cause.advice(case)


_FILE = re.compile(r"Failed to read file: sval=<([^>]*)> syserror=<([^>]*)>")


def _damaged(case: _Case) -> bool:
    """Whether the replica has the mailbox and can't open it."""
    if case.side is not None:
        return case.side == "replica" and "NONEXISTENT" not in case.refusal
    said = case.tells("format corruption", "denied the operation", "NO response: Unknown error")
    return said and case.target.scope in ("mailbox", "user")


def _no_partition(case: _Case) -> bool:
    """Whether the replica refuses to make an empty mailbox, or ends over its first message."""
    refused = case.tells("denied the operation", "NO response: Unknown error")
    refused = refused and case.target.scope == "mailbox"
    missing = case.side == "replica" and "NONEXISTENT" in case.refusal
    return (refused and missing) or case.tells(
        r"command=<MESSAGE> response=<\*>", "unknown partition", "PARTITION_UNKNOWN"
    )


def _scripts(case: _Case) -> bool:
    mailbox = case.target.scope == "mailbox" and _names.is_sieve(case.target.name)
    return mailbox or case.tells("sieve script")


def _drop(case: _Case) -> str:
    """How the copies of a user are dropped, so that the master sends them again. What is of nobody
    has no such command."""
    if case.user is None:
        return f"docs/operations.md shows how to replace the copy on {case.replica}"
    return (
        f"On {case.replica}, not on {case.master}, drop all copies of {case.user} "
        f"({RESET} {case.user}); the master sends them again"
    )


def _own_copy(case: _Case) -> str:
    """How a replica gets a copy that it can pass on: a reconstruct would change its ids."""
    if case.user is None:
        how = f"docs/operations.md shows how to replace the copy on {case.master}"
    else:
        how = (
            f"drop all copies of {case.user} on {case.master} ({RESET} {case.user}); the store's "
            "master sends them again when they are held back (quarantine, state present) and "
            "released on its channel"
        )
    return f"{case.master} is a replica itself, so never reconstruct it there: {how}."


def _lost_file(case: _Case) -> str:
    found = _FILE.search(case.said)
    if found is None:
        return f"{case.master} can't read a message file of {case.what}"
    return f"{case.master} can't read {found.group(1)}: {found.group(2)}"


# The first that fits counts.
_CAUSES = (
    _Cause(
        lambda c: c.tells("the server annotations differ"),
        lambda c: f"{c.replica} has other server annotations than {c.master}",
        lambda c: (
            "Cyrus before 3.2.7 does not replicate them: set the same ones on "
            f"{c.replica} by hand, as its administrator."
        ),
    ),
    _Cause(
        lambda c: c.tells("authenticate to backend", "authentication fail", "login failed"),
        lambda c: f"{c.replica} refuses the channel's login",
        lambda c: f"Run setup: it gives {c.master} and {c.replica} the same password.",
    ),
    _Cause(
        lambda c: _FILE.search(c.said) is not None,
        _lost_file,
        lambda c: (
            _own_copy(c)
            if c.relayed
            else "Put the file back from a backup. Where the message is lost, reconstruct the "
            f"mailbox on {c.master}, which takes it out of the index."
        ),
    ),
    _Cause(
        lambda c: c.side == "master",
        lambda c: f"{c.master} itself can't open {c.what}; Cyrus says: {c.refusal}",
        lambda c: (
            _own_copy(c)
            if c.relayed
            else f"Copy its folder away and reconstruct it on {c.master}. It may get another "
            "UIDVALIDITY by that, and clients then download it again."
        ),
    ),
    _Cause(
        lambda c: c.tells("MAILBOX_MOVED", "moved to another server", "another mailbox of that"),
        lambda c: f"{c.replica} has another mailbox under the name {c.what}",
        lambda c: (
            f"Find out what is in the one on {c.replica} and copy what nobody else has. {_drop(c)}."
        ),
    ),
    _Cause(
        _damaged,
        lambda c: (
            f"{c.replica} can't open {c.what}: its index or header there is damaged"
            if c.target.scope == "mailbox"
            else f"{c.replica} can't open a mailbox of {c.what}: its index or header is damaged"
        ),
        lambda c: f"{_drop(c)}. Never reconstruct it there.",
    ),
    _Cause(
        _scripts,
        lambda c: f"{c.replica} does not take a Sieve script of {c.user}",
        lambda c: (
            f"Make sieve_extensions in imapd.conf of {c.replica} allow what {c.master} allows and "
            f"restart Cyrus there, or have {c.user} change the script."
        ),
    ),
    _Cause(
        _no_partition,
        lambda c: f"{c.replica} does not take {c.what}, as if it did not know its partition",
        lambda c: (
            f"Each partition of {c.master} has to be in imapd.conf of {c.replica}, whose journal "
            "names an unknown one. Add it and restart Cyrus there."
        ),
    ),
    _Cause(
        lambda c: c.tells("command=<MESSAGE> response=<BAD>", "No space left"),
        lambda c: f"{c.replica} could not store a message of {c.what}",
        lambda c: f"Make room on the partitions of {c.replica}, more than the message takes.",
    ),
    _Cause(
        lambda c: c.crashed or c.tells("zero length response", "end of file reached"),
        lambda c: f"the sync service of {c.replica} ends when it gets {c.what}",
        lambda c: (
            f"Look at journalctl -u cyrus-imapd on {c.replica} for what it said last. If nothing "
            f"there helps: {_drop(c)}."
        ),
    ),
    _Cause(
        lambda c: c.stuck,
        lambda c: f"sync_client does not come to an end with {c.what}",
        lambda c: (
            f"Look at journalctl -u cyrus-imapd on {c.master} and {c.replica} for what locks it."
        ),
    ),
    _Cause(
        lambda c: True,
        lambda c: f"{c.what} does not replicate: {c.reason}",
        lambda c: (
            f"Look at journalctl -u cyrus-imapd on {c.master} and {c.replica}, and at what parity "
            "says of it."
        ),
    ),
)
