# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One authenticated conversation in Cyrus's sync protocol, by csync or embedded in IMAP.

Requests are pipelined under a window: the server answers in order, one after the other
(imap/sync_server.c), and what is asked ahead never exceeds what the socket's buffers hold, so
that neither side waits for the other for ever.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeVar

from . import _dlist, _names
from ._wire import Endpoint, Wire, WireError

T = TypeVar("T")

_WINDOW_REQUESTS = 64
_WINDOW_BYTES = 32768
_MAX_BANNER_LINES = 50

# The newest line of releases whose protocol was read and tried.
_KNOWN = ((3, 0), (3, 13))
_VERSION = re.compile(r"Cyrus (?:sync server|IMAP)(?: v?(\d+)\.(\d+))?")

# A record without literals and strings, in one match: nearly all of them. Lists of lists, as in
# ANNOTATIONS, are covered; the loops are unrolled so that a match fails in linear time.
_FLAT = rb'[^()"{]*(?:%s[^()"{]*)*'
_PLAIN_RECORD = re.compile(
    rb" ?%\("
    + _FLAT % (rb"\(" + _FLAT % (rb"\(" + _FLAT % rb"(?!)" + rb"\)") + rb"\)")
    + rb"\)(?=[ )])"
)


# What a message's file looks like in an answer; its bytes follow.
_FILE = re.compile(rb"\* MESSAGE %\{[^ ]+ [0-9a-f]{40} (\d+)\}")

# A listed name that needs no parsing, which is most of them.
_PLAIN_LISTED = re.compile(rb'LIST \([^()"{]*\) "(.)" ([A-Za-z0-9/._-]+)\Z')


@dataclass(frozen=True)
class Answer:
    """What a server said to one request: its lines without ``* ``, and why it refused, if so."""

    lines: tuple[bytes, ...]
    refusal: str | None = None


class FullMailbox:
    """A mailbox read record by record. The records must be read to their end."""

    def __init__(
        self, refusal: str | None, head: dict[str, _dlist.Value], records: Iterator[bytes]
    ) -> None:
        self.refusal = refusal
        self.head = head
        self.records = records


@dataclass(frozen=True)
class Download:
    """A message's bytes, which must be read to their end, or why there are none."""

    refusal: str | None
    size: int
    pieces: Iterator[bytes]


class Session:
    """Opens, verifies and logs in; then asks. Raises WireError whenever it cannot go on."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._embedded = endpoint.transport == "imap"
        self._tag = 0
        self._wire = Wire(endpoint)
        banner = self._banner()
        self.version = _known_version(self._wire, banner)
        if endpoint.tls == "starttls":
            self._starttls()
        if self._embedded or not endpoint.path:
            self._login()
        self._wire.logged_in()

    def is_same_server(self, other: Session) -> bool:
        """Whether both talk to one server, by whatever names."""
        (here, port), (there, other_port) = self._wire.place, other._wire.place
        return here == there and (port == other_port or (here == "" and 0 in (port, other_port)))

    def close(self) -> None:
        self._wire.close()

    # -- beginning

    def _banner(self) -> str:
        """The greeting's last line; a csync server tells its abilities in lines before it."""
        for _line in range(_MAX_BANNER_LINES):
            text = self._wire.line().decode("utf-8", "replace")
            if text.startswith("* OK "):
                return text
            if text.startswith(("* BYE", "* Fatal")):
                raise self._wire.error(f"turns us away: {text[2:]}")
            if self._embedded or not re.match(r"\* [A-Z]", text):
                break
        raise self._wire.error(
            "does not speak Cyrus's {} at {}: it said {!r}".format(
                "IMAP" if self._embedded else "sync protocol", self.endpoint.place, text[:60]
            )
        )

    def _starttls(self) -> None:
        reply = self.command("STARTTLS").refusal
        if reply is not None:
            raise self._wire.error(f"offers no TLS at {self.endpoint.place}: {reply}")
        self._wire.start_tls()
        if not self._embedded:
            self._banner()

    def _login(self) -> None:
        user, password = self.endpoint.user, self.endpoint.password
        if not user or password is None:
            raise self._wire.error(f"needs a user and a password at {self.endpoint.place}")
        identity = f"{self.endpoint.act_as}\0{user}\0{password}"
        secret = base64.b64encode(identity.encode()).decode()
        self._send_line("AUTHENTICATE PLAIN")
        first = self._wire.line()
        if first.startswith(b"+"):
            self._wire.send(secret.encode() + b"\r\n")
            refusal = self._completion()
        else:
            refusal = self._refusal(first) or first.decode("utf-8", "replace")
        if refusal is not None:
            raise self._wire.error(
                f"refuses the login of {user} ({refusal}): check the name, the password, and that "
                "PLAIN is allowed there"
            )
        if self.endpoint.act_as:
            return
        # Only an admin may read: csync lets anybody log in and then refuses every command.
        refusal = next(self.ask(['QUOTA ""'])).refusal
        if refusal is not None:
            raise self._wire.error(f"{user} is no admin there: {refusal}")

    # -- asking

    def ask(self, requests: Iterable[str]) -> Iterator[Answer]:
        """The answers to GET requests (their text behind ``GET``), in order."""
        return self._pipeline(map(self._request_line, requests), self._answer)

    def set_aside(self, partition: str, size: int) -> str | None:
        """Hands over a message of `size` bytes that belongs to no mailbox and that the server
        drops when the session ends (csync only); why it could not be kept until then, if so.

        The session is of no further use: a server without room takes the message's bytes for
        commands, so there is no line in it.
        """
        body = b"x" * size
        guid = hashlib.sha1(body).hexdigest()
        self._wire.send(f"APPLY MESSAGE (%{{{partition} {guid} {size}}}\r\n".encode())
        self._wire.send(body + b")\r\n")
        return self._completion()

    def command(self, text: str) -> Answer:
        """The answer to any other command."""
        self._send_line(text)
        return self._answer()

    def apply(self, *changes: tuple[str, _dlist.Value]) -> str | None:
        """Has the server make changes, handed over together; why it did not, if so."""
        self._wire.send(b"".join(self._apply_line(*change) for change in changes))
        refusals = [self._completion() for _change in changes]
        return next((refusal for refusal in refusals if refusal is not None), None)

    def apply_all(self, changes: Iterable[tuple[str, _dlist.Value]]) -> Iterator[str | None]:
        """Has the server make any number of changes; why it did not, for each, in order."""
        return self._pipeline((self._apply_line(*change) for change in changes), self._completion)

    def _apply_line(self, what: str, value: _dlist.Value) -> bytes:
        return self._verb("APPLY") + f" {what} ".encode() + _dlist.serialise(value) + b"\r\n"

    def upload(self, partition: str, guid: str, size: int, pieces: Iterable[bytes]) -> str | None:
        """Hands over a message for the changes that follow in this session; why it was not taken,
        if so. Then the session is of no further use, as the server may take its lines for commands.
        """
        place = f" MESSAGE (%{{{partition} {guid} {size}}}\r\n"
        self._wire.send(self._verb("APPLY") + place.encode())
        for piece in pieces:
            self._wire.send(piece)
        self._wire.send(b")\r\n")
        return self._completion()

    def restart(self) -> None:
        """The server drops what was uploaded."""
        self._wire.send(self._verb("RESTART") + b"\r\n")
        refusal = self._completion()
        if refusal is not None:
            raise self._wire.error(f"does not begin anew: {refusal}")

    def download(self, box: Mapping[str, str], uid: int, guid: str) -> Download:
        """A message's file, by the fields of the mailbox that it is in."""
        where: dict[str, _dlist.Value] = {
            "MBOXNAME": box["MBOXNAME"],
            "PARTITION": box["PARTITION"],
            "UNIQUEID": box["UNIQUEID"],
            "GUID": guid,
            "UID": str(uid),
        }
        self._wire.send(self._verb("GET") + b" FETCH " + _dlist.serialise(where) + b"\r\n")
        line = self._wire.line()
        if not line.startswith(b"* MESSAGE "):
            return Download(self._refusal(line) or "nothing is told", 0, iter(()))
        file = _FILE.fullmatch(line)
        if file is None:
            self._completion()
            return Download("the file is not what the index says", 0, iter(()))
        size = int(file.group(1))
        return Download(None, size, self._downloaded(size))

    def _downloaded(self, size: int) -> Iterator[bytes]:
        yield from self._wire.pieces(size)
        if self._wire.line() != b"" or self._completion() is not None:
            raise self._wire.error("breaks the protocol behind a message")

    def _verb(self, verb: str) -> bytes:
        self._tag += 1
        return (f"S{self._tag} SYNC{verb}" if self._embedded else verb).encode()

    def resubscribe(self, user: str, mailbox: str) -> str | None:
        """Subscribes a user to a mailbox and takes it back (csync only); why that could not be
        stored, if so."""
        names = f"%(USERID {quoted(user)} MBOXNAME {quoted(mailbox)})"
        return (
            self.command(f"APPLY SUB {names}").refusal
            or self.command(f"APPLY UNSUB {names}").refusal
        )

    def full_mailboxes(self, names: Iterable[str]) -> Iterator[FullMailbox]:
        """Mailboxes with all their records, in order, one at a time."""
        requests = ("FULLMAILBOX " + quoted(name) for name in names)
        return self._pipeline(map(self._request_line, requests), self._full_mailbox)

    def listing(self, pattern: str = "*") -> Iterator[str]:
        """Internal names of the mailboxes that the server lists to its admin (IMAP only), by
        default of all."""
        self._send_line(f'LIST "" {_quoted_string(pattern)}')
        for line in self._lines():
            if not line.upper().startswith(b"LIST ("):
                continue
            delimiter, name = self._listed(line)
            yield _names.internal(name, delimiter, self.endpoint.virtdomains)

    def _listed(self, line: bytes) -> tuple[str, str]:
        plain = _PLAIN_LISTED.match(line)
        if plain is not None:
            return plain.group(1).decode(), plain.group(2).decode()
        delimiter, name = (self._parse(line) + [None] * 4)[2:4]
        if not isinstance(delimiter, str) or not isinstance(name, str):
            raise self._wire.error(f"lists a mailbox without a name: {line[:60]!r}")
        return delimiter, name

    def _pipeline(self, lines: Iterable[bytes], read: Callable[[], T]) -> Iterator[T]:
        todo = iter(lines)
        sizes: deque[int] = deque()
        while True:
            # Filled up again when half of it is answered: few writes, and no pause either.
            if len(sizes) <= _WINDOW_REQUESTS // 2:
                self._send_window(todo, sizes)
            if not sizes:
                return
            yield read()
            sizes.popleft()

    def _send_window(self, todo: Iterator[bytes], sizes: deque[int]) -> None:
        lines = []
        while len(sizes) < _WINDOW_REQUESTS and sum(sizes) < _WINDOW_BYTES:
            line = next(todo, None)
            if line is None:
                break
            lines.append(line)
            sizes.append(len(line))
        if lines:
            self._wire.send(b"".join(lines))

    def _request_line(self, request: str) -> bytes:
        return self._verb("GET") + f" {request}\r\n".encode("utf-8", "surrogateescape")

    def _send_line(self, command: str) -> None:
        self._tag += 1
        tag = f"S{self._tag} " if self._embedded else ""
        self._wire.send((tag + command + "\r\n").encode())

    # -- reading

    def _answer(self) -> Answer:
        lines = []
        while True:
            line = self._wire.line()
            if line.startswith(b"* ") and not line.startswith((b"* BYE", b"* Fatal")):
                lines.append(line[2:])
            else:
                return Answer(tuple(lines), self._refusal(line))

    def _lines(self) -> Iterator[bytes]:
        while True:
            line = self._wire.line()
            if line.startswith(b"* ") and not line.startswith((b"* BYE", b"* Fatal")):
                yield line[2:]
                continue
            refusal = self._refusal(line)
            if refusal is not None:
                raise self._wire.error(f"refuses to list its mailboxes: {refusal}")
            return

    def _completion(self) -> str | None:
        return self._answer().refusal

    def _refusal(self, line: bytes) -> str | None:
        """None for OK; why for NO and BAD; an error for all else."""
        text = line.decode("utf-8", "replace")
        status = text.split(" ", 1)[1] if self._embedded and " " in text else text
        if status.startswith("OK"):
            return None
        if status.startswith(("NO ", "BAD ")):
            return status.split(" ", 1)[1]
        raise self._wire.error(f"breaks the protocol: it said {text[:60]!r}")

    def _full_mailbox(self) -> FullMailbox:
        if self._wire.peek() != ord("*"):
            return FullMailbox(self._refusal(self._wire.line()), {}, iter(()))
        head: dict[str, _dlist.Value] = {}
        for expected in (b"*", b"MAILBOX"):
            if self._wire.value() != expected:
                raise self._wire.error("breaks the protocol in a mailbox's answer")
        self._take(b"%(")
        while True:
            key = self._wire.value().decode("ascii", "replace")
            if key == "RECORD":
                return FullMailbox(None, head, self._records())
            head[key] = self._parse(self._wire.value())[0]

    def _records(self) -> Iterator[bytes]:
        self._take(b"(")
        while True:
            record = self._wire.match(_PLAIN_RECORD)
            if record is None:
                self._skip_spaces()
                if self._wire.peek() == ord(")"):
                    break
                record = self._wire.value()
            yield record.lstrip()
        self._take(b"))")
        if self._wire.line() != b"" or self._completion() is not None:
            raise self._wire.error("breaks the protocol behind a mailbox's records")

    def _parse(self, data: bytes) -> list[_dlist.Value]:
        try:
            return _dlist.parse(data)
        except _dlist.FormatError as error:
            raise self._wire.error(f"breaks the protocol: {error}") from None

    def _take(self, expected: bytes) -> None:
        self._skip_spaces()
        for byte in expected:
            if self._wire.peek() != byte:
                raise self._wire.error("breaks the protocol in a mailbox's answer")
            self._wire.skip()

    def _skip_spaces(self) -> None:
        while self._wire.peek() == ord(" "):
            self._wire.skip()


def _quoted_string(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def quoted(name: str) -> str:
    """A name as an argument of a request."""
    return _dlist.serialise(name).decode("utf-8", "surrogateescape")


def quoted_list(names: Iterable[str]) -> str:
    return _dlist.serialise(list(names)).decode("utf-8", "surrogateescape")


def _known_version(wire: Wire, banner: str) -> tuple[int, int] | None:
    """(major, minor) from a greeting, None where the site hides it (option serverinfo)."""
    found = _VERSION.search(banner)
    if found is None or found.group(1) is None:
        return None
    version = (int(found.group(1)), int(found.group(2)))
    if not _KNOWN[0] <= version < _KNOWN[1]:
        raise wire.error(
            f"runs Cyrus {version[0]}.{version[1]}, which is not known here: its answers cannot be "
            "trusted to mean the same"
        )
    return version


__all__ = ["Answer", "Endpoint", "FullMailbox", "Session", "WireError", "quoted", "quoted_list"]
