# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small IMAP client: over a socket or a pair of pipes, literals without waiting."""

from __future__ import annotations

import base64
import re
import socket
from dataclasses import dataclass
from typing import IO

from .errors import LabError

_LITERAL = re.compile(rb"\{(\d+)\}\r\n$")


@dataclass(frozen=True)
class Literal:
    """Bytes that go on the wire with their length before them."""

    data: bytes


def mailbox(name: str) -> str:
    """Return a mailbox name as IMAP wants it: quoted, in modified UTF-7."""
    encoded = []
    for part in re.findall(r"[ -~]+|[^ -~]+", name):
        if part.isascii() and part.isprintable():
            encoded.append(part.replace("&", "&-"))
        else:
            raw = base64.b64encode(part.encode("utf-16-be")).rstrip(b"=").replace(b"/", b",")
            encoded.append(f"&{raw.decode()}-")
    return quoted("".join(encoded))


def quoted(text: str) -> str:
    """Return an ASCII string as a quoted string."""
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


class Imap:
    """One conversation; a NO or BAD raises LabError."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._count = 0
        self._response()

    @classmethod
    def connect(cls, address: str, port: int = 143, seconds: float = 120) -> Imap:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            # The files keep the connection open.
            return cls(connection.makefile("rb"), connection.makefile("wb"))

    def __enter__(self) -> Imap:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self.run("LOGOUT")
        except (LabError, OSError):
            pass
        finally:
            self._writer.close()
            self._reader.close()

    def login(self, user: str, password: str, act_as: str = "") -> None:
        """Log in; an administrator may act as another user."""
        plain = f"{act_as}\0{user}\0{password}".encode()
        self._exchange("AUTHENTICATE PLAIN", ("AUTHENTICATE PLAIN", base64.b64encode(plain)))

    def run(self, *words: str | Literal) -> list[bytes]:
        """Run a command, its words joined by spaces; return what came untagged."""
        shown = " ".join(w if isinstance(w, str) else f"{{{len(w.data)}}}" for w in words)
        return self._exchange(shown, words)

    def succeeds(self, *words: str | Literal) -> bool:
        """Tell whether the server takes a command."""
        try:
            self.run(*words)
        except LabError:
            return False
        return True

    def _exchange(self, shown: str, words: tuple[str | bytes | Literal, ...]) -> list[bytes]:
        self._count += 1
        tag = b"A%d" % self._count
        sent = [tag]
        for word in words:
            if isinstance(word, Literal):
                sent.append(b" {%d+}\r\n%b" % (len(word.data), word.data))
            else:
                sent.append(b" " + (word.encode() if isinstance(word, str) else word))
        self._writer.write(b"".join(sent) + b"\r\n")
        self._writer.flush()
        untagged = []
        while True:
            response = self._response()
            if not response.startswith(tag + b" "):
                untagged.append(response)
                continue
            status = response[len(tag) + 1 :].decode("utf-8", "replace").strip()
            if not status.upper().startswith("OK"):
                raise LabError(f"IMAP: {shown[:200]}: {status}")
            return untagged

    def _response(self) -> bytes:
        response = b""
        while True:
            line = self._reader.readline()
            if not line.endswith(b"\n"):
                raise LabError("IMAP: the server closed the connection")
            response += line
            literal = _LITERAL.search(line)
            if not literal:
                return response.rstrip(b"\r\n")
            response += self._reader.read(int(literal.group(1)))
