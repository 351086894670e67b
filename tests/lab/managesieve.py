# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small ManageSieve client (RFC 5804)."""

from __future__ import annotations

import base64
import re
import socket
from typing import IO

from .errors import LabError

_LITERAL = re.compile(rb"\{(\d+)\+?\}\r\n$")


class Sieve:
    """One conversation; a NO raises LabError."""

    def __init__(self, reader: IO[bytes], writer: IO[bytes]) -> None:
        self._reader = reader
        self._writer = writer
        self._response("greeting")

    @classmethod
    def connect(cls, address: str, port: int = 4190, seconds: float = 60) -> Sieve:
        with socket.create_connection((address, port), timeout=seconds) as connection:
            # The files keep the connection open.
            return cls(connection.makefile("rb"), connection.makefile("wb"))

    def __enter__(self) -> Sieve:
        return self

    def __exit__(self, *_: object) -> None:
        try:
            self._run("LOGOUT")
        except (LabError, OSError):
            pass
        finally:
            self._writer.close()
            self._reader.close()

    def login(self, user: str, password: str, act_as: str = "") -> None:
        """Log in; an administrator may act as another user."""
        plain = base64.b64encode(f"{act_as}\0{user}\0{password}".encode()).decode()
        self._run("AUTHENTICATE", f'AUTHENTICATE "PLAIN" "{plain}"')

    def put(self, name: str, script: str) -> None:
        body = script.encode()
        self._run("PUTSCRIPT", f'PUTSCRIPT "{name}" {{{len(body)}+}}\r\n', body)

    def get(self, name: str) -> str:
        return self._run("GETSCRIPT", f'GETSCRIPT "{name}"')

    def activate(self, name: str) -> None:
        """Make a script the active one; none with an empty name."""
        self._run("SETACTIVE", f'SETACTIVE "{name}"')

    def delete(self, name: str) -> None:
        self._run("DELETESCRIPT", f'DELETESCRIPT "{name}"')

    def _run(self, verb: str, command: str = "", body: bytes = b"") -> str:
        """The text that the server sends, if it does."""
        self._writer.write((command or verb).encode() + body + b"\r\n")
        self._writer.flush()
        return self._response(verb)

    def _response(self, verb: str) -> str:
        text = b""
        while True:
            line = self._reader.readline()
            if not line.endswith(b"\n"):
                raise LabError(f"ManageSieve: {verb}: the server closed the connection")
            literal = _LITERAL.search(line)
            if literal:
                text = self._reader.read(int(literal.group(1)))
                line += text
            if line.startswith(b"OK"):
                return text.decode()
            if line.startswith((b"NO", b"BYE")):
                raise LabError(f"ManageSieve: {verb}: {line.decode('utf-8', 'replace').strip()}")
