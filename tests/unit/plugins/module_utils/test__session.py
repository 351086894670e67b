# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The conversation: how it begins, what is asked ahead, how answers are read, and refusals."""

from __future__ import annotations

import base64
import dataclasses
import time

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist, _session
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Message
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Endpoint,
    Session,
    WireError,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import Wire
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.scripted import (
    Script,
    ScriptedSocket,
    connect,
)
from hypothesis import example, given
from hypothesis import strategies as st

CSYNC = b"* OK imap1 Cyrus sync server 3.6.1-Debian-3.6.1-4+deb12u5\r\n"
CSYNC_TCP = b"* SASL PLAIN\r\n* STARTTLS\r\n* COMPRESS DEFLATE\r\n* SIEVE-MAILBOX\r\n" + CSYNC
IMAP = b"* OK [CAPABILITY IMAP4rev1] imap1 Cyrus IMAP 3.6.1-Debian-3.6.1-4+deb12u5 server ready\r\n"
OK = b"OK success\r\n"
LOCAL = Endpoint("imap1", path="/run/cyrus/private/csync", answer_timeout=7)
REMOTE = Endpoint("imap2", host="h", port=2005, user="repl", password="gehéim")
EMBEDDED = dataclasses.replace(REMOTE, transport="imap", port=143)


def with_login(script: Script, login: bytes = b"OK Success (no protection)\r\n") -> Script:
    """csync over TCP: PLAIN with a continuation, as 3.6.1 does."""

    def answer(request: bytes) -> bytes:
        if request == b"AUTHENTICATE PLAIN":
            return b"+ \r\n"
        if request == base64.b64encode("\0repl\0gehéim".encode()):
            return login
        return script(request)

    return answer


def embedded(script: Script) -> Script:
    """The same by IMAP: requests and their last lines have tags."""
    tag = [b""]

    def answer(request: bytes) -> bytes:
        if request[:1] == b"S" and b" " in request:
            tag[0], request = request.split(b" ", 1)
        said = with_login(script)(request.replace(b"SYNCGET ", b"GET ", 1))
        *lines, last, _end = said.split(b"\r\n")
        if not last.startswith((b"+", b"*")):
            last = tag[0] + b" " + last
        return b"\r\n".join([*lines, last, b""])

    return answer


def success(request: bytes) -> bytes:
    return OK


def session_on(
    greeting: bytes,
    script: Script = success,
    endpoint: Endpoint = LOCAL,
    piece: int = 1 << 20,
    stalls: bool = False,
) -> tuple[Session, ScriptedSocket]:
    with pytest.MonkeyPatch.context() as patch:
        scripted = connect(patch, ScriptedSocket(greeting, script, piece, stalls))
        return Session(endpoint), scripted


# -- beginning


@pytest.mark.parametrize(
    ("greeting", "script", "endpoint"),
    [
        (CSYNC, success, LOCAL),
        (CSYNC_TCP, with_login(success), REMOTE),
        (IMAP, embedded(success), EMBEDDED),
    ],
    ids=["csync, unix socket", "csync", "imap"],
)
@pytest.mark.parametrize("piece", [1, 2, 3, 7, 1 << 20])
def test_greetings(greeting: bytes, script: Script, endpoint: Endpoint, piece: int) -> None:
    session, scripted = session_on(greeting, script, endpoint, piece)
    assert session.version == (3, 6)
    session.close()
    assert scripted.closed


def test_unix_socket_of_csync_needs_no_login() -> None:
    assert session_on(CSYNC)[1].requests == []


def test_unix_socket_of_imap_needs_a_login() -> None:
    endpoint = dataclasses.replace(EMBEDDED, host=None, path="/run/cyrus/private/imap")
    requests = session_on(IMAP, embedded(success), endpoint)[1].requests
    assert requests[0] == b"S1 AUTHENTICATE PLAIN"
    assert requests[2] == b'S2 SYNCGET QUOTA ""'


@pytest.mark.parametrize(
    ("said", "version"),
    [
        # Written after what the releases print; 3.6.1 is as recorded.
        (b"Cyrus sync server 3.2.6-Debian-3.2.6-2+deb11u2", (3, 2)),
        (b"Cyrus sync server 3.12.3", (3, 12)),
        (b"Cyrus sync server v3.0.0", (3, 0)),
        (b"Cyrus sync server", None),
        (b"server ready", None),
    ],
)
def test_versions(said: bytes, version: tuple[int, int] | None) -> None:
    assert session_on(b"* OK imap1 " + said + b"\r\n")[0].version == version


@pytest.mark.parametrize(("version", "shown"), [(b"2.4.17", "2.4"), (b"3.13.0", "3.13")])
def test_version_that_is_not_known(version: bytes, shown: str) -> None:
    with pytest.raises(WireError, match=f"imap1: runs Cyrus {shown}, which is not known here"):
        session_on(b"* OK imap1 Cyrus sync server " + version + b"\r\n")


@pytest.mark.parametrize(
    ("greeting", "endpoint", "said"),
    [
        (b"220 mail.example ESMTP\r\n", LOCAL, "does not speak Cyrus's sync protocol at /run/"),
        (b"\x00\xff\r\n", LOCAL, "does not speak Cyrus's sync protocol"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", EMBEDDED, "does not speak Cyrus's IMAP at h port 143: it"),
        (CSYNC_TCP, EMBEDDED, "does not speak Cyrus's IMAP"),
        (b"* A\r\n" * 60 + CSYNC, LOCAL, "does not speak Cyrus's sync protocol"),
        (b"* BYE too many users\r\n", EMBEDDED, "turns us away: BYE too many users"),
        (b"* Fatal error: no db\r\n", LOCAL, "turns us away: Fatal error: no db"),
        (b"", LOCAL, "closed the connection"),
        (b"* SASL PLAIN\r\n", LOCAL, "closed the connection"),
    ],
)
def test_garbage_for_a_greeting(greeting: bytes, endpoint: Endpoint, said: str) -> None:
    with pytest.raises(WireError, match=f"{endpoint.name}: {said}"):
        session_on(greeting, endpoint=endpoint)


def test_greeting_that_never_comes() -> None:
    with pytest.raises(WireError, match="imap1: has not answered for 10 s"):
        session_on(b"* SASL PLAIN\r\n", stalls=True)


# -- logging in


def test_no_login_given() -> None:
    with pytest.raises(WireError, match="imap2: needs a user and a password at h port 2005"):
        session_on(CSYNC_TCP, endpoint=dataclasses.replace(REMOTE, password=None))


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (with_login(success, b"NO authentication failure\r\n"), "authentication failure"),
        (lambda request: b"NO no mechanism available\r\n", "no mechanism available"),
        (lambda request: b"BAD IMAP_PROTOCOL_ERROR\r\n", "IMAP_PROTOCOL_ERROR"),
        (lambda request: b"OK at once\r\n", "OK at once"),
    ],
)
def test_login_refused(script: Script, said: str) -> None:
    with pytest.raises(
        WireError, match=rf"imap2: refuses the login of repl \({said}\): check the name"
    ) as caught:
        session_on(CSYNC_TCP, script, REMOTE)
    assert "gehéim" not in str(caught.value)


def test_user_who_is_no_admin() -> None:
    denied = with_login(lambda request: b"NO Permission denied\r\n")
    with pytest.raises(WireError, match="imap2: repl is no admin there: Permission denied"):
        session_on(CSYNC_TCP, denied, REMOTE)


def test_imap_user_who_is_no_admin() -> None:
    denied = embedded(lambda request: b"BAD Unrecognized command\r\n")
    with pytest.raises(WireError, match="imap2: repl is no admin there: Unrecognized command"):
        session_on(IMAP, denied, EMBEDDED)


@pytest.mark.parametrize("endpoint", [REMOTE, EMBEDDED], ids=["csync", "imap"])
def test_password_is_sent_under_tls_only(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun: list[int] = []

    def script(request: bytes) -> bytes:
        if request == b"STARTTLS":
            return b"OK Begin TLS negotiation now\r\n"
        assert begun
        return with_login(success)(request)

    def start(wire: Wire) -> None:
        begun.append(1)
        if endpoint is REMOTE:
            # csync repeats its greeting once TLS has begun.
            scripted.say(CSYNC_TCP)

    answers = script if endpoint is REMOTE else embedded(script)
    greeting = CSYNC_TCP if endpoint is REMOTE else IMAP
    scripted = connect(monkeypatch, ScriptedSocket(greeting, answers))
    monkeypatch.setattr(Wire, "start_tls", start)
    Session(dataclasses.replace(endpoint, tls="starttls"))
    assert begun == [1]


def test_no_tls_offered() -> None:
    endpoint = dataclasses.replace(REMOTE, tls="starttls")
    with pytest.raises(WireError, match="imap2: offers no TLS at h port 2005: TLS not available"):
        session_on(CSYNC_TCP, lambda request: b"NO TLS not available\r\n", endpoint)


# -- asking

ANSWERS = {
    b"GET META anna": b"* LSUB (user.anna.Sent)\r\n" + OK,
    b"GET META ben": OK,
    b"GET META carla": b"NO IMAP_MAILBOX_NONEXISTENT no such mailbox\r\n",
    b"GET META dieter": b"BAD syntax\r\n",
    # The two forms of literals, of older and newer servers.
    b"GET META eva": b"* LSUB ({9+}\r\nuser.\xc3\xa4\r\n)\r\n" + OK,
    b"GET META zoe": b"* LSUB ({9}\r\nuser.\xc3\xa4\r\n)\r\n* LSUB ()\r\n" + OK,
}
TOLD: list[tuple[tuple[bytes, ...], str | None]] = [
    ((b"LSUB (user.anna.Sent)",), None),
    ((), None),
    ((), "IMAP_MAILBOX_NONEXISTENT no such mailbox"),
    ((), "syntax"),
    ((b"LSUB ({9+}\r\nuser.\xc3\xa4\r\n)",), None),
    ((b"LSUB ({9}\r\nuser.\xc3\xa4\r\n)", b"LSUB ()"), None),
]
REQUESTS = [request.decode()[4:] for request in ANSWERS]


@pytest.mark.parametrize("piece", [*range(1, 60), 1 << 20])
def test_answers_in_pieces(piece: int) -> None:
    session, _scripted = session_on(CSYNC, ANSWERS.__getitem__, piece=piece)
    told = [(answer.lines, answer.refusal) for answer in session.ask(REQUESTS)]
    assert told == TOLD


def test_answers_by_imap() -> None:
    script = embedded(lambda request: ANSWERS.get(request, OK))
    session, scripted = session_on(IMAP, script, EMBEDDED)
    assert [(answer.lines, answer.refusal) for answer in session.ask(REQUESTS)] == TOLD
    assert scripted.requests[-1] == b"S8 SYNCGET META zoe"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"* BYE shutting down\r\n", r"it said '\* BYE shutting down'"),
        (b"* Fatal error: x\r\n", r"it said '\* Fatal error: x'"),
        (b"garbage\r\n", "it said 'garbage'"),
        (b"* LSUB (a", "closed the connection"),
        (b"", "closed the connection"),
    ],
)
def test_conversation_that_ends(answer: bytes, said: str) -> None:
    session, _scripted = session_on(CSYNC, lambda request: answer)
    with pytest.raises(WireError, match=f"imap1: .*{said}"):
        list(session.ask(["META anna"]))


def test_server_that_stalls() -> None:
    session, _scripted = session_on(CSYNC, lambda request: b"* LSUB ()\r\n", stalls=True)
    with pytest.raises(WireError, match="imap1: has not answered for 7 s"):
        list(session.ask(["META anna"]))


@given(st.lists(st.sampled_from([1, 10, 1000, 5000, 40000]), max_size=150))
def test_window_is_respected(sizes: list[int]) -> None:
    session, scripted = session_on(CSYNC, lambda request: b"* " + request + b"\r\n" + OK)
    requests = [f"META {number}{'x' * size}" for number, size in enumerate(sizes)]
    answers = [answer.lines[0].decode() for answer in session.ask(requests)]
    assert answers == ["GET " + request for request in requests]
    assert scripted.most_requests <= _session._WINDOW_REQUESTS
    longest = max(map(len, scripted.requests), default=0) + 2
    assert scripted.most_bytes < _session._WINDOW_BYTES + longest


def test_requests_are_asked_ahead() -> None:
    session, scripted = session_on(CSYNC)
    answers = session.ask(f"META {number}" for number in range(1000))
    next(answers)
    assert len(scripted.requests) == _session._WINDOW_REQUESTS
    assert len(list(answers)) == 999


def test_names_as_arguments() -> None:
    assert _session.quoted("user.anna") == "user.anna"
    assert _session.quoted("user.a b") == '"user.a b"'
    assert _session.quoted_list(["a", "b c", "NIL"]) == '(a "b c" "NIL")'
    session, scripted = session_on(CSYNC)
    list(session.ask(["META " + _session.quoted("\udcffü")]))
    assert scripted.requests == [b"GET META {3+}\r\n\xff\xc3\xbc"]


# -- listing

LISTED = (
    b'* LIST (\\HasNoChildren) "/" user/a.b/Sent@ex.org\r\n'
    b'* LIST (\\HasNoChildren) "/" "user/anna/A folder"\r\n'
    b'* LIST (\\HasNoChildren) "/" {12}\r\nuser/anna/a"\r\n'
    b"* 3 EXISTS\r\n"
    b'* list () "/" shared/info\r\nOK Completed\r\n'
)


@pytest.mark.parametrize("piece", [1, 5, 13, 1 << 20])
def test_list(piece: int) -> None:
    script = embedded(lambda request: LISTED if request == b'LIST "" "*"' else OK)
    session, _scripted = session_on(IMAP, script, EMBEDDED, piece)
    assert list(session.listing()) == [
        "user.a^b.Sent@ex^org",
        "user.anna.A folder",
        'user.anna.a"',
        "shared.info",
    ]


def test_list_with_virtual_domains() -> None:
    script = embedded(lambda request: LISTED if request == b'LIST "" "*"' else OK)
    session, _scripted = session_on(IMAP, script, dataclasses.replace(EMBEDDED, virtdomains=True))
    assert next(session.listing()) == "ex.org!user.a^b.Sent"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b'* LIST () "/"\r\n' + OK, "lists a mailbox without a name"),
        (b"* LIST () NIL x\r\n" + OK, "lists a mailbox without a name"),
        (b'* LIST ( "/" x\r\n' + OK, "breaks the protocol: a list is cut off"),
        (b"NO permission denied\r\n", "refuses to list its mailboxes: permission denied"),
        (b"* BYE\r\n", "breaks the protocol"),
    ],
)
def test_list_that_fails(answer: bytes, said: str) -> None:
    script = embedded(lambda request: answer if request == b'LIST "" "*"' else OK)
    session, _scripted = session_on(IMAP, script, EMBEDDED)
    with pytest.raises(WireError, match=f"imap2: {said}"):
        list(session.listing())


# -- mailboxes with their records

GUID = b"0123456789abcdef0123456789abcdef01234567"


def record(uid: int, more: bytes = b"") -> bytes:
    return (
        b"%%(UID %d MODSEQ 7 LAST_UPDATED 1 FLAGS (\\Seen) INTERNALDATE 2 SIZE 3 GUID " % uid
        + GUID
        + more
        + b")"
    )


def annotated(uid: int, value: bytes) -> bytes:
    return record(
        uid,
        b" ANNOTATIONS (%(ENTRY /comment USERID NIL VALUE " + value + b" MODSEQ 9)"
        b" %(ENTRY /altsubject USERID anna VALUE x MODSEQ 9))",
    )


RECORDS = [
    record(1),
    annotated(2, b"plain"),
    annotated(3, b"{5+}\r\n)))\r\n"),
    annotated(4, b'"quoted ) \\" ("'),
    annotated(5, b"{5}\r\n) %(A"),
    record(6),
]


def full(records: list[bytes]) -> bytes:
    return (
        b'* MAILBOX %(UNIQUEID u1 MBOXNAME "user.anna.A folder" ACL "anna\tlrs\t" '
        b"USERFLAGS ($a $b) RECORD (" + b" ".join(records) + b"))\r\n" + OK
    )


@pytest.mark.parametrize("piece", [*range(1, 80), 1 << 20])
def test_records_are_streamed(piece: int) -> None:
    answers = iter(
        [full(RECORDS), b"NO IMAP_MAILBOX_NONEXISTENT gone\r\n", full([]), full([b"%()"])]
    )
    session, scripted = session_on(CSYNC, lambda request: next(answers), piece=piece)
    found = [
        (mailbox.refusal, mailbox.head.get("ACL"), list(mailbox.records))
        for mailbox in session.full_mailboxes(["user.anna", "gone", "empty", "odd"])
    ]
    assert found == [
        (None, "anna\tlrs\t", RECORDS),
        ("IMAP_MAILBOX_NONEXISTENT gone", None, []),
        (None, "anna\tlrs\t", []),
        (None, "anna\tlrs\t", [b"%()"]),
    ]
    assert scripted.requests[0] == b"GET FULLMAILBOX user.anna"


def read_all(session: Session) -> list[bytes]:
    return [raw for mailbox in session.full_mailboxes(["a"]) for raw in mailbox.records]


def test_records_by_imap() -> None:
    script = embedded(lambda request: full(RECORDS) if b"FULL" in request else OK)
    session, _scripted = session_on(IMAP, script, EMBEDDED, piece=33)
    mailboxes = session.full_mailboxes(["a", "b"])
    assert [list(mailbox.records) for mailbox in mailboxes] == [RECORDS, RECORDS]


def test_records_are_understood() -> None:
    session, _scripted = session_on(CSYNC, lambda request: full(RECORDS))
    (mailbox,) = session.full_mailboxes(["a"])
    messages = [Message.parse(raw) for raw in mailbox.records]
    assert [message.uid for message in messages] == [1, 2, 3, 4, 5, 6]
    assert messages[2].annotations[1] == ("/comment", "", ")))\r\n")


@pytest.mark.parametrize("cut", range(1, len(full(RECORDS)), 7))
def test_mailbox_that_is_cut_off(cut: int) -> None:
    session, _scripted = session_on(CSYNC, lambda request: full(RECORDS)[:cut])
    with pytest.raises(WireError, match="imap1: "):
        read_all(session)


@pytest.mark.parametrize(
    "answer",
    [
        b"* SEEN %(A b)\r\n" + OK,
        b"* MAILBOX (A b)\r\n" + OK,
        b"* MAILBOX %(A b)\r\n" + OK,
        b"* MAILBOX %(A b RECORD %(A b))\r\n" + OK,
        b"* MAILBOX %(RECORD (%(UID 1)) X 2)\r\n" + OK,
        b"* MAILBOX %(RECORD (\x00))\r\n" + OK,
        b"* MAILBOX %(RECORD ())\r\nNO IMAP_IOERROR\r\n",
        b"* MAILBOX %(RECORD ()) more\r\n" + OK,
        b"* BYE\r\n",
        b"garbage\r\n",
    ],
)
def test_mailbox_that_breaks_the_protocol(answer: bytes) -> None:
    session, _scripted = session_on(CSYNC, lambda request: answer)
    with pytest.raises(WireError, match=r"imap1: .*breaks the protocol|imap1: closed"):
        read_all(session)


values = st.recursive(
    st.one_of(st.none(), st.text('ab9/\\$.%* (){}"\n\xe4', max_size=6)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.sampled_from("ABC"), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["UID", "FLAGS", "X"]), values), st.sampled_from(b" )"))
def test_plain_record_ends_where_its_value_ends(
    fields: dict[str, _dlist.Value], behind: int
) -> None:
    data = _dlist.serialise(fields)
    found = _session._PLAIN_RECORD.match(data + bytes([behind]) + b"x")
    assert found is None or found.group() == data
    if not any(byte in data for byte in b'"{') and data.count(b"(") <= 2:
        assert found is not None
    for cut in range(len(data) + 1):
        assert _session._PLAIN_RECORD.match(data[:cut]) is None


@given(
    st.one_of(
        st.binary(max_size=40),
        st.lists(st.sampled_from([b"%(", b"(", b")", b" ", b"a", b'"', b"{1}\r\n", b"%"])).map(
            b"".join
        ),
    )
)
@example(b"%))")
def test_plain_record_never_ends_elsewhere(data: bytes) -> None:
    data = b"%(" + data
    found = _session._PLAIN_RECORD.match(data)
    if found is None:
        return
    try:
        assert found.end() == _dlist.end_of_value(data, 0)
    except _dlist.FormatError:
        with pytest.raises(_dlist.FormatError):
            Message.parse(found.group())


@pytest.mark.parametrize(
    "hostile",
    [
        b"%(" + b"a" * 1000000,
        b"%(" + b"(a)" * 300000,
        b"%(" + b"(a(b))" * 200000 + b"(",
        b"%((" + b"(a)" * 300000,
        b"%(((" + b"a" * 1000000,
        b"%((" + b"a " * 500000 + b")",
    ],
)
def test_plain_record_takes_linear_time(hostile: bytes) -> None:
    begun = time.monotonic()
    assert _session._PLAIN_RECORD.match(hostile) is None
    # Exponential or quadratic time would be hours.
    assert time.monotonic() - begun < 10


def test_all_of_a_pipeline_s_readers_see_their_own_answer() -> None:
    session, _scripted = session_on(CSYNC, lambda request: b"* A " + request[4:] + b"\r\n" + OK)
    assert [answer.lines for answer in session.ask(["X 1"])] == [(b"A X 1",)]
    assert [answer.lines for answer in session.ask([])] == []
    assert [answer.lines for answer in session.ask(["X 2", "X 3"])] == [(b"A X 2",), (b"A X 3",)]


# -- changing

BOX = {"MBOXNAME": "user.a", "PARTITION": "default", "UNIQUEID": "u1"}
TEXT_SHA1 = "ba218b604812612054df7388756ba109ea4380d8"


def test_changes_are_handed_over_together() -> None:
    def script(request: bytes) -> bytes:
        return b"NO IMAP_SYNC_CHANGED since\r\n" if b"UNSIEVE" in request else OK

    session, scripted = session_on(CSYNC, script)
    assert session.apply(("SUB", {"USERID": "a", "MBOXNAME": "user.a"})) is None
    assert scripted.requests[-1] == b"APPLY SUB %(USERID a MBOXNAME user.a)"
    assert session.apply(("UNSIEVE", {}), ("SIEVE", {})) == "IMAP_SYNC_CHANGED since"
    assert scripted.most_requests == 2


def test_changes_by_imap() -> None:
    session, scripted = session_on(IMAP, embedded(success), EMBEDDED)
    assert session.apply(("UNQUOTA", "user.a")) is None
    session.restart()
    tagged = [request.split(b" ", 1)[1] for request in scripted.requests[-2:]]
    assert tagged == [b"SYNCAPPLY UNQUOTA user.a", b"SYNCRESTART"]


def test_flag_is_sent_as_cyrus_sends_it() -> None:
    session, scripted = session_on(CSYNC)
    session.apply(("MAILBOX", {"FLAGS": ["\\Seen", "$Label1", "\\two words"]}))
    assert scripted.requests[-1].startswith(b"APPLY MAILBOX %(FLAGS (\\Seen $Label1 {10+}\r\n")


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_message_is_downloaded(piece: int) -> None:
    text = b"Subject: a\r\n\r\n* OK not an answer\r\n{5}\r\n"

    def script(request: bytes) -> bytes:
        head = f"* MESSAGE %{{default {TEXT_SHA1} {len(text)}}}\r\n".encode()
        return head + text + b"\r\n" + OK

    session, scripted = session_on(CSYNC, script, piece=piece)
    told = session.download(BOX, 7, TEXT_SHA1)
    assert (told.refusal, told.size, b"".join(told.pieces)) == (None, len(text), text)
    assert scripted.requests[-1].startswith(b"GET FETCH %(MBOXNAME user.a PARTITION default")
    assert b"".join(session.download(BOX, 7, TEXT_SHA1).pieces) == text


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (b"NO IMAP_MAILBOX_NONEXISTENT No Such Mailbox\r\n", "IMAP_MAILBOX_NONEXISTENT"),
        (b"* MESSAGE NIL\r\n" + OK, "not what the index says"),
        (OK, "nothing is told"),
    ],
    ids=["gone", "damaged", "nothing"],
)
def test_message_that_is_not_there(answer: bytes, said: str) -> None:
    session, _scripted = session_on(CSYNC, lambda _request: answer)
    told = session.download(BOX, 7, TEXT_SHA1)
    assert said in str(told.refusal)
    assert [*told.pieces] == []


def test_upload_that_has_no_room() -> None:
    session, _scripted = session_on(CSYNC, lambda _request: b"BAD IMAP_PROTOCOL_ERROR\r\n")
    assert session.upload("default", TEXT_SHA1, 3, [b"abc"]) == "IMAP_PROTOCOL_ERROR"
