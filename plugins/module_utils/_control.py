# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Orders to a running replicator, by a unix socket: one JSON object on a line, and one back.

An order is ``{"do": "...", ...}``; an answer ``{"ok": true, ...}`` or
``{"ok": false, "error": "one sentence"}``. Only root and the user of Cyrus can connect.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Mapping
from typing import Any

from ._errors import ReplicationError

RUN_DIR = "/run/cyrus-replication"

_MAX_LINE = 64 * 1024
# Whoever connects says its order at once, or the loop that listens would wait for it.
_ORDER_SECONDS = 0.5
_ANSWER_SECONDS = 0.5


def path_of(channel: str) -> str:
    """Where the replicator of a channel listens."""
    return os.path.join(RUN_DIR, channel, "control")


class NotRunningError(ReplicationError):
    """Nobody listens for orders."""


class Request:
    """An order whose sender waits for one answer, now or later."""

    def __init__(self, order: dict[str, Any], connection: socket.socket) -> None:
        self.order = order
        self._connection = connection

    def answer(self, said: Mapping[str, Any]) -> None:
        """Answer and hang up; a sender that has gone away misses it."""
        _hang_up(self._connection, said)


class Listener:
    """The replicator's end, for a select loop."""

    def __init__(self, path: str) -> None:
        # A crash leaves the socket behind.
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
        self._path = path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            self._socket.bind(path)
            os.chmod(path, 0o600)
            self._socket.listen(16)
        except OSError as error:
            self._socket.close()
            raise ReplicationError(f"can't listen at {path}: {error.strerror}") from error
        self._socket.setblocking(False)

    def fileno(self) -> int:
        return self._socket.fileno()

    def accept(self) -> Request | None:
        """The next order, None where there is none or what came is none. Takes half a second at
        most."""
        try:
            connection = self._socket.accept()[0]
        except OSError:
            return None
        try:
            return Request(_parse(_read_line(connection, _ORDER_SECONDS)), connection)
        except (OSError, ValueError) as error:
            _hang_up(connection, {"ok": False, "error": f"this is no order: {error}"})
            return None

    def close(self) -> None:
        self._socket.close()
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self._path)


def ask(channel: str, order: Mapping[str, Any], timeout: float) -> dict[str, Any]:
    """What the channel's replicator answers to an order within `timeout` seconds.

    Whatever keeps it from an answer that is ok is a ReplicationError.
    """
    name = f"the replicator of channel {channel}"
    late = f"{name} does not answer within {timeout:g} s: look at journalctl -u " + unit(channel)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(timeout)
        try:
            connection.connect(path_of(channel))
            connection.sendall(_line(order))
            said = _parse(_read_line(connection, timeout))
        except (FileNotFoundError, ConnectionRefusedError):
            raise NotRunningError(
                f"{name} is not running: systemctl start {unit(channel)}"
            ) from None
        except (socket.timeout, BlockingIOError):
            raise ReplicationError(late) from None
        except PermissionError:
            raise ReplicationError(f"{name} takes orders from root and cyrus only") from None
        except (OSError, ValueError) as error:
            raise ReplicationError(f"{name} gave no answer ({error}): try again") from error
    if said.get("ok") is not True:
        raise ReplicationError(str(said.get("error") or f"{name} refused without a reason"))
    return said


def unit(channel: str) -> str:
    """The systemd unit of a channel's replicator."""
    return f"cyrus-replicator@{channel}.service"


def _read_line(connection: socket.socket, seconds: float) -> bytes:
    """One line without its end, whole within the time."""
    end = time.monotonic() + seconds
    found = b""
    while b"\n" not in found:
        if len(found) > _MAX_LINE:
            raise ValueError(f"its line is longer than {_MAX_LINE} bytes")
        connection.settimeout(max(0.001, end - time.monotonic()))
        data = connection.recv(4096)
        if not data:
            raise ValueError("the connection ended early")
        found += data
    return found.partition(b"\n")[0]


def _parse(line: bytes) -> dict[str, Any]:
    try:
        found = json.loads(line)
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    if not isinstance(found, dict):
        raise ValueError("it is not a JSON object")
    return found


def _line(said: Mapping[str, Any]) -> bytes:
    # Names of mailboxes may hold bytes that are no text; as escapes they come through.
    return json.dumps(dict(said)).encode() + b"\n"


def _hang_up(connection: socket.socket, said: Mapping[str, Any]) -> None:
    with connection, contextlib.suppress(OSError):
        connection.settimeout(_ANSWER_SECONDS)
        connection.sendall(_line(said))
