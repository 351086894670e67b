# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plants differences: writes on one host alone, behind replication's back.

Mailboxes are named as their user sees them: INBOX/Sent, user/ben/Übung, shared/support.
"""

from __future__ import annotations

import re
import secrets
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

from tests.integration import lab

from . import one_sided
from .content import Message
from .errors import LabError
from .imap import Imap, Literal, quoted
from .imap import mailbox as named
from .managesieve import Sieve

_SECONDS = 30


@contextmanager
def _served(host: str, program: str, password: str) -> Iterator[tuple[IO[bytes], IO[bytes]]]:
    source = Path(one_sided.__file__).read_text()
    command = f"python3 -c {shlex.quote(source)} {program}"
    with subprocess.Popen(
        lab.ssh_command(host, command), stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as server:
        if server.stdin is None or server.stdout is None:
            raise LabError("ssh has no pipes")
        server.stdin.write(f"{password}\n".encode())
        server.stdin.flush()
        try:
            yield server.stdout, server.stdin
        finally:
            # Nothing more to read: the server ends and removes what it made on the host.
            server.stdin.close()
            try:
                server.wait(_SECONDS)
            except subprocess.TimeoutExpired:
                server.kill()


@contextmanager
def imap(host: str, user: str = "") -> Iterator[Imap]:
    """Yield a session on one host alone, as a user or as administrator."""
    password = secrets.token_urlsafe()
    with _served(host, "imapd", password) as pipes, Imap(*pipes) as session:
        session.login(one_sided.ADMIN, password, act_as=user)
        yield session


@contextmanager
def sieve(host: str, user: str) -> Iterator[Sieve]:
    """Yield a user's ManageSieve session on one host alone."""
    password = secrets.token_urlsafe()
    with _served(host, "timsieved", password) as pipes, Sieve(*pipes) as session:
        session.login(one_sided.ADMIN, password, act_as=user)
        yield session


def _store(host: str, user: str, mailbox: str, uid: int, item: str, then: str = "") -> None:
    with imap(host, user) as session:
        session.run("SELECT", named(mailbox))
        # Without an answer there is no such message, and IMAP says OK.
        if not any(b"FETCH" in line for line in session.run(f"UID STORE {uid} {item}")):
            raise LabError(f"{host}: {mailbox} of {user} has no message {uid}")
        if then:
            session.run(then)


def flag(
    host: str, user: str, mailbox: str, uid: int, flag: str = "\\Flagged", on: bool = True
) -> None:
    """Set or remove a flag. With a shared mailbox and \\Seen: what that user has read."""
    _store(host, user, mailbox, uid, f"{'+' if on else '-'}FLAGS ({flag})")


def message_annotation(host: str, user: str, mailbox: str, uid: int, value: str) -> None:
    _store(host, user, mailbox, uid, f"ANNOTATION (/comment (value.priv {quoted(value)}))")


def expunge(host: str, user: str, mailbox: str, uid: int) -> None:
    _store(host, user, mailbox, uid, "+FLAGS (\\Deleted)", f"UID EXPUNGE {uid}")


def append(host: str, user: str, mailbox: str, message: Message) -> int:
    """Put a message in; return its UID."""
    with imap(host, user) as session:
        session.run("APPEND", named(mailbox), message.words, Literal(message.body))
        answer = b" ".join(session.run("STATUS", named(mailbox), "(UIDNEXT)"))
    found = re.search(rb"UIDNEXT (\d+)", answer)
    if not found:
        raise LabError(f"{host}: no UIDNEXT in {answer!r}")
    return int(found.group(1)) - 1


def acl(host: str, user: str, mailbox: str, who: str, rights: str) -> None:
    """Give somebody these rights; none with an empty string."""
    with imap(host, user) as session:
        session.run("SETACL", named(mailbox), quoted(who), quoted(rights))


def subscribe(host: str, user: str, mailbox: str, on: bool = True) -> None:
    with imap(host, user) as session:
        session.run("SUBSCRIBE" if on else "UNSUBSCRIBE", named(mailbox))


def mailbox_annotation(host: str, user: str, mailbox: str, entry: str, value: str) -> None:
    """Set for example /private/comment or /shared/comment."""
    with imap(host, user) as session:
        session.run("SETMETADATA", named(mailbox), f"({entry} {quoted(value)})")


def create_mailbox(host: str, user: str, mailbox: str) -> None:
    with imap(host, user) as session:
        session.run("CREATE", named(mailbox))


def delete_mailbox(host: str, user: str, mailbox: str) -> None:
    """Delete a mailbox; Cyrus keeps it under DELETED for a while."""
    with imap(host, user) as session:
        session.run("DELETE", named(mailbox))


def create_user(host: str, user: str) -> None:
    with imap(host) as session:
        session.run("CREATE", named(f"user/{user}"))


def delete_user(host: str, user: str) -> None:
    with imap(host) as session:
        session.run("SETACL", named(f"user/{user}"), one_sided.ADMIN, "x")
        session.run("DELETE", named(f"user/{user}"))


def quota(host: str, root: str, limits: str) -> None:
    """Set the limits of a root such as user/anna, for example "STORAGE 1024 MESSAGE 10"."""
    with imap(host) as session:
        session.run("SETQUOTA", named(root), f"({limits})")


def put_script(host: str, user: str, name: str, script: str) -> None:
    with sieve(host, user) as session:
        session.put(name, script)


def delete_script(host: str, user: str, name: str) -> None:
    """Delete a script that is not the active one."""
    with sieve(host, user) as session:
        session.delete(name)


def delete_scripts(host: str, user: str) -> None:
    """Delete the mailbox in which Cyrus keeps a user's scripts."""
    name = named(f"user/{user}/#sieve")
    with imap(host) as session:
        session.run("SETACL", name, one_sided.ADMIN, "x")
        session.run("DELETE", name)


def activate_script(host: str, user: str, name: str) -> None:
    """Make a script the active one; none with an empty name."""
    with sieve(host, user) as session:
        session.activate(name)
