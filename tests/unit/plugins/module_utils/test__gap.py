# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Numbers that are left out, and a server that takes that or does not."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist, _gap
from ansible_collections.mailops.cyrus.plugins.module_utils._gap import Gap
from ansible_collections.mailops.cyrus.plugins.module_utils._model import Mailbox
from ansible_collections.mailops.cyrus.plugins.module_utils._session import Endpoint, Session
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.scripted import (
    ScriptedSocket,
    connect,
)
from hypothesis import given
from hypothesis import strategies as st

GAP = Gap(10000, 100000)
FIELDS: dict[str, _dlist.Value] = {
    "UNIQUEID": "u1",
    "MBOXNAME": "user.anna",
    "SYNC_CRC": "11",
    "SYNC_CRC_ANNOT": "12",
    "LAST_UID": "3",
    "HIGHESTMODSEQ": "9",
    "POP3_SHOW_AFTER": "0",
    "UIDVALIDITY": "5",
    "PARTITION": "default",
    "ACL": "anna\tlrswipkxtecda\t",
    "OPTIONS": "P",
    "QUOTAROOT": "user.anna",
    "XCONVMODSEQ": "9",
    "ANNOTATIONS": [{"ENTRY": "/comment", "USERID": None, "MODSEQ": "2", "VALUE": "a b"}],
}
ANNA = Mailbox.of(FIELDS)


def test_all_else_stays_as_it_is() -> None:
    found = _gap.raised(FIELDS, _gap.targets(ANNA, GAP))
    assert found is not None
    changed = {key: value for key, value in found.items() if FIELDS.get(key) != value}
    assert changed == {
        "LAST_UID": "10003",
        "HIGHESTMODSEQ": "100009",
        "SINCE_MODSEQ": "9",
        "SINCE_CRC": "11",
        "SINCE_CRC_ANNOT": "12",
        "RECORD": [],
    }
    assert FIELDS.keys() - found.keys() == {"QUOTAROOT", "XCONVMODSEQ"}


@given(st.integers(0, 2**31), st.integers(0, 2**31), st.integers(0, 2**31), st.integers(0, 2**31))
def test_never_lower_and_once_only(uid: int, modseq: int, base_uid: int, base_modseq: int) -> None:
    fields = {**FIELDS, "LAST_UID": str(uid), "HIGHESTMODSEQ": str(modseq)}
    base = replace(ANNA, last_uid=base_uid, highestmodseq=base_modseq)
    wanted = _gap.targets(base, GAP)
    found = _gap.raised(fields, wanted)
    if found is None:
        assert uid >= base_uid + GAP.uids
        assert modseq >= base_modseq + GAP.modseqs
        return
    assert int(str(found["LAST_UID"])) == max(uid, base_uid + GAP.uids)
    assert int(str(found["HIGHESTMODSEQ"])) == max(modseq, base_modseq + GAP.modseqs)
    assert _gap.raised(found, wanted) is None


@pytest.mark.parametrize(
    ("name", "mboxtype", "has"),
    [
        ("user.anna", "", True),
        ("user.anna", "i", False),
        ("user.anna", "ei", False),
        ("user.anna.#sieve", "", False),
        ("shared", "", True),
    ],
)
def test_what_has_numbers_that_clients_see(name: str, mboxtype: str, has: bool) -> None:
    assert _gap.has_gap(replace(ANNA, name=name, mboxtype=mboxtype)) is has


class Server:
    """One that has mailboxes, and takes what is handed over unless it is told not to."""

    def __init__(self, *names: str, refuses: bytes = b"", forgets: bool = False) -> None:
        self.boxes = {
            name: {**FIELDS, "MBOXNAME": name, "UNIQUEID": f"id-{name}"} for name in names
        }
        self.refuses = refuses
        self.forgets = forgets
        self.applied = 0

    @property
    def base(self) -> list[Mailbox]:
        return [Mailbox.of(fields) for fields in self.boxes.values()]

    def __call__(self, request: bytes) -> bytes:
        words = _dlist.parse(request)
        if words[0] == "GET":
            (names,) = words[2:]
            assert isinstance(names, list)
            told = [self.boxes[str(name)] for name in names if str(name) in self.boxes]
            lines = [b"* MAILBOX " + _dlist.serialise(dict(box)) + b"\r\n" for box in told]
            return b"".join(lines) + b"OK success\r\n"
        self.applied += 1
        (fields,) = words[2:]
        assert isinstance(fields, dict)
        assert words[:2] == ["APPLY", "MAILBOX"]
        if self.refuses:
            return self.refuses
        if not self.forgets:
            self.boxes[str(fields["MBOXNAME"])].update(fields)
        return b"OK success\r\n"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch, server: Server) -> Session:
    connect(monkeypatch, ScriptedSocket(b"* OK imap2 Cyrus sync server 3.6.1\r\n", server))
    return Session(Endpoint("imap2", path="/run/cyrus/private/csync"))


@pytest.mark.parametrize("server", [Server(*(f"user.u{number}" for number in range(250)))])
def test_raised_once(server: Server, session: Session) -> None:
    base = server.base
    assert _gap.leave(session, base, GAP, check=True).mailboxes == 250
    assert server.applied == 0
    assert vars(_gap.leave(session, base, GAP, check=False)) == {"mailboxes": 250, "left": []}
    assert {box["LAST_UID"] for box in server.boxes.values()} == {"10003"}
    assert vars(_gap.leave(session, base, GAP, check=False)) == {"mailboxes": 0, "left": []}
    assert server.applied == 250


@pytest.mark.parametrize("server", [Server("user.anna", "user.ben")])
def test_what_is_gone_or_made_again_needs_no_gap(server: Server, session: Session) -> None:
    base = server.base
    del server.boxes["user.anna"]
    server.boxes["user.ben"]["UNIQUEID"] = "another"
    assert vars(_gap.leave(session, base, GAP, check=False)) == {"mailboxes": 0, "left": []}
    assert server.applied == 0


@pytest.mark.parametrize(
    ("server", "reason"),
    [
        (Server("user.anna", refuses=b"NO IMAP_MAILBOX_BADTYPE x\r\n"), "IMAP_MAILBOX_BADTYPE x"),
        (Server("user.anna", forgets=True), "it has no effect"),
    ],
)
def test_what_has_no_effect_is_told(server: Server, session: Session, reason: str) -> None:
    found = _gap.leave(session, server.base, GAP, check=False)
    assert found.mailboxes == 0
    assert found.left == [f"user.anna can't be raised: {reason}"]


@pytest.mark.parametrize("server", [Server("user.anna", "user.ben")])
def test_no_uid_beyond_the_largest(server: Server, session: Session) -> None:
    base = [replace(server.base[0], last_uid=2**32 - 5), server.base[1]]
    found = _gap.leave(session, base, GAP, check=False)
    assert found.mailboxes == 1
    assert found.left == ["user.anna can't be raised: it has nearly no UIDs left"]
