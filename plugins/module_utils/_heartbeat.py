# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A channel's heartbeat: a change that Cyrus makes on the master, looked for on the replica.

It travels like any user's change, through the sync log and sync_client, so a log that is no longer
written or read is noticed; an empty log says nothing. It is one message in a mailbox that only the
replication account can open; its flag goes on and off, so nothing grows.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import NamedTuple

from ._errors import ReplicationError
from ._model import Mailbox, State
from ._session import Answer, Session, quoted, quoted_list

_RIGHTS = "lrswi"
# What a user has seen is kept apart for each, unless this is said; it would be logged as well.
_SHARED_SEEN = "/shared/vendor/cmu/cyrus-imapd/sharedseen"
_MESSAGE = "Subject: Heartbeat of mailops.cyrus\r\n\r\nIts flag tells the replication's delay.\r\n"
_EXISTS = re.compile(rb"([0-9]+) EXISTS")
_FLAGS = re.compile(rb"1 FETCH \(.*\bFLAGS \(([^)]*)\)")
_MODSEQ = re.compile(rb"1 FETCH \(.*\bMODSEQ \(([0-9]+)\)")


class Beat(NamedTuple):
    """A change that was made: when (seconds since 1970), and the mailbox's HIGHESTMODSEQ by it."""

    written: float
    modseq: int


class Heartbeat:
    """The heartbeat of one channel.

    `session` gives an IMAP session to the master as the replication account, the same one for as
    long as that works. Whatever the master refuses is a ReplicationError.
    """

    def __init__(self, session: Callable[[], Session], channel: str) -> None:
        self.mailbox = f"cyrus-heartbeat-{channel}"
        self._session = session
        self._selected: Session | None = None
        self._flagged = False

    def prepare(self) -> None:
        """Makes what is missing of the mailbox and opens it."""
        session = self._session()
        self._selected = None
        self._make(session)
        if not self._count(session):
            size = len(_MESSAGE)
            self._do(session, f"APPEND {self.mailbox} {{{size}+}}\r\n{_MESSAGE}")
            self._count(session)
        flags = _found(_FLAGS, self._do(session, "FETCH 1 (FLAGS)"))
        self._flagged = flags is not None and b"\\Flagged" in flags.split()
        self._selected = session

    def beat(self) -> Beat:
        """Makes a change."""
        if self._selected is not self._session():
            self.prepare()
        session = self._session()
        self._selected = None
        written = time.time()
        flags = "" if self._flagged else "\\Flagged"
        modseq = _found(_MODSEQ, self._do(session, f"STORE 1 FLAGS ({flags})"))
        if modseq is None:
            raise ReplicationError(f"{self.mailbox} has lost its message: it is made anew soon")
        self._flagged = not self._flagged
        self._selected = session
        return Beat(written, int(modseq))

    def seen(self, replica: Session) -> int:
        """The mailbox's HIGHESTMODSEQ on the replica, 0 where it has none that can be opened."""
        mailbox = self._described(replica)
        return 0 if mailbox is None else mailbox.highestmodseq

    def _make(self, session: Session) -> None:
        """The rights are set last: they tell that all the rest is there."""
        mailbox = self._described(session)
        if mailbox is None:
            self._do(session, f"CREATE {self.mailbox}")
            mailbox = self._described(session)
        acl = {} if mailbox is None else _acl(mailbox)
        user = session.endpoint.user or ""
        if acl == {user: set(_RIGHTS)}:
            return
        self._do(session, f'SETMETADATA {self.mailbox} ({_SHARED_SEEN} "true")')
        for other in acl:
            self._do(session, f"DELETEACL {self.mailbox} {quoted(other)}")
        self._do(session, f"SETACL {self.mailbox} {quoted(user)} {_RIGHTS}")

    def _count(self, session: Session) -> int:
        """Opens the mailbox; how many messages there are."""
        count = _found(_EXISTS, self._do(session, f"SELECT {self.mailbox} (CONDSTORE)"))
        return int(count or 0)

    def _described(self, session: Session) -> Mailbox | None:
        (answer,) = session.ask(["MAILBOXES " + quoted_list([self.mailbox])])
        return State.parse(answer.lines).mailboxes.get(self.mailbox)

    def _do(self, session: Session, command: str) -> Answer:
        answer = session.command(command)
        if answer.refusal is not None:
            verb = command.split(" ", 1)[0]
            raise ReplicationError(
                f"{session.endpoint.name} refuses {verb} for the mailbox {self.mailbox} "
                f"({answer.refusal}): syslog there says why; once deleted, it is made anew"
            )
        return answer


def _acl(mailbox: Mailbox) -> dict[str, set[str]]:
    parts = mailbox.acl.split("\t")
    return {who: set(rights) for who, rights in zip(parts[::2], parts[1::2])}


def _found(pattern: re.Pattern[bytes], answer: Answer) -> bytes | None:
    """What the pattern's group matches in the first line that it fits."""
    for line in answer.lines:
        match = pattern.match(line)
        if match is not None:
            return match.group(1)
    return None
