# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A check of two servers that are tables here, with a clock on which things happen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _check, _look, _report
from ansible_collections.mailops.cyrus.plugins.module_utils._check import Check, Findings, Side
from ansible_collections.mailops.cyrus.plugins.module_utils._session import (
    Session,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._synclog import SyncLog, Waiting
from ansible_collections.mailops.cyrus.plugins.module_utils._touched import Touched
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.tables import (
    NONEXISTENT,
    Server,
    record,
)

SETTLE = 10.0


class Clock:
    """Stands for the module time; what is planned happens while somebody sleeps."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.plans: list[tuple[float, Callable[[], object]]] = []

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        due = [plan for plan in self.plans if plan[0] <= self.now]
        self.plans = [plan for plan in self.plans if plan[0] > self.now]
        for _when, happen in due:
            happen()

    def after(self, seconds: float, happen: Callable[[], object]) -> None:
        self.plans.append((self.now + seconds, happen))


class Log:
    """A channel's log: who waits in it, and whether the client works."""

    def __init__(self) -> None:
        self.now = Waiting()
        self.works = True

    def waiting(self) -> Waiting:
        return self.now

    def mark(self) -> Log:
        return self

    def passed(self) -> bool:
        return self.works

    def close(self) -> None:
        pass


class Lab:
    """Two servers, a channel, a clock."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self.master, self.replica = Server(), Server()
        self.log: Log | None = Log()
        self.progress: list[tuple[str, int, int]] = []

    def both(self, name: str, *records: bytes, **fields: str | int) -> None:
        self.master.add(name, *records, **fields)
        self.replica.add(name, *records, **fields)

    def check(
        self, level: str = "summary", settle: float = SETTLE, touched: Touched | None = None
    ) -> Findings:
        master, replica = (
            Side(name, cast(Session, server), server.listing)
            for name, server in (("imap1", self.master), ("imap2", self.replica))
        )
        log: SyncLog | None = cast(Any, self.log)

        def note(user: str, done: int, total: int) -> None:
            self.progress.append((user, done, total))

        return Check(master, replica, level, log, settle, note, touched).run()


@pytest.fixture
def lab(monkeypatch: pytest.MonkeyPatch) -> Lab:
    clock = Clock()
    monkeypatch.setattr(_check, "time", clock)
    lab = Lab(clock)
    lab.both("user.anna", record(1), record(2), QUOTAROOT="user.anna")
    lab.both("user.anna.Sent", record(1))
    lab.both("user.ben")
    lab.both("shared.info", record(1))
    return lab


def kinds(findings: Findings) -> list[tuple[str, str | None, int | None]]:
    return [(d.kind, d.mailbox, d.uid) for d in findings.differences]


def in_sync(findings: Findings) -> bool | None:
    return _report.in_sync(findings)


# -- one look


@pytest.mark.parametrize("level", ["summary", "messages"])
def test_equal_servers(lab: Lab, level: str) -> None:
    findings = lab.check(level)
    assert in_sync(findings) is True
    assert (findings.tally.users, findings.tally.mailboxes) == (2, 4)
    assert findings.tally.messages == (4 if level == "messages" else 0)
    assert lab.clock.now == 1000, "nobody waited"
    assert lab.progress[-1][1] == lab.progress[-1][2]


def test_empty_servers(lab: Lab) -> None:
    lab.master, lab.replica = Server(), Server()
    assert in_sync(lab.check()) is True


def test_flag_that_differs(lab: Lab) -> None:
    lab.replica.add("user.anna", record(1), record(2, "$x"), QUOTAROOT="user.anna")
    findings = lab.check()
    assert [(d.field, d.master, d.replica) for d in findings.differences] == [
        ("$x", False, True),
        ("\\seen", True, False),
    ]
    assert in_sync(findings) is False
    assert (findings.lagging, findings.unknown, findings.skipped) == ([], [], [])
    assert [request for request in lab.master.asked if "FULL" in request] == [
        "FULLMAILBOX user.anna",
        "FULLMAILBOX user.anna",
    ], "only what differs is opened, and looked at twice"


def test_crc_of_zero_says_nothing(lab: Lab) -> None:
    lab.both("user.anna", record(1), SYNC_CRC=0)
    assert in_sync(lab.check()) is True
    assert "FULLMAILBOX user.anna" in lab.master.asked
    lab.replica.add("user.anna", record(1, "$x"), SYNC_CRC=0)
    assert kinds(lab.check()) == [("message_flags", "user.anna", 1)] * 2


def test_crc_of_zero_of_an_empty_mailbox_is_right(lab: Lab) -> None:
    lab.check()
    assert not [request for request in lab.master.asked if "FULL" in request]


def test_crc_that_is_stale(lab: Lab) -> None:
    lab.replica.add("user.anna", record(1), record(2), QUOTAROOT="user.anna", SYNC_CRC=77)
    assert kinds(lab.check()) == [("crc", "user.anna", None)]


def test_user_and_mailboxes_on_one_side_only(lab: Lab) -> None:
    lab.replica.drop("user.ben")
    lab.replica.drop("user.anna.Sent")
    lab.replica.add("shared.more")
    findings = lab.check()
    assert {(d.kind, d.user, d.mailbox) for d in findings.differences} == {
        ("user", "ben", None),
        ("mailbox", "anna", "user.anna.Sent"),
        ("mailbox", None, "shared.more"),
    }


def test_renamed_mailbox(lab: Lab) -> None:
    lab.replica.drop("user.anna.Sent")
    lab.replica.add("user.anna.Out", record(1), UNIQUEID="id-user.anna.Sent")
    assert kinds(lab.check()) == [("mailbox_name", "user.anna.Sent", None)]


def test_name_with_mailboxes_below_it(lab: Lab) -> None:
    """An intermediate one is told by GET MAILBOXES, and can't be opened."""
    for server in (lab.master, lab.replica):
        server.add("user.anna.a", MBOXTYPE="ei", PARTITION="NIL", ACL="NIL")
        server.mailboxes["user.anna.a"].pop("SYNC_CRC_ANNOT")
        server.closed["user.anna.a"] = NONEXISTENT
    findings = lab.check("messages")
    assert (findings.differences, findings.unknown) == ([], [])
    assert in_sync(findings) is True


def test_quotas_and_server_annotations(lab: Lab) -> None:
    lab.master.quotas["user.anna"] = b"QUOTA %(ROOT user.anna STORAGE 10)"
    lab.master.annotations = [b"ANNOTATION %(ENTRY /motd USERID NIL VALUE x)"]
    assert {(d.kind, d.user) for d in lab.check().differences} == {
        ("quota_limit", "anna"),
        ("server_annotation", None),
    }


def test_seen_of_mailboxes_that_are_gone_is_no_difference(lab: Lab) -> None:
    row = "SEEN %(UNIQUEID {} LASTREAD 1 LASTUID 1 LASTCHANGE 1 SEENUIDS 1)"
    lab.replica.meta["anna"] = [row.format("id-gone").encode()]
    assert in_sync(lab.check()) is True
    lab.replica.meta["anna"].append(row.format("id-shared.info").encode())
    assert [d.field for d in lab.check().differences] == ["id-shared.info"]


def test_mailbox_of_scripts_is_compared(lab: Lab) -> None:
    for side in (lab.master, lab.replica):
        side.hidden["user.anna.#sieve"] = None
        side.records["user.anna.#sieve"] = [record(1)]
    lab.master.add("user.anna.#sieve", record(1))
    lab.replica.add("user.anna.#sieve", record(1))
    assert in_sync(lab.check()) is True
    lab.replica.add("user.anna.#sieve")
    assert [d.kind for d in lab.check().differences] == ["message"]


def test_mailbox_of_scripts_that_is_gone(lab: Lab) -> None:
    lab.master.add("user.anna.#sieve", record(1))
    (difference,) = lab.check().differences
    assert (difference.kind, difference.mailbox) == ("mailbox", "user.anna.#sieve")
    assert (difference.master, difference.replica) == ("user.anna.#sieve", None)


def test_old_version_has_no_mailboxes_of_scripts(lab: Lab) -> None:
    lab.master.add("user.anna.#sieve", record(1))
    lab.replica.version = (3, 2)
    assert in_sync(lab.check()) is True


# -- looking again


def test_replica_that_catches_up(lab: Lab) -> None:
    lab.master.add("user.ben", record(1))
    lab.clock.after(0.1, lambda: lab.replica.add("user.ben", record(1)))
    assert in_sync(lab.check()) is True
    assert lab.clock.now < 1000 + SETTLE


def test_difference_is_looked_at_until_the_log_has_been_done(lab: Lab) -> None:
    assert lab.log is not None
    log = lab.log
    log.works = False
    lab.replica.drop("user.ben")
    lab.clock.after(3, lambda: setattr(log, "works", True))
    findings = lab.check()
    assert kinds(findings) == [("user", None, None)]
    assert 3 <= lab.clock.now - 1000 < 4


def test_what_waits_in_the_log_lags(lab: Lab) -> None:
    assert lab.log is not None
    lab.log.works, lab.log.now = False, Waiting(frozenset({"ben"}))
    lab.replica.drop("user.ben")
    findings = lab.check()
    assert findings.differences == []
    assert [d.user for d in findings.lagging] == ["ben"]
    assert in_sync(findings) is None
    assert SETTLE <= lab.clock.now - 1000 < SETTLE + 1, "the wait is bounded"


def test_what_does_not_wait_differs_even_where_the_channel_is_stuck(lab: Lab) -> None:
    assert lab.log is not None
    lab.log.works, lab.log.now = False, Waiting(frozenset({"anna"}))
    lab.replica.drop("user.ben")
    lab.replica.drop("user.anna.Sent")
    findings = lab.check()
    assert kinds(findings) == [("user", None, None)]
    assert [d.mailbox for d in findings.lagging] == ["user.anna.Sent"]
    assert in_sync(findings) is False


def test_mailbox_that_never_rests_lags(lab: Lab) -> None:
    def deliver() -> None:
        lab.master.add("user.ben", *map(record, range(1, len(lab.master.records["user.ben"]) + 2)))
        lab.clock.after(0.1, deliver)

    deliver()
    findings = lab.check()
    assert findings.differences == []
    assert {(d.kind, d.mailbox) for d in findings.lagging} >= {("last_uid", "user.ben")}
    assert in_sync(findings) is None


class Busy:
    """A mailbox into which one message comes after the other, each with a MODSEQ of its own; the
    replica has all but the last. A flag of the first one changes all the time."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.count = 5
        self.lacking: set[int] = set()
        self.stray: list[bytes] = []
        self.deliver()

    def deliver(self) -> None:
        self.count += 1
        self._have(self.lab.master, list(self._records(self.count).values()), self.count)
        copied = [
            one for uid, one in self._records(self.count - 1).items() if uid not in self.lacking
        ]
        self._have(self.lab.replica, [*copied, *self.stray], self.count - 1)
        self.lab.clock.after(0.01, self.deliver)

    def _records(self, count: int) -> dict[int, bytes]:
        first = {1: record(1, "$x" if count % 2 else "", 10 + count)}
        return first | {uid: record(uid, modseq=10 + uid) for uid in range(2, count + 1)}

    def _have(self, server: Server, records: list[bytes], count: int) -> None:
        server.add("user.ben", *records, LAST_UID=count, HIGHESTMODSEQ=10 + count)


def test_mailbox_that_never_rests_and_is_followed(lab: Lab) -> None:
    busy = Busy(lab)
    assert in_sync(lab.check()) is True
    assert busy.count < 60, "nobody waited for it to rest"


def test_message_that_a_mailbox_lacks_which_never_rests(lab: Lab) -> None:
    Busy(lab).lacking = {4}
    findings = lab.check()
    assert {(d.kind, d.uid) for d in [*findings.differences, *findings.lagging]} == {("message", 4)}
    assert in_sync(findings) is not True


def test_message_that_only_the_replica_of_a_busy_mailbox_has(lab: Lab) -> None:
    Busy(lab).stray = [record(900, modseq=10)]
    findings = lab.check()
    assert ("message", 900) in {(d.kind, d.uid) for d in findings.differences}


def test_no_log_to_look_into(lab: Lab) -> None:
    lab.log = None
    lab.replica.drop("user.ben")
    lab.master.add("user.anna.Sent", record(1), record(2))
    later = SETTLE - 0.01
    lab.clock.after(later, lambda: lab.replica.add("user.anna.Sent", record(1), record(2)))
    findings = lab.check()
    assert kinds(findings) == [("user", None, None)]
    assert lab.clock.now == 1000 + SETTLE


def test_difference_that_goes_away_for_good(lab: Lab) -> None:
    """Found twice while something else still moves, and gone at the last look."""
    assert lab.log is not None
    lab.log.works, lab.log.now = False, Waiting(frozenset({"ben"}))
    lab.replica.drop("user.ben")
    lab.replica.drop("user.anna.Sent")
    lab.clock.after(SETTLE - 0.01, lambda: lab.replica.add("user.anna.Sent", record(1)))
    assert [d.mailbox for d in lab.check().differences] in ([], ["user.anna.Sent"])


def test_no_time_to_settle(lab: Lab) -> None:
    lab.replica.drop("user.ben")
    assert kinds(lab.check(settle=0)) == [("user", None, None)]


# -- what is not known


def test_refused_user(lab: Lab) -> None:
    lab.replica.refuses["META ben"] = "IMAP_IOERROR System I/O error"
    findings = lab.check()
    assert [(u.scope, u.reason) for u in findings.unknown] == [
        ("ben", "imap2 refuses: IMAP_IOERROR System I/O error")
    ]
    assert in_sync(findings) is None


def test_refused_user_who_recovers(lab: Lab) -> None:
    lab.replica.refuses["META ben"] = "IMAP_MAILBOX_LOCKED"
    lab.clock.after(2, lab.replica.refuses.clear)
    assert in_sync(lab.check()) is True


@pytest.mark.parametrize("request_", ['QUOTA "user.anna"', "QUOTA user.anna", "ANNOTATION"])
def test_refused_quota_or_annotations(lab: Lab, request_: str) -> None:
    if request_.startswith("QUOTA "):
        lab.master.refuses["QUOTA"] = "IMAP_IOERROR"
    else:
        lab.master.refuses[request_] = "IMAP_IOERROR"
    findings = lab.check()
    assert [u.reason for u in findings.unknown] == ["imap1 refuses: IMAP_IOERROR"]
    assert in_sync(findings) is None


def test_answer_that_is_not_understood(lab: Lab) -> None:
    lab.replica.meta["ben"] = [b"FUTURE %(A b)"]
    findings = lab.check()
    assert [u.scope for u in findings.unknown] == ["ben"]
    assert "'FUTURE' is not known" in findings.unknown[0].reason


def test_quota_that_is_not_understood(lab: Lab) -> None:
    lab.replica.quotas["user.anna"] = b"QUOTA (user.anna)"
    findings = lab.check()
    assert [(u.scope, u.user) for u in findings.unknown] == [("user.anna", "anna")]


def test_quota_root_with_an_odd_name(lab: Lab) -> None:
    lab.both("shared.a b", UNIQUEID="x", MBOXNAME='"shared.a b"', QUOTAROOT='"shared.a b"')
    lab.master.quotas["shared.a b"] = b'QUOTA %(ROOT "shared.a b" STORAGE 1)'
    assert kinds(lab.check()) == [("quota_limit", "shared.a b", None)]


@pytest.mark.parametrize(
    "records", [[b"%(UID x)", record(2)], [record(3), record(1)]], ids=["garbage", "order"]
)
def test_records_that_are_not_understood(lab: Lab, records: list[bytes]) -> None:
    lab.replica.add("user.anna", *records, QUOTAROOT="user.anna")
    findings = lab.check()
    assert [u.scope for u in findings.unknown] == ["user.anna"]
    assert in_sync(findings) is None


def test_mailbox_that_one_side_cannot_open(lab: Lab) -> None:
    lab.replica.hidden["user.anna.Sent"] = "IMAP_MAILBOX_BADFORMAT"
    lab.replica.drop("user.anna.Sent")
    findings = lab.check()
    (difference,) = findings.differences
    assert (difference.kind, difference.mailbox) == ("index", "user.anna.Sent")
    refused = "refused (IMAP_MAILBOX_BADFORMAT)"
    assert (difference.master, difference.replica) == ("possible", refused)


def test_mailbox_that_neither_side_can_open(lab: Lab) -> None:
    for server in (lab.master, lab.replica):
        server.drop("user.anna.Sent")
        server.hidden["user.anna.Sent"] = "IMAP_MAILBOX_BADFORMAT"
    findings = lab.check()
    assert [(u.scope, u.reason) for u in findings.unknown] == [
        ("user.anna.Sent", "neither side can open it: IMAP_MAILBOX_BADFORMAT")
    ]
    assert in_sync(findings) is None


def test_mailbox_that_goes_while_it_is_looked_at(lab: Lab) -> None:
    """Deleted on both sides between the listing and the question."""
    for server in (lab.master, lab.replica):
        server.drop("user.anna.Sent")
        server.hidden["user.anna.Sent"] = NONEXISTENT
        lab.clock.after(0.1, server.hidden.clear)
    assert in_sync(lab.check()) is True


def test_mailbox_that_comes_while_it_is_looked_at(lab: Lab) -> None:
    """Listed and left out, and openable a moment later: that is looked at again."""
    for server in (lab.master, lab.replica):
        server.hidden["user.anna.Sent"] = None
    lab.replica.add("user.anna.Sent", record(1, "$x"))
    for server in (lab.master, lab.replica):
        lab.clock.after(0.1, server.hidden.clear)
    assert {kind for kind, _mailbox, _uid in kinds(lab.check())} == {"message_flags"}


def test_mailbox_that_is_never_told_is_unknown(lab: Lab) -> None:
    for server in (lab.master, lab.replica):
        server.hidden["user.anna.Sent"] = None
    assert in_sync(lab.check()) is None


def test_opened_mailbox_that_neither_side_can_open(lab: Lab) -> None:
    """Gone between the summary and the records, or damaged on both sides."""
    for server in (lab.master, lab.replica):
        server.closed["user.anna.Sent"] = "IMAP_IOERROR"
    findings = lab.check("messages")
    assert findings.differences == []
    assert [(u.scope, u.reason) for u in findings.unknown] == [
        ("user.anna.Sent", "neither side can open it: IMAP_IOERROR")
    ]


# -- only what was touched


def touched(users: str = "", shared: str = "", quotas: str = "") -> Touched:
    return Touched(frozenset(users.split()), frozenset(shared.split()), frozenset(quotas.split()))


def test_only_who_was_touched_is_read(lab: Lab) -> None:
    lab.replica.add("user.ben", LAST_UID=7)
    lab.replica.add("user.anna.Sent", record(1, "$x"))
    findings = lab.check(touched=touched("anna"))
    assert {d.mailbox for d in findings.differences} == {"user.anna.Sent"}
    assert (findings.tally.users, findings.tally.mailboxes) == (1, 2)
    assert not any("user.ben" in request for request in lab.replica.asked)


def test_nobody_was_touched(lab: Lab) -> None:
    findings = lab.check(touched=touched())
    assert in_sync(findings) is True
    assert findings.tally.mailboxes == 0


def test_only_shared_mailboxes_that_were_touched(lab: Lab) -> None:
    lab.both("shared.other")
    lab.replica.add("shared.info", record(1, "$x"))
    lab.replica.add("shared.other", LAST_UID=7)
    findings = lab.check(touched=touched(shared="shared.info"))
    assert {d.mailbox for d in findings.differences} == {"shared.info"}


def test_the_lists_are_compared_whoever_was_touched(lab: Lab) -> None:
    lab.replica.add("user.ben.More")
    lab.replica.add("shared.more")
    lab.master.add("user.carl")
    findings = lab.check(touched=touched())
    assert set(kinds(findings)) == {
        ("mailbox", "user.ben.More", None),
        ("mailbox", "shared.more", None),
        ("user", None, None),
    }
    # Who was not touched is read as well where his list differs.
    assert findings.tally.users == 2


def test_limits_of_quota_roots_that_were_touched(lab: Lab) -> None:
    lab.master.quotas["domain"] = b"QUOTA %(ROOT domain LIMIT 5)"
    assert in_sync(lab.check(touched=touched())) is True
    findings = lab.check(touched=touched(quotas="domain gone user.ben"))
    assert kinds(findings) == [("quota_limit", "domain", None)]


def test_seen_of_a_mailbox_that_was_not_touched(lab: Lab) -> None:
    def seen(name: str) -> bytes:
        return f"SEEN %(UNIQUEID id-{name} LASTREAD 1 LASTUID 1 LASTCHANGE 1 SEENUIDS 1)".encode()

    lab.replica.meta["anna"] = [seen("user.gone"), seen("shared.info")]
    findings = lab.check(touched=touched("anna"))
    told = {(d.kind, d.mailbox) for d in findings.differences}
    assert ("seen", "shared.info") in told
    assert not any(d.field == "id-user.gone" for d in findings.differences)


# -- many


def test_shared_mailboxes_are_read_in_chunks(lab: Lab) -> None:
    for number in range(250):
        lab.both(f"shared.box{number:03}")
    scopes = _look.scopes_of(lab.master.listing())
    assert [(scope.user, len(scope.names)) for scope in scopes] == [
        ("anna", 2),
        ("ben", 1),
        (None, 100),
        (None, 100),
        (None, 51),
    ]
    lab.replica.drop("shared.box001")
    findings = lab.check()
    assert findings.tally.mailboxes == 254
    assert kinds(findings) == [("mailbox", "shared.box001", None)]


def test_user_with_many_mailboxes_is_asked_in_pieces(lab: Lab) -> None:
    for number in range(250):
        lab.both(f"user.ben.box{number:03}")
    assert in_sync(lab.check()) is True
    asked = [request for request in lab.master.asked if "user.ben" in request]
    assert len(asked) == 3
    assert lab.master.asked.index("META ben") == lab.master.asked.index(asked[-1]) + 1


def test_differences_of_a_mailbox_are_limited(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_check, "MAX_PER_MAILBOX", 5)
    lab.master.add("user.ben", *map(record, range(1, 21)), LAST_UID=20)
    lab.replica.add("user.ben", LAST_UID=20)
    findings = lab.check()
    assert kinds(findings) == [("message", "user.ben", uid) for uid in range(1, 6)]
    assert [(s.scope, s.reason) for s in findings.skipped] == [
        ("user.ben", "15 further differences are not listed")
    ]
    assert findings.tally.messages == 20


def test_what_came_later_does_not_hide_what_is_lost(
    lab: Lab, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_check, "MAX_PER_MAILBOX", 6)
    before = [record(uid) for uid in range(1, 21)]
    lab.replica.add("user.ben", *before[:-1], LAST_UID=20)
    lab.master.add("user.ben", *before, LAST_UID=20)

    def read() -> None:
        changed = [record(uid, "", modseq=10) for uid in range(1, 11)]
        lab.master.add("user.ben", *changed, *before[10:], LAST_UID=20, HIGHESTMODSEQ=10)

    lab.clock.after(0.1, read)
    assert in_sync(lab.check()) is not True


def test_differences_are_limited(lab: Lab, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_look, "MAX_DIFFERENCES", 3)
    for number in range(10):
        lab.master.add(f"shared.box{number}")
    findings = lab.check()
    assert len(findings.differences) == 3
    assert [(s.scope, s.reason) for s in findings.skipped] == [
        ("report", "7 further differences are not listed")
    ]
