# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders over a socket: whoever sits at the other end, neither side hangs or breaks."""

from __future__ import annotations

import contextlib
import os
import select
import shutil
import socket
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _control
from ansible_collections.mailops.cyrus.plugins.module_utils._control import (
    Listener,
    NotRunningError,
    Request,
    ask,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

Answer = Callable[[Request], None]


@pytest.fixture
def path(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    # A socket's path is short, a test's folder need not be.
    root = tempfile.mkdtemp(dir="/tmp")
    monkeypatch.setattr(_control, "RUN_DIR", root)
    os.mkdir(f"{root}/imap2")
    yield _control.path_of("imap2")
    shutil.rmtree(root)


@contextlib.contextmanager
def replicator(path: str, answer: Answer) -> Iterator[list[dict[str, Any]]]:
    """A loop that answers each order, and the orders that it got."""
    got: list[dict[str, Any]] = []
    listener = Listener(path)
    ended = threading.Event()

    def loop() -> None:
        while not ended.is_set():
            if select.select([listener], [], [], 0.05)[0]:
                request = listener.accept()
                if request is not None:
                    got.append(request.order)
                    answer(request)

    thread = threading.Thread(target=loop)
    thread.start()
    try:
        yield got
    finally:
        ended.set()
        thread.join()
        listener.close()


def say(path: str, data: bytes) -> bytes:
    """What comes back for bytes that need not be an order."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(5)
        connection.connect(path)
        with contextlib.suppress(BrokenPipeError):
            connection.sendall(data)
        found = b""
        with contextlib.suppress(ConnectionResetError):
            while data := connection.recv(4096):
                found += data
        return found


def test_order_and_answer(path: str) -> None:
    with replicator(path, lambda request: request.answer({"ok": True, "released": False})) as got:
        order = {"do": "retry", "scope": "mailbox", "name": "user.an\udcffna.Entwürfe\n"}
        assert ask("imap2", order, 5) == {"ok": True, "released": False}
    assert got == [order]


def test_answer_may_come_later_and_out_of_turn(path: str) -> None:
    kept: list[Request] = []

    def answer(request: Request) -> None:
        kept.append(request)
        if len(kept) == 2:
            for late in reversed(kept):
                late.answer({"ok": True, "do": late.order["do"]})

    with replicator(path, answer):
        found: list[dict[str, Any]] = []
        first = threading.Thread(target=lambda: found.append(ask("imap2", {"do": "retry"}, 5)))
        first.start()
        while not kept:
            time.sleep(0.01)
        assert ask("imap2", {"do": "status"}, 5)["do"] == "status"
        first.join()
    assert found == [{"ok": True, "do": "retry"}]


def test_refusal_is_told_in_its_own_words(path: str) -> None:
    refused = {"ok": False, "error": "user.anna is not in quarantine"}
    with (
        replicator(path, lambda request: request.answer(refused)),
        pytest.raises(ReplicationError, match=r"^user\.anna is not in quarantine$"),
    ):
        ask("imap2", {"do": "release"}, 5)


@pytest.mark.parametrize("said", [{}, {"ok": 1}, {"ok": None}])
def test_only_true_is_ok(path: str, said: dict[str, Any]) -> None:
    with (
        replicator(path, lambda request: request.answer(said)),
        pytest.raises(ReplicationError, match="refused"),
    ):
        ask("imap2", {"do": "status"}, 5)


@pytest.mark.parametrize("left", ["nothing", "socket", "file", "folder"])
def test_nobody_listens(path: str, left: str) -> None:
    if left == "socket":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(path)
    elif left == "file":
        Path(path).touch()
    elif left == "folder":
        os.rmdir(os.path.dirname(path))
    with pytest.raises(
        NotRunningError, match="imap2 is not running: systemctl start cyrus-replicator@imap2"
    ):
        ask("imap2", {"do": "status"}, 5)


@pytest.mark.parametrize("left", ["socket", "file"])
def test_what_a_crash_left_is_replaced(path: str, left: str) -> None:
    if left == "socket":
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
            dead.bind(path)
    else:
        Path(path).touch()
    with replicator(path, lambda request: request.answer({"ok": True})):
        assert ask("imap2", {"do": "status"}, 5) == {"ok": True}
        assert os.stat(path).st_mode & 0o777 == 0o600
    assert not os.path.exists(path)


def test_a_place_where_nobody_can_listen(path: str) -> None:
    os.rmdir(os.path.dirname(path))
    with pytest.raises(ReplicationError, match=r"can't listen at .*control: No such file"):
        Listener(path)


def test_replicator_that_takes_too_long(path: str) -> None:
    kept: list[Request] = []
    with (
        replicator(path, kept.append),
        pytest.raises(ReplicationError, match=r"does not answer within 0\.2 s"),
    ):
        ask("imap2", {"do": "retry"}, 0.2)
    kept[0].answer({"ok": True})  # nobody reads it any more


def test_replicator_that_ends_before_it_answers(path: str) -> None:
    def end(request: Request) -> None:
        request._connection.close()

    with (
        replicator(path, end),
        pytest.raises(ReplicationError, match=r"gave no answer \(the connection ended early"),
    ):
        ask("imap2", {"do": "retry"}, 5)


@pytest.mark.parametrize(
    "data",
    [b"retry\n", b"[]\n", b'"do"\n', b"\n", b"\xff\xfe\n", b"[" * 60000 + b"\n", b"x" * 200000],
    ids=["word", "list", "text", "empty", "bytes", "deep", "long"],
)
def test_what_is_no_order_is_refused(path: str, data: bytes) -> None:
    with replicator(path, lambda request: request.answer({"ok": True})) as got:
        said = say(path, data)
        assert ask("imap2", {"do": "status"}, 5) == {"ok": True}
    assert b"no order" in said or (len(data) > 65536 and said == b"")
    assert got == [{"do": "status"}]


def test_who_says_nothing_holds_the_loop_a_moment_only(path: str) -> None:
    listener = Listener(path)
    with (
        contextlib.closing(listener),
        socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as silent,
    ):
        assert listener.accept() is None
        silent.connect(path)
        silent.sendall(b"{")
        begun = time.monotonic()
        assert listener.accept() is None
        assert time.monotonic() - begun < 2
