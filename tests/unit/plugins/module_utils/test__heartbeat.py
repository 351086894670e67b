# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heartbeat against a master that is only as much of Cyrus as it needs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._heartbeat import Heartbeat, Relayed
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Answer,
    Endpoint,
    Session,
    WireError,
)

NAME = "cyrus-heartbeat-imap2"


class Server:
    """The mailbox on one host, as 3.6.1 answers about it."""

    def __init__(self) -> None:
        self.exists = False
        self.acl: dict[str, str] = {}
        self.uniqueid = 0
        self.messages = self.last_uid = 0
        self.flags = ""
        self.modseq = 1
        self.commands: list[str] = []
        self.refuses: str | None = None
        self.news: list[bytes] = []

    def header(self) -> bytes:
        acl = "".join(f"{who}\t{rights}\t" for who, rights in self.acl.items())
        return (
            f"MAILBOX %(UNIQUEID u{self.uniqueid} MBOXNAME {NAME} SYNC_CRC 1 SYNC_CRC_ANNOT 1 "
            f"LAST_UID {self.last_uid} HIGHESTMODSEQ {self.modseq} POP3_SHOW_AFTER 0 "
            f'UIDVALIDITY 1 PARTITION default ACL "{acl}" OPTIONS P)'
        ).encode()

    def do(self, text: str) -> list[bytes] | str:
        """What it says, or why it refuses."""
        self.commands.append(text)
        verb, *words = text.split()
        if verb == self.refuses:
            return "System I/O error"
        if verb == "CREATE":
            if self.exists:
                return "Mailbox already exists"
            self.exists, self.acl, self.modseq = True, {"anyone": "lrs"}, 1
            self.uniqueid += 1
            self.messages = self.last_uid = 0
            return []
        if not self.exists:
            return "Mailbox does not exist"
        said: list[bytes] = []
        if verb == "SETACL":
            self.acl[words[1]] = words[2]
        elif verb == "DELETEACL":
            del self.acl[words[1]]
        elif verb == "SELECT":
            said = [b"%d EXISTS" % self.messages, b"0 RECENT", b"OK [HIGHESTMODSEQ 1] Ok"]
        elif verb == "APPEND":
            size, message = re.fullmatch(r"APPEND \S+ \{(\d+)\+\}\r\n(.*)", text, re.S).groups()  # type: ignore[union-attr]
            if int(size) != len(message):
                return "Message contains bare newlines"
            self.messages += 1
            self.last_uid += 1
            self.modseq += 1
        elif not self.messages:
            return "Invalid sequence in Store"
        else:
            if verb == "STORE":
                self.flags = text[text.index("(") + 1 : -1]
                self.modseq += 1
            said = [f"1 FETCH (FLAGS (\\Recent {self.flags}) MODSEQ ({self.modseq}))".encode()]
        return self.news + said


class Connection:
    """One session with a server."""

    def __init__(self, server: Server) -> None:
        self.endpoint = Endpoint("imap1", user="replication")
        self._server = server
        self.broken = False

    def ask(self, requests: list[str]) -> Iterator[Answer]:
        for request in requests:
            assert request == f"MAILBOXES ({NAME})"
            known = [self._server.header()] if self._server.exists else []
            yield Answer((*self._server.news, *known))

    def command(self, text: str) -> Answer:
        if self.broken:
            raise WireError("imap1: closed the connection")
        said = self._server.do(text)
        return Answer((), said) if isinstance(said, str) else Answer(tuple(said))


class Lab:
    """A master, the session to it, and the heartbeat."""

    def __init__(self) -> None:
        self.master = Server()
        self.connection = Connection(self.master)
        self.heartbeat = Heartbeat(lambda: cast(Session, self.connection), "imap2")

    def reconnect(self) -> None:
        self.connection = Connection(self.master)

    def seen(self, on: Server) -> int:
        return self.heartbeat.seen(cast(Session, Connection(on)))


@pytest.fixture
def lab() -> Lab:
    return Lab()


def test_mailbox_is_made_once(lab: Lab) -> None:
    lab.heartbeat.prepare()
    assert lab.master.acl == {"replication": "lrwi"}
    assert lab.master.messages == 1
    lab.master.commands.clear()
    lab.heartbeat.prepare()
    assert lab.master.commands == [f"SELECT {NAME} (CONDSTORE)", "FETCH 1 (FLAGS)"]


def test_beats_change_a_flag_and_nothing_grows(lab: Lab) -> None:
    modseqs = []
    for _beat in range(20):
        beat = lab.heartbeat.beat()
        assert lab.seen(lab.master) == beat.modseq
        modseqs.append(beat.modseq)
    assert modseqs == list(range(modseqs[0], modseqs[0] + 20))
    assert (lab.master.messages, lab.master.last_uid) == (1, 1)
    stores = [command for command in lab.master.commands if command.startswith("STORE")]
    assert stores == ["STORE 1 FLAGS (\\Flagged)", "STORE 1 FLAGS ()"] * 10


def test_flag_goes_on_from_where_it_was(lab: Lab) -> None:
    lab.heartbeat.beat()
    lab.reconnect()
    lab.heartbeat.beat()
    assert lab.master.commands[-1] == "STORE 1 FLAGS ()"


def test_a_broken_connection_is_the_callers(lab: Lab) -> None:
    lab.heartbeat.beat()
    lab.connection.broken = True
    with pytest.raises(WireError):
        lab.heartbeat.beat()
    lab.reconnect()
    assert lab.heartbeat.beat().modseq == 4


def test_what_somebody_has_done_is_mended(lab: Lab) -> None:
    first = lab.heartbeat.beat()
    lab.master.messages = 0
    lab.master.news = [b"1 EXPUNGE", b"0 EXISTS"]
    assert lab.heartbeat.beat().modseq > first.modseq
    lab.master.news = []
    lab.master.acl = {"anyone": "lrs", "replication": "lr"}
    lab.reconnect()
    lab.heartbeat.beat()
    assert lab.master.acl == {"replication": "lrwi"}


def test_number_of_another_mailbox_says_nothing(lab: Lab) -> None:
    lab.heartbeat.beat()
    copy = Server()
    assert lab.seen(copy) == 0
    copy.do(f"CREATE {NAME}")
    copy.modseq = 100
    assert lab.seen(copy) == 100
    lab.master.exists = False
    lab.heartbeat.beat()
    assert lab.seen(copy) == 0
    copy.uniqueid = lab.master.uniqueid
    assert lab.seen(copy) == 100


def test_nothing_is_seen_before_it_was_prepared(lab: Lab) -> None:
    lab.master.do(f"CREATE {NAME}")
    assert lab.seen(lab.master) == 0


@pytest.mark.parametrize("verb", ["CREATE", "SETACL", "DELETEACL", "SELECT", "APPEND", "STORE"])
def test_master_that_refuses(lab: Lab, verb: str) -> None:
    lab.master.refuses = verb
    for _try in range(2):
        with pytest.raises(
            ReplicationError, match=rf"imap1 refuses {verb} for .* \(System I/O error\): look"
        ):
            lab.heartbeat.beat()
    lab.master.refuses = None
    assert lab.heartbeat.beat().modseq == lab.master.modseq


def test_mailbox_that_cannot_be_opened(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Server, "header", lambda self: b"OK [ALERT] nothing")
    with pytest.raises(ReplicationError, match=r"refuses GET .* \(it was made and is not there\)"):
        lab.heartbeat.prepare()


def test_a_replica_passes_on_what_has_come_to_it() -> None:
    here, behind = Server(), Server()
    connection = Connection(here)
    relayed = Relayed(lambda: cast(Session, connection), "imap2")
    with pytest.raises(ReplicationError, match="none has come to imap1 yet"):
        relayed.beat()
    here.do(f"CREATE {NAME}")
    here.modseq = 7
    beat = relayed.beat()
    assert beat is not None
    assert beat.modseq == 7
    # None that is new, and nothing is written here.
    assert relayed.beat() is None
    assert here.commands == [f"CREATE {NAME}"]
    assert relayed.seen(cast(Session, Connection(behind))) == 0
    behind.do(f"CREATE {NAME}")
    behind.modseq = 7
    assert relayed.seen(cast(Session, Connection(behind))) == 7
    here.modseq = 8
    again = relayed.beat()
    assert again is not None
    assert again.modseq == 8
