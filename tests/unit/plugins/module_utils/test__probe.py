# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A probe's text, and what a mailbox says of it."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _endpoints, _probe
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._probe import Found
from ansible_collections.mailops.cyrus.plugins.module_utils._session import Answer, Endpoint

ID = "<1.2@mx1.example.com>"


class Session:
    """Answers commands by their first words."""

    def __init__(self, answers: dict[str, Answer]) -> None:
        self.answers = answers
        self.asked: list[str] = []

    def command(self, text: str) -> Answer:
        self.asked.append(text)
        found = (self.answers[key] for key in self.answers if text.startswith(key))
        return next(found, Answer(()))

    def close(self) -> None:
        pass


def mailbox(monkeypatch: pytest.MonkeyPatch, session: Session) -> _probe.Mailbox:
    monkeypatch.setattr(_probe, "Session", lambda _endpoint: session)
    return _probe.Mailbox(Endpoint("this host", act_as="anna"), "INBOX")


def test_message() -> None:
    text = _probe.message("anna@example.com", ID)
    assert text.startswith(f"Message-ID: {ID}\n")
    assert "\n\n" in text


@pytest.mark.parametrize(
    ("recipient", "message_id"),
    [("anna", ID), ("a@b\nBcc: c@d", ID), ("a@b", "1.2@b"), ("a@b", "<1 2@b>"), ("a@b", f"{ID}\n")],
)
def test_no_header_can_be_slipped_in(recipient: str, message_id: str) -> None:
    with pytest.raises(ReplicationError):
        _probe.message(recipient, message_id)


def test_found(monkeypatch: pytest.MonkeyPatch) -> None:
    guid = b"0123456789abcdef0123456789abcdef01234567"
    session = Session(
        {
            "UID SEARCH": Answer((b"SEARCH 7 5",)),
            "UID FETCH 5": Answer((b"1 FETCH (UID 5 DIGEST.SHA1 " + guid + b")",)),
        }
    )
    with mailbox(monkeypatch, session) as box:
        assert box.find(ID) == Found(2, 5, guid.decode())
    assert session.asked[:2] == ['EXAMINE "INBOX"', f'UID SEARCH HEADER Message-ID "{ID}"']


def test_nothing_is_expunged_but_the_message(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session({"UID SEARCH": Answer((b"SEARCH 7 5",))})
    mailbox(monkeypatch, session).remove(ID)
    assert session.asked[-2:] == [
        "UID STORE 5,7 +FLAGS.SILENT (\\Deleted)",
        "UID EXPUNGE 5,7",
    ]
    session = Session({"UID SEARCH": Answer((b"SEARCH",))})
    mailbox(monkeypatch, session).remove(ID)
    assert not any("EXPUNGE" in command for command in session.asked)


def test_it_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_probe, "_PAUSE", 0.0)
    box = mailbox(monkeypatch, Session({}))
    answers = iter([Found(0), Found(0), Found(1, 3, None)])
    monkeypatch.setattr(box, "find", lambda _id: next(answers))
    assert _probe.wait(box, ID, 5) == Found(1, 3, None)
    monkeypatch.setattr(box, "find", lambda _id: Found(0))
    assert _probe.wait(box, ID, 0.01) == Found(0)


@pytest.mark.parametrize("listed", [[], ["user.anna.x", "user.annabel", "DELETED.user.anna.5f"]])
def test_who_has_no_mailbox_is_not_logged_in(
    listed: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    logins: list[str] = []
    boxes = list(listed)

    class Listing(Session):
        def listing(self, pattern: str) -> list[str]:
            assert pattern == "user/anna*"
            return boxes

    def session(endpoint: Endpoint) -> Session:
        logins.append(endpoint.act_as)
        return Listing({})

    own = Endpoint("this host", virtdomains=False)
    monkeypatch.setattr(_probe, "Session", session)
    monkeypatch.setattr(_probe, "read_settings", lambda _path: {})
    monkeypatch.setattr(_endpoints, "read_store", lambda: None)
    monkeypatch.setattr(_endpoints, "own", lambda *_told: own)
    with pytest.raises(ReplicationError, match="anna has no mailbox on this host"):
        _probe.opened("anna", "INBOX")
    assert logins == [""]
    boxes.append("user.anna")
    _probe.opened("anna", "INBOX")
    assert logins[1:] == ["", "anna"]


def test_a_refusal_names_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    session = Session({"EXAMINE": Answer((), "Mailbox does not exist")})
    with pytest.raises(ReplicationError, match=r"this host: anna: EXAMINE .* does not exist"):
        mailbox(monkeypatch, session).find(ID)
