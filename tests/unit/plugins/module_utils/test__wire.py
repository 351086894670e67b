# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A connection: logical lines and values whatever the pieces they come in, and what goes wrong."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist, _wire
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import Endpoint, Wire, WireError
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.scripted import (
    ScriptedSocket,
    connect,
)
from hypothesis import given
from hypothesis import strategies as st

HERE = Endpoint("imap2", path="/nowhere", answer_timeout=7)


def wire_on(data: bytes, piece: int = 1 << 20, stalls: bool = False) -> Wire:
    with pytest.MonkeyPatch.context() as patch:
        connect(patch, ScriptedSocket(data, lambda request: b"", piece, stalls))
        return Wire(HERE)


LINES = [b"* OK hello", b"", b"{3}\r\na\nb x", b'"q" {2+}\r\n\r\n{1}\r\nz', b"{0}\r\n", b"last"]


@pytest.mark.parametrize("piece", range(1, 40))
def test_lines_in_pieces(piece: int) -> None:
    wire = wire_on(b"\r\n".join(LINES) + b"\r\n", piece)
    assert [wire.line() for _line in LINES] == LINES


def test_lines_cut_at_every_position() -> None:
    data = b"\r\n".join(LINES) + b"\r\n"
    for cut in range(len(data)):
        scripted = ScriptedSocket(data[:cut], lambda request: b"")
        scripted.say(data[cut:])
        with pytest.MonkeyPatch.context() as patch:
            connect(patch, scripted)
            wire = Wire(HERE)
        assert [wire.line() for _line in LINES] == LINES


def test_bare_line_feeds_end_lines_too() -> None:
    wire = wire_on(b"a\n{2}\nxyb\n\n")
    assert [wire.line(), wire.line(), wire.line()] == [b"a", b"{2}\nxyb", b""]


words = st.binary(max_size=20).map(lambda data: data.decode("utf-8", "surrogateescape"))
values = st.recursive(
    st.one_of(st.none(), words), lambda inner: st.lists(inner, max_size=3), max_leaves=5
)


@given(st.lists(values, min_size=1, max_size=5), st.integers(1, 30), st.booleans())
def test_values_and_lines_read_the_same(
    line: list[_dlist.Value], piece: int, in_values: bool
) -> None:
    serialised = [_dlist.serialise(value) for value in line]
    wire = wire_on(b" ".join(serialised) + b"\r\nnext\r\n", piece)
    if in_values:
        assert [wire.value() for _value in line] == serialised
        assert wire.line() == b""
    else:
        assert _dlist.parse(wire.line()) == line
    assert wire.line() == b"next"


def test_bytes_are_peeked_at_and_skipped() -> None:
    wire = wire_on(b"ab rest\r\n", piece=1)
    assert (wire.peek(), wire.peek()) == (ord("a"), ord("a"))
    wire.skip()
    assert wire.peek() == ord("b")
    wire.skip()
    assert wire.match(re.compile(rb" res")) is None
    assert wire.peek() == ord(" ")
    assert wire.line() == b" rest"


def test_match_takes_what_it_finds() -> None:
    wire = wire_on(b"abc\r\n")
    assert wire.peek() == ord("a")
    assert wire.match(re.compile(rb"ab")) == b"ab"
    assert wire.line() == b"c"


@pytest.mark.parametrize("data", [b"", b"cut of", b"{5}\r\nabc", b"{5}\r\n"])
def test_closed_in_the_middle(data: bytes) -> None:
    with pytest.raises(WireError, match="imap2: closed the connection at /nowhere"):
        wire_on(data).line()


def test_stalled() -> None:
    wire = wire_on(b"* OK", stalls=True)
    wire.logged_in()
    with pytest.raises(WireError, match="imap2: has not answered for 7 s"):
        wire.line()


@pytest.mark.parametrize("data", [b"x" * 300, b"{9999999999}\r\n" + b"x" * 300, b"(" + b"x " * 200])
def test_line_without_an_end(data: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_wire, "_MAX_LINE", 100)
    with pytest.raises(WireError, match="a line without an end: is this a Cyrus server"):
        wire_on(data, piece=50).line()
    if data.startswith(b"("):
        with pytest.raises(WireError, match="a line without an end"):
            wire_on(data, piece=50).value()


def test_value_that_is_none() -> None:
    with pytest.raises(WireError, match="imap2: breaks the protocol"):
        wire_on(b") x").value()


def test_broken_while_sending() -> None:
    wire = wire_on(b"")

    def reset(data: bytes) -> None:
        raise ConnectionResetError(104, "Connection reset by peer")

    wire._socket.sendall = reset  # type: ignore[method-assign,assignment]
    with pytest.raises(WireError, match="imap2: the connection broke: Connection reset by peer"):
        wire.send(b"x")


def test_password_does_not_show() -> None:
    assert "geheim" not in repr(Endpoint("imap2", host="h", user="u", password="geheim"))


# -- real sockets


def closed_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port: int = server.getsockname()[1]
        return port


def test_nothing_listens() -> None:
    port = closed_port()
    with pytest.raises(WireError, match=f"imap2: nothing listens at 127.0.0.1 port {port}"):
        Wire(Endpoint("imap2", host="127.0.0.1", port=port))


def test_no_such_socket(tmp_path: Path) -> None:
    with pytest.raises(WireError, match=r"imap2: cannot be reached at .*: No such file"):
        Wire(Endpoint("imap2", path=str(tmp_path / "csync")))


def test_path_that_is_too_long(tmp_path: Path) -> None:
    with pytest.raises(WireError, match="imap2: cannot be reached"):
        Wire(Endpoint("imap2", path=str(tmp_path / ("x" * 200))))


def test_name_that_does_not_resolve(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_args: object) -> None:
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", fail)
    with pytest.raises(
        WireError, match=r"imap2: cannot be reached at imap2\.example port 143: Name"
    ):
        Wire(Endpoint("imap2", host="imap2.example", port=143))


def test_host_that_does_not_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    def stall(*_args: object) -> None:
        raise socket.timeout("timed out")

    monkeypatch.setattr(socket, "create_connection", stall)
    with pytest.raises(WireError, match="imap2: does not answer at h port 143: is the host up"):
        Wire(Endpoint("imap2", host="h", port=143))


def serve(answer: Callable[[socket.socket], object]) -> tuple[int, threading.Thread]:
    """One client is answered; the port."""
    server = socket.create_server(("127.0.0.1", 0))
    port: int = server.getsockname()[1]

    def run() -> None:
        with server, server.accept()[0] as client:
            client.settimeout(5)
            answer(client)

    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    return port, thread


def test_real_server_that_stalls() -> None:
    done = threading.Event()
    port, thread = serve(lambda client: done.wait(5))
    wire = Wire(Endpoint("imap2", host="127.0.0.1", port=port, connect_timeout=0.05))
    with closing(wire), pytest.raises(WireError, match=r"imap2: has not answered for 0\.05 s"):
        wire.line()
    done.set()
    thread.join(5)


@pytest.mark.parametrize("answer", [b"* OK plain\r\n", b""])
def test_no_tls_where_tls_is_expected(answer: bytes) -> None:
    def plain(client: socket.socket) -> None:
        client.sendall(answer)
        client.recv(100)

    port, thread = serve(plain)
    with pytest.raises(WireError, match=f"imap2: TLS at 127.0.0.1 port {port} fails: "):
        Wire(Endpoint("imap2", host="127.0.0.1", port=port, tls="implicit"))
    thread.join(5)


def test_stall_while_tls_begins() -> None:
    done = threading.Event()
    port, thread = serve(lambda client: done.wait(5))
    with pytest.raises(WireError, match="imap2: stalls while TLS begins"):
        Wire(Endpoint("imap2", host="127.0.0.1", port=port, tls="implicit", connect_timeout=0.05))
    done.set()
    thread.join(5)


def test_certificate_files_that_are_missing(tmp_path: Path) -> None:
    wire = wire_on(b"")
    wire._endpoint = Endpoint("imap2", host="h", ca_file=str(tmp_path / "ca.pem"))
    with pytest.raises(WireError, match="imap2: the certificate files cannot be read: "):
        wire.start_tls()


def test_own_certificate_that_is_missing(tmp_path: Path) -> None:
    wire = wire_on(b"")
    wire._endpoint = Endpoint("imap2", host="h", cert_file=str(tmp_path / "cert.pem"))
    with pytest.raises(WireError, match="imap2: the certificate files cannot be read: "):
        wire.start_tls()


def test_own_certificate_that_is_refused() -> None:
    """In TLS 1.3 the other side's verdict comes with the first answer."""
    wire = wire_on(b"")
    alert = ssl.SSLError(1, "[SSL: TLSV1_ALERT_UNKNOWN_CA] alert")
    alert.reason = "TLSV1_ALERT_UNKNOWN_CA"

    def recv(size: int) -> bytes:
        raise alert

    wire._socket.recv = recv  # type: ignore[method-assign,assignment]
    with pytest.raises(WireError, match=r"imap2: refuses this host's certificate .*unknown ca"):
        wire.line()


def test_certificate_that_is_not_accepted(monkeypatch: pytest.MonkeyPatch) -> None:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_message = "Hostname mismatch"

    def refuse(*_args: object, **_options: object) -> None:
        raise error

    monkeypatch.setattr(ssl.SSLContext, "wrap_socket", refuse)
    wire = wire_on(b"")
    wire._buffer += b"said before TLS"
    with pytest.raises(WireError, match="imap2: its certificate is not accepted: Hostname mismat"):
        wire.start_tls()
    assert not wire._buffer, "what nobody vouches for is dropped"
