# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Where Postfix would send a recipient's mail, as its own resolver says."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterable, Iterator, Mapping

from ._errors import ReplicationError

_SECONDS = 30.0


def request(address: str) -> bytes:
    """The question (trivial-rewrite(8), attributes ended by a null each)."""
    words = ("request", "resolve", "sender", "", "address", address)
    return b"".join(word.encode("utf-8", "surrogateescape") + b"\0" for word in words) + b"\0"


def attributes(stream: Iterator[bytes]) -> Mapping[str, str]:
    """One set of attributes, from strings without their nulls; an empty name ends it."""
    found: dict[str, str] = {}
    for name in stream:
        if not name:
            return found
        found[name.decode()] = next(stream, b"").decode("utf-8", "surrogateescape")
    raise EOFError


def _strings(connection: socket.socket) -> Iterator[bytes]:
    rest = b""
    while True:
        *whole, rest = rest.split(b"\0")
        yield from whole
        more = connection.recv(4096)
        if not more:
            return
        rest += more


def _ask(connection: socket.socket, stream: Iterator[bytes], address: str) -> str:
    connection.sendall(request(address))
    while True:
        # Newer versions say first what protocol they speak.
        answer = attributes(stream)
        if "transport" in answer:
            return answer["transport"]


def transports(queue_directory: str, addresses: Iterable[str]) -> dict[str, str]:
    """The transport of each address."""
    path = os.path.join(queue_directory, "private/rewrite")
    found: dict[str, str] = {}
    todo = list(dict.fromkeys(addresses))
    while todo:
        before = len(todo)
        try:
            with socket.socket(socket.AF_UNIX) as connection:
                connection.settimeout(_SECONDS)
                connection.connect(path)
                stream = _strings(connection)
                while todo:
                    found[todo[-1]] = _ask(connection, stream, todo[-1])
                    todo.pop()
        except (EOFError, BrokenPipeError, ConnectionResetError):
            # It serves so many requests a connection, and ends after a reload.
            if len(todo) == before:
                raise ReplicationError(_unknown(path, "it hangs up")) from None
        except OSError as error:
            raise ReplicationError(_unknown(path, error.strerror or str(error))) from error
    return found


def _unknown(path: str, reason: str) -> str:
    return (
        f"Postfix does not say at {path} where it sends mail ({reason}): see its log whether "
        "trivial-rewrite runs"
    )
