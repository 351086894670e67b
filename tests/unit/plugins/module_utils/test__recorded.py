# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a real server said, read from the conversation up to the comparison.

The recordings are named after Cyrus's release; lines with ``>> `` are what was sent, and line ends
are LF instead of CRLF.
"""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _parity
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Mailbox, Message, State
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Endpoint,
    Session,
    WireError,
)
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.scripted import (
    ScriptedSocket,
    connect,
)

RECORDED = Path(__file__).parent / "recorded"
PIECES = [1, 13, 1 << 20]


def recording(name: str) -> tuple[bytes, dict[bytes, bytes]]:
    """The greeting, and the answer to each request."""
    text = (RECORDED / name).read_bytes().replace(b"\n", b"\r\n")
    greeting, *rest = text.split(b">> ")
    answers = {}
    for part in rest:
        request, _end, answers[request] = part.partition(b"\r\n")
    return greeting, answers


def session_on(
    monkeypatch: pytest.MonkeyPatch, name: str, endpoint: Endpoint, piece: int = 1 << 20
) -> Session:
    greeting, answers = recording(name)
    connect(monkeypatch, ScriptedSocket(greeting, answers.__getitem__, piece))
    return Session(endpoint)


@pytest.fixture(params=PIECES)
def session(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Session:
    local = Endpoint("imap1", path="/run/cyrus/private/csync")
    return session_on(monkeypatch, "3.6.1-csync.txt", local, request.param)


def test_greeting(session: Session) -> None:
    assert session.version == (3, 6)


def test_user(session: Session) -> None:
    requests = ['MAILBOXES (user.anna "user.anna.it\'s" user.nobody)', "META anna", "META nobody"]
    told, meta, nobody = session.ask(requests)
    state = State.parse([*told.lines, *meta.lines])
    # A mailbox that does not exist is passed over, and so is a user.
    assert list(state.mailboxes) == ["user.anna", "user.anna.it's"]
    assert (nobody.lines, nobody.refusal) == ((), None)
    inbox = state.mailboxes["user.anna"]
    assert (inbox.last_uid, inbox.highestmodseq, inbox.quota_root) == (8, 9, "user.anna")
    assert inbox.acl_rights() == {"anna": "acdeiklnprstwx"}
    assert inbox.user_flags is None
    assert "user.anna.say &IBw-hello&IB0-" in state.subscriptions
    assert {seen.seen_uids for seen in state.seen.values()} == {"1,3", "1:3"}
    active = {script.name: script.active for script in state.scripts.values()}
    assert active == {"main": True, "away": False}
    assert all(script.guid for script in state.scripts.values())
    assert list(_parity.compare_user("anna", state, state)) == []


def test_full_mailboxes(session: Session) -> None:
    names = ["user.anna", "user.nobody", "user.anna.Empty"]
    inbox, nobody, empty = (
        (mailbox.refusal, mailbox.head, list(mailbox.records))
        for mailbox in session.full_mailboxes(names)
    )
    assert nobody == ("IMAP_MAILBOX_NONEXISTENT No Such Mailbox", {}, [])
    assert (empty[0], empty[2]) == (None, [])
    messages = [Message.parse(record) for record in inbox[2]]
    head = Mailbox.of(inbox[1])
    assert messages[-1].uid == head.last_uid
    assert max(message.modseq for message in messages) <= head.highestmodseq
    assert all(re.fullmatch("[0-9a-f]{40}", message.guid) for message in messages)
    entries = Counter(entry for message in messages for entry, _user, _value in message.annotations)
    assert entries["/vendor/cmu/cyrus-imapd/createdmodseq"] == len(messages)
    same = _parity.compare_records("anna", head.name, inbox[2], inbox[2], lambda: None)
    assert list(same) == []


def test_quota_and_server_annotations(session: Session) -> None:
    quota, annotations, none = session.ask(["QUOTA user.anna", 'ANNOTATION ""', 'QUOTA ""'])
    assert State.parse(quota.lines).quotas["user.anna"].limits == (
        ("MESSAGE", "5000"),
        ("STORAGE", "102400"),
    )
    assert State.parse(annotations.lines).annotations == (("/comment", "", "the lab"),)
    assert (none.lines, none.refusal) == ((), None)


def test_request_that_is_not_known(session: Session) -> None:
    (answer,) = session.ask(["NONSENSE x"])
    assert answer.refusal == "IMAP_PROTOCOL_ERROR Protocol error"


def test_wrong_password(monkeypatch: pytest.MonkeyPatch) -> None:
    replica = Endpoint("imap2", host="h", port=2005, user="a", password="b")
    said = r"imap2: refuses the login of a \(user not found\): check the name, the password"
    with pytest.raises(WireError, match=said):
        session_on(monkeypatch, "3.6.1-csync-tcp.txt", replica)


def test_imap_greeting(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is understood, and the conversation goes on to the login."""
    with pytest.raises(WireError, match="imap1: needs a user and a password at /run/imap"):
        session_on(monkeypatch, "3.6.1-imap.txt", Endpoint("imap1", "imap", path="/run/imap"))
