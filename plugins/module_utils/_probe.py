# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A message that is sent to see whether mail arrives, and its arrival in a user's mailbox."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

from . import _command, _endpoints, _names, _state
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._install import read_settings
from ._session import Answer, Endpoint, Session

ARGUMENTS: dict[str, Any] = {
    "user": {"type": "str", "required": True},
    "mailbox": {"type": "str", "default": "INBOX"},
    "message_id": {"type": "str", "required": True},
}
_SENDMAIL = "/usr/sbin/sendmail"
_SECONDS = 60.0
_PAUSE = 0.2
_MESSAGE_ID = re.compile(r"<[!-;=?-~]+@[!-;=?-~]+>")
_ADDRESS = re.compile(r"[!-~]+@[!-~]+")


@dataclass(frozen=True)
class Found:
    """The copies of a message in a mailbox: how many, and UID and GUID of the first."""

    found: int
    uid: int | None = None
    guid: str | None = None


def check_message_id(message_id: str) -> str:
    """The Message-ID, where it is one."""
    if not _MESSAGE_ID.fullmatch(message_id):
        raise ReplicationError(f"{message_id!r} is no Message-ID: give it as <unique@host>")
    return message_id


def message(recipient: str, message_id: str) -> str:
    """What is sent."""
    for address in (recipient, check_message_id(message_id).strip("<>")):
        if not _ADDRESS.fullmatch(address):
            raise ReplicationError(f"{address!r} is no address: correct cyrus_probe_recipient")
    lines = [
        f"Message-ID: {message_id}",
        f"From: mailops.cyrus probe <{recipient}>",
        f"To: <{recipient}>",
        f"Subject: mailops.cyrus probe {_state.timestamp()}",
        "Auto-Submitted: auto-generated",
        "",
        "This message shows that mail arrives. It is removed again by itself.",
    ]
    return "\n".join(lines) + "\n"


def send(recipient: str, text: str, sender: str) -> None:
    """Hand a message to this host's mail server."""
    cmd = [_SENDMAIL, "-i", "-f", sender or "<>", "--", recipient]
    done = _command.run(cmd, _SECONDS, input=text)
    if done.rc != 0:
        told = (done.stderr or done.stdout).strip()
        raise ReplicationError(f"the mail server of this host does not take the probe: {told}")


def opened(user: str, name: str) -> Mailbox:
    """A user's mailbox on this host, in any role, by its private socket.

    A user without any is refused here: Cyrus would make one for who logs in (`autocreate_quota`),
    on a replica too. The name is taken as Cyrus takes it, in small letters and without its own
    domain.
    """
    settings = read_settings("/etc/imapd.conf")
    own = _endpoints.own(_endpoints.read_store(), "this host", settings)
    delimiter = "/" if switch(settings.get("unixhierarchysep", "yes")) else "."
    asked = user.lower() if switch(settings.get("username_tolower", "yes")) else user
    asked = asked.removesuffix("@" + settings.get("defaultdomain", "internal"))
    session = Session(own)
    try:
        listed = session.listing(_names.pattern_of(asked, delimiter, own.virtdomains))
        there = any(_names.is_inbox(name) and _names.owner(name) == asked for name in listed)
    finally:
        session.close()
    if not there:
        raise ReplicationError(f"{user} has no mailbox on this host: name a user of this store")
    return Mailbox(replace(own, act_as=user), name)


class Mailbox:
    """One mailbox of a user."""

    def __init__(self, endpoint: Endpoint, name: str) -> None:
        self._session = Session(endpoint)
        self._who = f"{endpoint.name}: {endpoint.act_as}"
        self._name = _quoted(name)

    def __enter__(self) -> Mailbox:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._session.close()

    def _do(self, command: str) -> Answer:
        answer = self._session.command(command)
        if answer.refusal is not None:
            raise ReplicationError(
                f"{self._who}: {command} is refused ({answer.refusal}): is there such a user here?"
            )
        return answer

    def _uids(self, message_id: str) -> list[int]:
        answer = self._do(f"UID SEARCH HEADER Message-ID {_quoted(message_id)}")
        words = [line.split()[1:] for line in answer.lines if line.upper().startswith(b"SEARCH")]
        return sorted(int(word) for line in words for word in line if word.isdigit())

    def find(self, message_id: str) -> Found:
        """The message's copies, as they are now."""
        # Opened anew, so that it is seen what came meanwhile.
        self._do(f"EXAMINE {self._name}")
        uids = self._uids(message_id)
        if not uids:
            return Found(0)
        told = b" ".join(self._do(f"UID FETCH {uids[0]} (DIGEST.SHA1)").lines)
        guid = re.search(rb"DIGEST\.SHA1 \"?([0-9a-f]{40})", told)
        return Found(len(uids), uids[0], guid.group(1).decode() if guid else None)

    def remove(self, message_id: str) -> None:
        """Expunge the message's copies and nothing else."""
        self._do(f"SELECT {self._name}")
        uids = ",".join(map(str, self._uids(message_id)))
        if uids:
            self._do(f"UID STORE {uids} +FLAGS.SILENT (\\Deleted)")
            self._do(f"UID EXPUNGE {uids}")


def wait(mailbox: Mailbox, message_id: str, seconds: float) -> Found:
    """The message's copies, once there is one, or after so many seconds."""
    deadline = time.monotonic() + seconds
    while True:
        found = mailbox.find(message_id)
        if found.found or time.monotonic() > deadline:
            return found
        time.sleep(_PAUSE)


def _quoted(text: str) -> str:
    if not text.isascii() or not text.isprintable():
        raise ReplicationError(f"{text!r} is no name of a mailbox as IMAP encodes it: correct it")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
