# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server's side of a conversation, without a server: what it says to each request is scripted."""

from __future__ import annotations

import re
import socket
from collections import deque
from collections.abc import Callable

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import Wire

Script = Callable[[bytes], bytes]

_LITERAL = re.compile(rb"\{(\d+)\+\}\Z")


class ScriptedSocket:
    """Hands out its bytes in pieces of `piece`, never more than one answer at a time.

    When it has nothing more to say it closes, or with `stalls` lets the reader wait.
    """

    def __init__(
        self, greeting: bytes, script: Script, piece: int = 1 << 20, stalls: bool = False
    ) -> None:
        self._answers = deque([greeting])
        self._script = script
        self._piece = piece
        self._stalls = stalls
        self._unread = b""
        self.requests: list[bytes] = []
        self.peer = ("192.0.2.9", 143)
        self.most_requests = self.most_bytes = 0
        self._sizes: deque[int] = deque([0])
        self.closed = False
        self.timeout = 10.0

    def getpeername(self) -> tuple[str, int]:
        return self.peer

    def getsockname(self) -> tuple[str, int]:
        return "192.0.2.1", 40000

    def settimeout(self, seconds: float) -> None:
        self.timeout = seconds

    def gettimeout(self) -> float:
        return self.timeout

    def sendall(self, data: bytes) -> None:
        rest = self._unread + data
        while rest:
            request, rest = _request(rest)
            if request is None:
                break
            self.requests.append(request)
            self._answers.append(self._script(request))
            self._sizes.append(len(request) + 2)
        self._unread = rest
        self.most_requests = max(self.most_requests, len(self._sizes))
        self.most_bytes = max(self.most_bytes, sum(self._sizes))

    def recv(self, size: int) -> bytes:
        self._drop_told()
        if not self._answers:
            if self._stalls:
                raise socket.timeout
            return b""
        take = min(size, self._piece)
        data, self._answers[0] = self._answers[0][:take], self._answers[0][take:]
        self._drop_told()
        return data

    def _drop_told(self) -> None:
        while self._answers and not self._answers[0]:
            self._answers.popleft()
            self._sizes.popleft()

    def say(self, data: bytes) -> None:
        """Something that nobody has asked for."""
        self._answers.append(data)
        self._sizes.append(0)

    def close(self) -> None:
        self.closed = True


def _request(data: bytes) -> tuple[bytes | None, bytes]:
    """The first request of `data`, without its line end, and what stands behind it."""
    search = 0
    while True:
        end = data.find(b"\r\n", search)
        if end < 0:
            return None, data
        literal = _LITERAL.search(data, 0, end)
        if literal is None:
            return data[:end], data[end + 2 :]
        search = end + 2 + int(literal.group(1))


def connect(monkeypatch: pytest.MonkeyPatch, scripted: ScriptedSocket) -> ScriptedSocket:
    """Whoever connects from now on talks to this."""
    monkeypatch.setattr(Wire, "_connect", lambda self: scripted)
    return scripted
