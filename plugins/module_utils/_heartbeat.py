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

import contextlib
import re
import time
from collections.abc import Callable
from typing import NamedTuple

from ._errors import ReplicationError
from ._model import Mailbox, State
from ._session import Answer, Session, quoted, quoted_list

_PREFIX = "cyrus-heartbeat-"
_RIGHTS = "lrwi"
_MESSAGE = "Subject: Heartbeat of mailops.cyrus\r\n\r\nIts flag tells the replication's delay.\r\n"
_EXISTS = re.compile(rb"([0-9]+) EXISTS")
_FLAGS = re.compile(rb"1 FETCH \(.*\bFLAGS \(([^)]*)\)")
_MODSEQ = re.compile(rb"1 FETCH \(.*\bMODSEQ \(([0-9]+)\)")


def is_ours(mailbox: str) -> bool:
    """Whether a mailbox is there for a heartbeat and nothing else."""
    return mailbox.startswith(_PREFIX)


def mailbox_of(channel: str) -> str:
    """The mailbox of a channel's heartbeat."""
    return f"{_PREFIX}{channel}"


class Beat(NamedTuple):
    """A change that was made: when (seconds since 1970), and the mailbox's HIGHESTMODSEQ by it."""

    written: float
    modseq: int


class _RefusedError(ReplicationError):
    """The master does not do what it is told, or there is nothing to do it to."""


class _Watched:
    """The mailbox of a heartbeat, to be looked for. `session` gives a session to who sends, the
    same one for as long as that works."""

    def __init__(self, session: Callable[[], Session], channel: str) -> None:
        self.mailbox = mailbox_of(channel)
        self._session = session
        self._uniqueid: str | None = None

    def seen(self, replica: Session) -> int:
        """The HIGHESTMODSEQ that has come to the replica; 0 where its mailbox is missing, can't be
        opened or is another one than was written to, of which a number would say nothing."""
        mailbox = self._described(replica)
        if mailbox is None or mailbox.uniqueid != self._uniqueid:
            return 0
        return mailbox.highestmodseq

    def _described(self, session: Session) -> Mailbox | None:
        (answer,) = session.ask(["MAILBOXES " + quoted_list([self.mailbox])])
        # What else is said is news of the open mailbox.
        lines = [line for line in answer.lines if line.startswith(b"MAILBOX ")]
        return State.parse(lines).mailboxes.get(self.mailbox)


class Relayed(_Watched):
    """The heartbeat that comes to a replica by its own channel, and goes on to those behind: a
    replica writes nothing itself."""

    def __init__(self, session: Callable[[], Session], channel: str) -> None:
        super().__init__(session, channel)
        self._last = 0

    def beat(self) -> Beat | None:
        """The newest that has come, now; None where none has since the last."""
        session = self._session()
        mailbox = self._described(session)
        if mailbox is None:
            raise ReplicationError(f"none has come to {session.endpoint.name} yet")
        self._uniqueid = mailbox.uniqueid
        if mailbox.highestmodseq == self._last:
            return None
        self._last = mailbox.highestmodseq
        return Beat(time.time(), self._last)


class Heartbeat(_Watched):
    """The heartbeat of a channel of the master, by an IMAP session as the replication account.
    Whatever the master refuses is a ReplicationError."""

    def __init__(self, session: Callable[[], Session], channel: str) -> None:
        super().__init__(session, channel)
        self._selected: Session | None = None
        self._flagged = False

    def prepare(self) -> None:
        """Makes what is missing of the mailbox and opens it."""
        session = self._session()
        self._selected = None
        self._make(session)
        if not self._select(session):
            size = len(_MESSAGE)
            self._do(session, f"APPEND {self.mailbox} {{{size}+}}\r\n{_MESSAGE}")
            self._select(session)
        self._flagged = b"\\Flagged" in self._found(_FLAGS, session, "FETCH 1 (FLAGS)").split()
        self._selected = session

    def beat(self) -> Beat:
        """Makes a change; what somebody has done to the mailbox is mended before."""
        if self._selected is self._session():
            with contextlib.suppress(_RefusedError):
                return self._toggle()
        self.prepare()
        return self._toggle()

    def _toggle(self) -> Beat:
        written = time.time()
        flags = "" if self._flagged else "\\Flagged"
        modseq = self._found(_MODSEQ, self._session(), f"STORE 1 FLAGS ({flags})")
        self._flagged = not self._flagged
        return Beat(written, int(modseq))

    def _make(self, session: Session) -> None:
        mailbox = self._described(session)
        if mailbox is None:
            self._do(session, f"CREATE {self.mailbox}")
            mailbox = self._described(session)
        if mailbox is None:
            raise self._refused(session, "GET", "it was made and is not there")
        self._uniqueid = mailbox.uniqueid
        user = session.endpoint.user or ""
        acl = _acl(mailbox)
        for other in acl.keys() - {user}:
            self._do(session, f"DELETEACL {self.mailbox} {quoted(other)}")
        if acl.get(user) != set(_RIGHTS):
            self._do(session, f"SETACL {self.mailbox} {quoted(user)} {_RIGHTS}")

    def _select(self, session: Session) -> int:
        """Opens the mailbox; how many messages there are."""
        return int(self._found(_EXISTS, session, f"SELECT {self.mailbox} (CONDSTORE)"))

    def _found(self, pattern: re.Pattern[bytes], session: Session, command: str) -> bytes:
        """What the pattern's group is in the last line of the answer that it fits."""
        for line in reversed(self._do(session, command).lines):
            match = pattern.match(line)
            if match is not None:
                return match.group(1)
        raise self._refused(session, command, "it does not say what was asked")

    def _do(self, session: Session, command: str) -> Answer:
        answer = session.command(command)
        if answer.refusal is not None:
            raise self._refused(session, command, answer.refusal)
        return answer

    def _refused(self, session: Session, command: str, reason: str) -> _RefusedError:
        verb = command.split(" ", 1)[0]
        return _RefusedError(
            f"{session.endpoint.name} refuses {verb} for the mailbox {self.mailbox} ({reason}): "
            "look into syslog there, or delete that mailbox, which is made anew"
        )


def _acl(mailbox: Mailbox) -> dict[str, set[str]]:
    parts = mailbox.acl.split("\t")
    return {who: set(rights) for who, rights in zip(parts[::2], parts[1::2])}
