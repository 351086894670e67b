# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A server read owner by owner, kept in a file and read from it."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _survey
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._model import (
    Mailbox,
    Message,
    Quota,
    Script,
    Seen,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Endpoint,
    Session,
    WireError,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Box, Counts, Holding
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.scripted import (
    ScriptedSocket,
    connect,
)
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

OK = b"OK success\r\n"
GUID = b"0123456789abcdef0123456789abcdef01234567"
RECORD = b"%%(UID %d MODSEQ 7 LAST_UPDATED 1 FLAGS (%s) INTERNALDATE 2 SIZE 3 GUID " + GUID + b")"


def head(name: str, uniqueid: str, more: str = "", mboxtype: str = "") -> bytes:
    kind = f" MBOXTYPE {mboxtype}" if mboxtype else ""
    return (
        f'MAILBOX %(UNIQUEID {uniqueid} MBOXNAME "{name}"{kind} SYNC_CRC 1 LAST_UID 3 '
        f"HIGHESTMODSEQ 9 POP3_SHOW_AFTER 0 UIDVALIDITY 5 PARTITION default ACL x OPTIONS P{more}"
    ).encode()


def answer(*lines: bytes) -> bytes:
    return b"".join(b"* " + line + b"\r\n" for line in lines) + OK


ANNA = head("user.anna", "u1", " QUOTAROOT user.anna")
ANSWERS = {
    b'GET ANNOTATION ""': answer(b'ANNOTATION %(MBOXNAME "" ENTRY /motd USERID NIL VALUE hello)'),
    b"GET MAILBOXES (shared)": answer(head("shared", "s1") + b")"),
    b"GET FULLMAILBOX shared": answer(head("shared", "s1") + b" RECORD ())"),
    b"GET MAILBOXES (DELETED.user.anna.Old.5F00 user.anna user.anna.#sieve user.anna.i)": answer(
        head("DELETED.user.anna.Old.5F00", "u9") + b")",
        ANNA + b")",
        head("user.anna.i", "u3", mboxtype="i") + b")",
    ),
    b"GET FULLMAILBOX user.anna": answer(
        ANNA + b" RECORD (" + RECORD % (1, b"\\Seen") + b" " + RECORD % (3, b"\\Expunged") + b"))"
    ),
    b"GET FULLMAILBOX user.anna.#sieve": answer(head("user.anna.#sieve", "u2") + b" RECORD ())"),
    b"GET META anna": answer(
        b"LSUB (user.anna)",
        b"SEEN %(UNIQUEID s1 LASTREAD 1 LASTUID 2 LASTCHANGE 3 SEENUIDS 1:2)",
        b"SIEVE %(FILENAME a.script LAST_UPDATE 1 GUID " + GUID + b" ISACTIVE 1)",
    ),
    b"GET QUOTA user.anna": answer(b"QUOTA %(ROOT user.anna LIMIT 100 MODSEQ 4)"),
}
NAMES = [
    "user.anna",
    "shared",
    "user.anna.i",
    "user.anna.#sieve",
    "DELETED.user.anna.Old.5F00",
]


@pytest.fixture
def session_of(monkeypatch: pytest.MonkeyPatch) -> Callable[[dict[bytes, bytes]], Session]:
    def session(changed: dict[bytes, bytes]) -> Session:
        answers = {**ANSWERS, **changed}
        greeting = b"* OK imap1 Cyrus sync server 3.6.1\r\n"
        connect(monkeypatch, ScriptedSocket(greeting, answers.__getitem__))
        return Session(Endpoint("imap1", path="/run/cyrus/private/csync"))

    return session


SessionOf = Callable[[dict[bytes, bytes]], Session]


def test_a_server_owner_by_owner(session_of: SessionOf) -> None:
    shared, anna = _survey.survey(session_of({}), NAMES)
    assert shared.owner is None
    assert shared.annotations == (("/motd", "", "hello"),)
    assert [box.head.name for box in shared.boxes.values()] == ["shared"]
    assert anna.owner == "anna"
    assert {uniqueid: box.head.name for uniqueid, box in anna.boxes.items()} == {
        "u1": "user.anna",
        "u2": "user.anna.#sieve",
        "u3": "user.anna.i",
    }
    assert [m.expunged for m in anna.boxes["u1"].messages.values()] == [False, True]
    assert list(anna.boxes["u1"].messages) == [1, 3]
    assert anna.deleted == {"u9": "DELETED.user.anna.Old.5F00"}
    assert anna.subscriptions == frozenset({"user.anna"})
    assert anna.seen["s1"].seen_uids == "1:2"
    assert anna.scripts["a"].active
    assert anna.quotas == {"user.anna": Quota("user.anna", (("STORAGE", "100"),))}
    assert shared.unknown == anna.unknown == []


def test_a_server_without_mailboxes_has_annotations(session_of: SessionOf) -> None:
    (server,) = _survey.survey(session_of({}), [])
    assert server == Holding(None, annotations=(("/motd", "", "hello"),))


@pytest.mark.parametrize(
    ("request_", "said", "unknown"),
    [
        (b"GET FULLMAILBOX user.anna", b"NO IMAP_IOERROR x\r\n", "user.anna can't be opened: IMAP"),
        (b"GET FULLMAILBOX user.anna", answer(b"MAILBOX %(A b RECORD ())"), "is not understood"),
        (b"GET META anna", b"NO IMAP_IOERROR x\r\n", "META anna is refused: IMAP_IOERROR x"),
        (b"GET META anna", answer(b"ODD x"), "the answer to META anna is not understood"),
        (b"GET QUOTA user.anna", b"NO y\r\n", "QUOTA user.anna is refused: y"),
        (
            b"GET FULLMAILBOX user.anna.#sieve",
            answer(head("user.anna.#sieve", "u1") + b" RECORD ())"),
            "user.anna and user.anna.#sieve have the same unique id u1",
        ),
    ],
)
def test_what_could_not_be_read_is_unknown(
    session_of: SessionOf, request_: bytes, said: bytes, unknown: str
) -> None:
    _shared, anna = _survey.survey(session_of({request_: said}), NAMES)
    (reason,) = anna.unknown
    assert reason.startswith("imap1: ")
    assert unknown in reason


def test_a_connection_that_breaks_is_no_survey(session_of: SessionOf) -> None:
    cut = ANSWERS[b"GET FULLMAILBOX user.anna"][:-40]
    session = session_of({b"GET FULLMAILBOX user.anna": cut, b"GET QUOTA user.anna": b""})
    with pytest.raises(WireError):
        list(_survey.survey(session, NAMES))


# -- kept in a file

words = st.text(st.characters(codec="utf-8") | st.just("\udcff"), min_size=1, max_size=5)
numbers = st.integers(0, 2**64)
entries = st.lists(st.tuples(words, words, words), max_size=2).map(tuple)
messages = st.builds(
    Message,
    *(numbers, numbers, numbers, st.frozensets(words), numbers, numbers, words, entries),
)
heads = st.builds(
    Mailbox,
    uniqueid=words,
    annotations=entries,
    user_flags=st.none() | st.frozensets(words),
)
boxes = st.builds(
    lambda box_head, records: Box(box_head, {record.uid: record for record in records}),
    heads,
    st.lists(messages, max_size=3),
)
holdings = st.builds(
    Holding,
    st.none() | words,
    st.lists(boxes, max_size=2).map(lambda found: {box.head.uniqueid: box for box in found}),
    st.dictionaries(words, words, max_size=2),
    st.frozensets(words),
    st.lists(st.builds(Seen), max_size=2).map(
        lambda found: {seen.uniqueid: seen for seen in found}
    ),
    st.lists(st.builds(Script), max_size=2).map(lambda found: {s.name: s for s in found}),
    st.lists(st.builds(Quota), max_size=2).map(
        lambda found: {quota.root: quota for quota in found}
    ),
    entries,
    st.lists(words, max_size=2),
)


@given(st.lists(holdings, max_size=3))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_what_is_kept_is_what_was_found(tmp_path: Path, found: list[Holding]) -> None:
    path = str(tmp_path / "base.gz")
    counts = _survey.write(path, {"host": "imap2"}, found)
    assert counts.mailboxes == sum(len(holding.boxes) for holding in found)
    header, kept = _survey.read(path)
    assert header == {"format": 1, "host": "imap2"}
    assert list(kept) == found


def test_what_is_counted() -> None:
    counts = Counts()
    counts.add(Holding(None))
    counts.add(Holding("anna"))
    assert counts == Counts(users=1)


def test_a_survey_that_fails_keeps_nothing(tmp_path: Path) -> None:
    def failing() -> list[Holding]:
        raise ReplicationError("imap2: the connection broke")

    path = tmp_path / "base.gz"
    _survey.write(str(path), {}, [Holding(None)])
    before = path.read_bytes()
    with pytest.raises(ReplicationError, match="the connection broke"):
        _survey.write(str(path), {}, (holding for holding in failing()))
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("left", [0, 10, 40, -1, -12])
def test_a_file_that_is_cut_off_is_refused(tmp_path: Path, left: int) -> None:
    path = tmp_path / "base.gz"
    _survey.write(str(path), {}, [Holding(None), Holding("anna")])
    path.write_bytes(path.read_bytes()[:left])
    with pytest.raises(ReplicationError, match="can't be read or is damaged"):
        _survey.read(str(path))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"{}\n",
        b'{"format": 2}\n{"holdings": 0}\n',
        b'{"format": 1}\n{"owner": null}\n',
        b'{"format": 1}\n{"holdings": 1}\n',
        b"[]\n",
    ],
)
def test_a_file_that_is_no_survey_is_refused(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "base.gz"
    path.write_bytes(gzip.compress(text))
    with pytest.raises(ReplicationError, match="can't be read or is damaged"):
        _survey.read(str(path))


def test_a_file_that_is_missing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match="can't be read"):
        _survey.read(str(tmp_path / "base.gz"))


def test_surveys_side_by_side() -> None:
    base = [Holding(None), Holding("anna"), Holding("carl")]
    old = [Holding(None), Holding("ben"), Holding("carl")]
    found = [
        tuple(holding.owner or "shared" if holding else "" for holding in row)
        for row in _survey.side_by_side(base, old)
    ]
    assert found == [("shared", "shared"), ("anna", ""), ("", "ben"), ("carl", "carl")]
