# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host tells of its role, and what it takes for an answer."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _peers
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._peers import Answer
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store
from ansible_collections.mailops.cyrus.plugins.module_utils._terms import Terms

RECORD = Record("s", "imap2", "master", "imap2", 2, "2026-11-01T10:00:00Z")
TERMS = Terms("wait", 120.0, ("198.51.100.21",))
LINE = _peers.line(RECORD, False, TERMS)


@contextmanager
def store(answer: Callable[[socket.socket], object], hosts: int = 1) -> Iterator[Store]:
    """A plain store whose hosts all answer at one port of loopback."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _host in range(hosts):
                client = server.accept()[0]
                with client:
                    answer(client)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        names = [{"name": f"imap{n}", "address": "127.0.0.1"} for n in range(2, 2 + hosts)]
        port = server.getsockname()[1]
        yield Store.load({"name": "s", "hosts": names, "link": "plain", "guard_port": port})
        thread.join(5)


def test_an_answer_is_read_as_it_was_given() -> None:
    assert _peers.parse(LINE, "s", "imap2") == Answer(RECORD, False, TERMS)
    assert _peers.parse(_peers.line(RECORD, True, TERMS), "s", "imap2").fenced


@pytest.mark.parametrize(
    "line",
    [
        LINE.replace(b'"terms"', b'"other"'),
        LINE.replace(b'"wait"', b'"never"'),
        LINE.replace(b"120.0", b"null"),
    ],
)
def test_a_guard_of_another_version_may_tell_no_terms(line: bytes) -> None:
    assert _peers.parse(line, "s", "imap2") == Answer(RECORD, False)


@pytest.mark.parametrize(
    ("data", "store_name", "host", "reason"),
    [
        (b"", "s", "imap2", "can't be understood"),
        (b"[]", "s", "imap2", "can't be understood"),
        (b"[" * 9999, "s", "imap2", "can't be understood"),
        (LINE[:-9], "s", "imap2", "can't be understood"),
        (LINE.replace(b"false", b"0"), "s", "imap2", "neither true nor false"),
        (LINE.replace(b": 2", b": true"), "s", "imap2", "wrong type"),
        (LINE.replace(b": 2", b": 0"), "s", "imap2", "epoch 0"),
        (LINE.replace(b'"role": "master"', b'"role": "replica"'), "s", "imap2", "imap2 master"),
        (_peers.line(None, False, TERMS), "s", "imap2", "imap2 has no role record"),
        (LINE, "s", "imap3", "imap3 answers as host imap2 of store s"),
        (LINE, "t", "imap2", "imap2 answers as host imap2 of store s"),
    ],
)
def test_what_is_not_whole_is_no_answer(
    data: bytes, store_name: str, host: str, reason: str
) -> None:
    with pytest.raises(ReplicationError, match=reason):
        _peers.parse(data, store_name, host)


def test_a_host_is_asked() -> None:
    with store(lambda client: client.sendall(LINE)) as asked:
        assert _peers.ask(asked, "imap2") == Answer(RECORD, False, TERMS)


def drip(client: socket.socket) -> None:
    client.settimeout(5)
    try:
        for _piece in range(50):
            client.sendall(b"x")
            time.sleep(0.05)
    except OSError:
        pass


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (lambda client: None, "the connection ended early"),
        (lambda client: client.sendall(b"x" * 99999), "can't be understood"),
        (lambda client: client.recv(1), "nothing within 0.3 s"),
        (drip, "nothing within 0.3 s"),
    ],
)
def test_no_host_is_waited_for_longer(
    answer: Callable[[socket.socket], object], reason: str
) -> None:
    with store(answer) as asked:
        begin = time.monotonic()
        with pytest.raises(ReplicationError, match=reason):
            _peers.ask(asked, "imap2", 0.3)
        assert time.monotonic() - begin < 1.5


def test_nobody_listens() -> None:
    with store(lambda client: None) as asked:
        _peers.ask_all(asked, ["imap2"])
    with pytest.raises(ReplicationError, match=r"imap2 gives no answer at 127.0.0.1 port \d+"):
        _peers.ask(asked, "imap2")


def test_all_are_asked_at_once_and_each_has_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    released = threading.Event()

    def ask(_store: object, name: str, _seconds: float) -> Answer:
        if name == "imap2":
            return Answer(RECORD, False, TERMS)
        if name == "imap3":
            raise ReplicationError("imap3 is asleep")
        released.wait(5)
        return Answer(RECORD, False, TERMS)

    monkeypatch.setattr(_peers, "ask", ask)
    with store(lambda client: None, 0) as asked:
        heard = _peers.ask_all(asked, ["imap2", "imap3", "imap4"], 0.2)
    released.set()
    assert heard["imap2"] == Answer(RECORD, False, TERMS)
    assert str(heard["imap3"]) == "imap3 is asleep"
    assert str(heard["imap4"]) == "imap4 gives no answer within 0.2 s"
