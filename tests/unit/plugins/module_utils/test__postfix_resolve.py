# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Questions to Postfix's resolver, of versions that greet and of those that do not."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _postfix_resolve
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

GREETING = b"protocol\0rewrite\0\0"


def answer(transport: bytes) -> bytes:
    return (
        b"flags\x000\0transport\0" + transport + b"\0nexthop\0host\0recipient\0a@b\0flags\x001\0\0"
    )


def serve(folder: Path, greeting: bytes, answers: list[list[bytes]]) -> threading.Thread:
    """Answer, one list a connection, in pieces."""
    (folder / "private").mkdir()
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(folder / "private/rewrite"))
    server.listen()

    def run() -> None:
        for each in answers:
            connection, _address = server.accept()
            with connection:
                connection.sendall(greeting)
                for one in each:
                    assert connection.recv(4096).startswith(
                        b"request\0resolve\0sender\0\0address\0"
                    )
                    connection.sendall(one[:9])
                    connection.sendall(one[9:])
        server.close()

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return thread


@pytest.mark.parametrize("greeting", [b"", GREETING])
def test_each_address_once(tmp_path: Path, greeting: bytes) -> None:
    serve(tmp_path, greeting, [[answer(b"store1"), answer(b"smtp")]])
    asked = ["x@one", "y@two", "x@one"]
    found = _postfix_resolve.transports(str(tmp_path), asked)
    assert found == {"y@two": "store1", "x@one": "smtp"}


def test_a_connection_that_ends_is_opened_again(tmp_path: Path) -> None:
    serve(tmp_path, GREETING, [[answer(b"store1")], [answer(b"store1")]])
    assert len(_postfix_resolve.transports(str(tmp_path), ["x@one", "y@two"])) == 2


def test_no_answer_is_no_transport(tmp_path: Path) -> None:
    serve(tmp_path, GREETING, [[]])
    with pytest.raises(ReplicationError, match="does not say"):
        _postfix_resolve.transports(str(tmp_path), ["x@one"])


def test_no_postfix(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match="trivial-rewrite"):
        _postfix_resolve.transports(str(tmp_path), ["x@one"])
