# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A connection to a server: opened and verified, read in logical lines, every wait bounded.

A logical line is a line with the literals in it. Long answers can also be read value by value,
so that what is held does not grow with the mailbox.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from dataclasses import dataclass, field

from . import _dlist
from ._errors import ReplicationError

_CHUNK = 262144
_MAX_LINE = 64 * 1024 * 1024
_LITERAL_AT_END = re.compile(rb"\{(\d{1,10})\+?\}\Z")


class WireError(ReplicationError):
    """The conversation cannot go on: not reached, refused, cut off, stalled or not understood."""


class StallError(WireError):
    """The server has not answered in time; it may do so later, but not on this connection."""


@dataclass(frozen=True)
class Endpoint:
    """Where a server's state can be read, and as whom.

    `path` (a unix socket) or `host` and `port`. `tls` is none, starttls or implicit; with it the
    server's certificate must be signed by `ca_file` (None: the system's) and name `tls_name`
    (None: `host`); `cert_file` and `key_file` are shown to the server. An admin may be there as
    somebody else, `act_as`. Times are in seconds:
    `connect_timeout` for each step until the login is done, `answer_timeout` from then on.
    """

    name: str
    transport: str = "csync"
    path: str | None = None
    host: str | None = None
    port: int = 0
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    act_as: str = ""
    tls: str = "none"
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    tls_name: str | None = None
    virtdomains: bool = False
    connect_timeout: float = 10.0
    answer_timeout: float = 60.0

    @property
    def place(self) -> str:
        return self.path if self.path else f"{self.host} port {self.port}"


class Wire:
    """One connection. Every failure is a WireError that names the server."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._buffer = bytearray()
        self._pos = 0
        self._socket = self._connect()
        if endpoint.tls == "implicit":
            self.start_tls()

    def _connect(self) -> socket.socket:
        point = self._endpoint
        try:
            if point.path:
                link = socket.socket(socket.AF_UNIX)
                link.settimeout(point.connect_timeout)
                link.connect(point.path)
            else:
                link = socket.create_connection((point.host, point.port), point.connect_timeout)
                link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        except socket.timeout:
            raise self.error(f"does not answer at {point.place}: is the host up?") from None
        except ConnectionRefusedError:
            raise self.error(
                f"nothing listens at {point.place}: is the server running there?"
            ) from None
        except OSError as error:
            reason = error.strerror or str(error)
            raise self.error(f"cannot be reached at {point.place}: {reason}") from None
        return link

    def logged_in(self) -> None:
        """From now on answers may take longer."""
        self._socket.settimeout(self._endpoint.answer_timeout)

    def error(self, text: str) -> WireError:
        return WireError(f"{self._endpoint.name}: {text}")

    def start_tls(self) -> None:
        """Verifies the server and shows it this host's certificate. What was read before is
        dropped, since nobody vouches for it."""
        point = self._endpoint
        try:
            context = ssl.create_default_context(cafile=point.ca_file)
            if point.cert_file:
                context.load_cert_chain(point.cert_file, point.key_file)
        except (OSError, ssl.SSLError) as error:
            raise self.error(f"the certificate files cannot be read: {error}") from None
        del self._buffer[:]
        self._pos = 0
        try:
            self._socket = context.wrap_socket(
                self._socket, server_hostname=point.tls_name or point.host
            )
        except ssl.SSLCertVerificationError as error:
            raise self.error(f"its certificate is not accepted: {error.verify_message}") from None
        except socket.timeout:
            raise self.error(f"stalls while TLS begins at {point.place}") from None
        except OSError as error:
            raise self.error(f"TLS at {point.place} fails: {_tls_reason(error)}") from None

    @property
    def place(self) -> tuple[str, int]:
        """The server's address and port; the address is empty where it is this host itself."""
        if self._endpoint.path:
            return "", 0
        there, port = self._socket.getpeername()[:2]
        return "" if there == self._socket.getsockname()[0] else there, port

    def send(self, data: bytes) -> None:
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise self._broken(error) from None

    def close(self) -> None:
        self._socket.close()

    def line(self) -> bytes:
        """The next logical line, without its line end."""
        begin = self._pos
        search = begin
        while True:
            end = self._buffer.find(b"\n", search)
            if end < 0:
                search = len(self._buffer)
                begin, search = self._fill(begin, search)
                continue
            stop = end - 1 if end > begin and self._buffer[end - 1] == 13 else end
            literal = _LITERAL_AT_END.search(self._buffer, max(begin, stop - 14), stop)
            if literal is None:
                self._pos = end + 1
                return bytes(self._buffer[begin:stop])
            search = end + 1 + int(literal.group(1))
            while len(self._buffer) < search:
                begin, search = self._fill(begin, search)

    def pieces(self, size: int) -> Iterator[bytes]:
        """So many bytes as they come, in pieces, all of which have to be taken."""
        while size:
            if self._pos >= len(self._buffer):
                self._fill(self._pos, self._pos)
            piece = bytes(self._buffer[self._pos : self._pos + size])
            self._pos += len(piece)
            size -= len(piece)
            yield piece

    def value(self) -> bytes:
        """The next value of a line that is being read piece by piece."""
        while True:
            while self._pos < len(self._buffer) and self._buffer[self._pos] == 32:
                self._pos += 1
            try:
                end = _dlist.end_of_value(self._buffer, self._pos)
            except _dlist.FormatError as error:
                raise self.error(f"breaks the protocol: {error}") from None
            if end is not None:
                value = bytes(self._buffer[self._pos : end])
                self._pos = end
                return value
            self._fill(self._pos, self._pos)

    def match(self, pattern: re.Pattern[bytes]) -> bytes | None:
        """What the pattern matches here, taken; None where it does not match what has come."""
        found = pattern.match(self._buffer, self._pos)
        if found is None:
            return None
        self._pos = found.end()
        return found.group()

    def peek(self) -> int:
        """The next byte."""
        while self._pos >= len(self._buffer):
            self._fill(self._pos, self._pos)
        return self._buffer[self._pos]

    def skip(self) -> None:
        """Passes over the byte that peek has shown."""
        self._pos += 1

    def _fill(self, begin: int, mark: int) -> tuple[int, int]:
        """Reads more behind what is held, drops what stands before `begin`, and returns where
        `begin` and `mark` are now."""
        if begin:
            del self._buffer[:begin]
            self._pos -= begin
        if len(self._buffer) > _MAX_LINE:
            raise self.error("sends a line without an end: is this a Cyrus server?")
        try:
            data = self._socket.recv(_CHUNK)
        except OSError as error:
            raise self._broken(error) from None
        if not data:
            raise self.error(
                f"closed the connection at {self._endpoint.place}: is Cyrus running there?"
            )
        self._buffer += data
        return 0, mark - begin

    def _broken(self, error: OSError) -> WireError:
        if isinstance(error, socket.timeout):
            seconds = self._socket.gettimeout()
            return StallError(f"{self._endpoint.name}: has not answered for {seconds:g} s")
        if isinstance(error, ssl.SSLError):
            return self.error(
                f"refuses this host's certificate or breaks TLS: {_tls_reason(error)}"
            )
        return self.error(f"the connection broke: {error.strerror or error}")


def _tls_reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error) or "the other side closed the connection"
