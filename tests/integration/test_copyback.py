# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an old master alone has, after another took its place while it was off: first what plain
sync_client makes of it, then what copy-back does. Each user is one case.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest

from tests.lab.imap import Imap, Literal, mailbox
from tests.lab.managesieve import Sieve

from . import lab

OLD, NEW = "imap1", "imap2"
STATE = "/var/lib/cyrus-replication"
WELL, SPLIT = "copyback-well", "copyback-split"
USERS = (
    *("lone", "folder", "twin", "modseq", "taken", "flags", "gone", "deleted", "renamed"),
    *("expunged", "script", "meta", "aged"),
)
FRESH = "fresh"
# Where it is killed before it may come to its end.
POINTS = ("archived:1", "carried:1", "carried:6", "carried:11")
DATE = '"01-Feb-2020 03:04:05 +0000"'
SCRIPT = 'require "fileinto";\r\nfileinto "INBOX.%s";\r\n'


class Mail(NamedTuple):
    """A message as a client sees it."""

    uid: int
    subject: str
    flags: frozenset[str]
    date: str


def password() -> tuple[str, str]:
    return str(lab.var("cyrus_admin_user")), str(lab.var("cyrus_admin_password"))


def client(host: str, user: str = "") -> Imap:
    session = Imap.connect(lab.address(host))
    session.login(*password(), act_as=user)
    return session


def serves(host: str) -> bool:
    with client(host, USERS[0]) as session:
        session.run("SELECT INBOX")
    return True


def put(session: Imap, name: str, subject: str, flags: str = "", date: str = DATE) -> None:
    text = f"Subject: {subject}\r\n\r\n{subject}\r\n".encode()
    session.run("APPEND", mailbox(name), f"({flags})", date, Literal(text))


def expunge(session: Imap, name: str, uid: int) -> None:
    session.run("SELECT", mailbox(name))
    session.run(f"UID STORE {uid} +FLAGS.SILENT (\\Deleted)")
    session.run(f"UID EXPUNGE {uid}")
    session.run("UNSELECT")


def flag(session: Imap, name: str, uid: int, change: str) -> None:
    session.run("SELECT", mailbox(name))
    session.run(f"UID STORE {uid} {change}")
    session.run("UNSELECT")


def script(host: str, user: str, name: str, word: str) -> None:
    with Sieve.connect(lab.address(host)) as session:
        session.login(*password(), act_as=user)
        session.put(name, SCRIPT % word)
        session.activate(name)


def folders(host: str, user: str) -> dict[str, list[Mail]]:
    """All that a user sees."""
    found = {}
    with client(host, user) as session:
        for line in session.run('LIST "" *'):
            name = line.split(b'"/" ')[1].decode().strip('"')
            session.run("EXAMINE", mailbox(name))
            fetched = session.run(
                "UID FETCH 1:* (FLAGS INTERNALDATE BODY.PEEK[HEADER.FIELDS (SUBJECT)])"
            )
            found[name] = [_mail(one) for one in fetched if b"FETCH" in one]
    return found


def _mail(line: bytes) -> Mail:
    text = line.decode()
    uid, flags, date, subject = (
        re.search(pattern, text)
        for pattern in (r"UID (\d+)", r"FLAGS \(([^)]*)\)", r'INTERNALDATE "([^"]*)"', r"ect: (.*)")
    )
    assert uid, text
    assert flags, text
    assert date, text
    assert subject, text
    words = frozenset(flags.group(1).split()) - {"\\Recent"}
    return Mail(int(uid.group(1)), subject.group(1).strip(), words, date.group(1))


def uids(mails: list[Mail], subject: str) -> list[int]:
    return [mail.uid for mail in mails if mail.subject == subject]


def subjects(mails: list[Mail]) -> Counter[str]:
    return Counter(mail.subject for mail in mails)


# -- the split


def make_base() -> None:
    with client(OLD) as admin:
        for user in USERS:
            admin.run("CREATE", f"user/{user}")
    for user in USERS:
        with client(OLD, user) as session:
            session.run("CREATE INBOX/Work")
            for number in (1, 2, 3):
                put(session, "INBOX", f"base {number}")
            for number in (1, 2):
                put(session, "INBOX/Work", f"work {number}")
            session.run("SUBSCRIBE INBOX/Work")
    script(OLD, "script", "filter", "before")


def diverge_on_old() -> None:
    """What nobody else gets to know of."""

    def on(user: str) -> Imap:
        return client(OLD, user)

    with on("lone") as session:
        put(session, "INBOX", "lone", "\\Flagged $Label1")
        put(session, "INBOX/Work", "equal", "\\Seen")
        put(session, "INBOX/Work", "equal")
    with on("folder") as session:
        session.run("CREATE INBOX/Lone")
        put(session, "INBOX/Lone", "in a lone folder")
    with on("twin") as session:
        session.run("CREATE INBOX/Both")
        put(session, "INBOX/Both", "of the old one")
    for user in ("modseq", "taken"):
        with on(user) as session:
            put(session, "INBOX", "of the old one")
    with on("flags") as session:
        flag(session, "INBOX", 1, "+FLAGS (\\Flagged)")
    with on("gone") as session:
        put(session, "INBOX/Work", "into a folder that is deleted meanwhile")
    with on("deleted") as session:
        session.run("DELETE INBOX/Work")
    with on("renamed") as session:
        session.run("RENAME INBOX/Work INBOX/Job")
    with on("expunged") as session:
        expunge(session, "INBOX", 1)
    script(OLD, "script", "filter", "after")
    with on("meta") as session:
        session.run("CREATE INBOX/Notes")
        session.run("SUBSCRIBE INBOX/Notes")
        session.run("UNSUBSCRIBE INBOX/Work")
        session.run("SETACL INBOX/Work lone lrs")
        session.run('SETMETADATA INBOX/Work (/private/comment "of the old one")')
    with on("aged") as session:
        flag(session, "INBOX", 3, "+FLAGS (\\Answered)")
    with client(OLD) as admin:
        admin.run("CREATE", f"user/{FRESH}")
        admin.run("SETQUOTA", f"user/{FRESH}", "(STORAGE 4321)")
    with on(FRESH) as session:
        put(session, "INBOX", "of a new user")
    script(OLD, FRESH, "filter", "fresh")


def diverge_on_new() -> None:
    """What clients do on the new master before the old one is back."""

    def on(user: str) -> Imap:
        return client(NEW, user)

    with on("twin") as session:
        session.run("CREATE INBOX/Both")
        put(session, "INBOX/Both", "of the new one")
    with on("modseq") as session:
        for number in range(5):
            put(session, "INBOX", f"later {number}")
        for uid in (1, 2):
            expunge(session, "INBOX", uid)
    with on("taken") as session:
        put(session, "INBOX", "of the new one")
    with on("flags") as session:
        flag(session, "INBOX", 1, "+FLAGS (\\Answered)")
    with on("gone") as session:
        session.run("DELETE INBOX/Work")
    with on("expunged") as session:
        expunge(session, "INBOX", 2)
    with on("aged") as session:
        expunge(session, "INBOX", 3)
    # As a week later: who was expunged leaves no trace.
    expire = "/usr/lib/cyrus/bin/cyr_expire -E 1 -X 0 -u"
    for user in ("modseq", "aged"):
        lab.ssh(NEW, f"setpriv --reuid=cyrus --regid=mail --init-groups {expire} {user}")


def role(host: str, **options: Any) -> None:
    asked: dict[str, Any] = {
        "store": "store1",
        "host": host,
        "master": NEW,
        "configure": True,
        "reason": "test",
    }
    done = lab.module(host, "role", **asked, epoch=epoch(), **options)
    assert not done.get("failed"), done["msg"]


def record(host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(host, f"cat {STATE}/role.json").stdout)
    return found


EPOCHS: list[int] = []


def epoch() -> int:
    """The new master's."""
    return EPOCHS[0]


@pytest.fixture(scope="module", autouse=True)
def split() -> Iterator[None]:
    """A store whose old master has what nobody else has, and is fenced by its guard."""
    lab.lab("snapshot", "save", WELL)
    lab.until(lambda: serves_anybody(OLD), 60)
    EPOCHS[:] = [record(OLD)["epoch"] + 1]
    make_base()
    drained = lab.module(OLD, "channel", name=NEW, state="drained", compare="none", timeout=60)
    assert not drained.get("failed"), drained["msg"]
    assert not lab.module(OLD, "channel", name=NEW, state="stopped").get("failed")
    diverge_on_old()
    lab.lab("poweroff", OLD)
    fenced = lab.module(NEW, "fence", by="failover", reason="test")
    assert not fenced.get("failed"), fenced["msg"]
    role(NEW, role="master")
    # Without a gap of UIDs, so that the same one means two messages.
    kept = lab.module(NEW, "merge_base", store="store1", epoch=epoch(), old=OLD, uid_gap=0)
    assert not kept.get("failed"), kept["msg"]
    released = lab.module(NEW, "fence", by="failover", state="absent")
    assert not released.get("failed"), released["msg"]
    lab.until(lambda: serves(NEW), 60)
    diverge_on_new()
    lab.lab("boot", OLD)
    lab.until(superseded, 60, what="an old master that is fenced")
    lab.lab("snapshot", "save", SPLIT)
    lab.until(lambda: serves(NEW) and superseded(), 90)
    yield
    lab.lab("snapshot", "restore", WELL)
    lab.until(lambda: serves_anybody(OLD), 60)


def serves_anybody(host: str) -> bool:
    with client(host):
        return True


def superseded() -> bool:
    found = record(OLD)
    return (found["role"], found["epoch"]) == ("fenced", epoch())


@contextlib.contextmanager
def load(user: str, name: str) -> Iterator[list[str]]:
    """Mail that comes in all the time; the subjects that the new master has taken."""
    sent: list[str] = []
    done = threading.Event()

    def send() -> None:
        with client(NEW, user) as session:
            while not done.is_set():
                subject = f"meanwhile {len(sent)}"
                put(session, name, subject)
                sent.append(subject)
                time.sleep(0.02)

    thread = threading.Thread(target=send)
    thread.start()
    try:
        yield sent
    finally:
        done.set()
        thread.join()


def copyback(check: bool = False, **options: Any) -> dict[str, Any]:
    return lab.module(NEW, "copyback", check=check, old=OLD, epoch=epoch(), **options)


# -- plain Cyrus


@pytest.fixture
def as_before() -> Iterator[None]:
    """The store is split as it was, whatever the test leaves behind."""
    yield
    lab.lab("snapshot", "restore", SPLIT)
    lab.until(lambda: serves(NEW) and superseded(), 90)


def test_plain_sync_client_loses_what_only_the_old_master_has(as_before: None) -> None:
    before = {user: folders(NEW, user) for user in USERS}
    role(OLD, role="replica", rejoin=True)
    sync = "setpriv --reuid=cyrus --regid=mail --init-groups timeout 60 /usr/lib/cyrus/bin/"
    lab.ssh(NEW, f"systemctl stop cyrus-replicator@{OLD}")
    lab.until(lambda: lab.ssh(NEW, f"systemctl is-active cyrus-link@{OLD}").stdout, 30)
    ended = {
        user: lab.ssh(NEW, f"{sync}sync_client -n {OLD} -u {user}", check=False).returncode
        for user in (*USERS, FRESH)
    }
    seen = {user: folders(NEW, user) for user in USERS}
    print("\nplain sync_client ends with", {user: rc for user, rc in ended.items() if rc})
    # A mailbox of the old one alone is left behind, and a user as well, as if all were well.
    assert "INBOX/Lone" not in seen["folder"]
    assert ended["folder"] == 0
    with client(NEW) as admin:
        assert not admin.run('LIST ""', f"user/{FRESH}")
    assert ended[FRESH] == 0
    # The same name made on both: that user is never replicated again.
    assert ended["twin"] != 0
    # Expunged as if its user had done that.
    assert "of the old one" not in subjects(seen["modseq"]["INBOX"])
    # A message that clients of the new master have seen gets another UID.
    (was,), (now,) = (uids(found["taken"]["INBOX"], "of the new one") for found in (before, seen))
    assert was != now
    # One side's flags are lost. What came into a folder that is deleted meanwhile goes into the
    # deleted one, which cyr_expire removes in the end.
    assert seen["flags"]["INBOX"][0].flags == {"\\Answered"}
    came = {subject for mails in seen["gone"].values() for subject in subjects(mails)}
    assert "into a folder that is deleted meanwhile" not in came
    # What it does right: what was expunged on either side stays away, also where no tombstone is
    # left, and a script that only the old one has changed comes over (not with 3.2).
    assert subjects(seen["expunged"]["INBOX"]) == {"base 3": 1}
    assert subjects(seen["aged"]["INBOX"]) == {"base 1": 1, "base 2": 1}
    with Sieve.connect(lab.address(NEW)) as session:
        session.login(*password(), act_as="script")
        assert session.get("filter") == SCRIPT % "after"
    # A deleted folder comes back with nobody's wish, a renamed one has its old name again.
    assert "INBOX/Work" in seen["deleted"]
    assert "INBOX/Job" not in seen["renamed"]
    # The master's subscriptions and rights win.
    with client(NEW, "meta") as session:
        assert not session.run('LSUB "" INBOX/Notes')
        assert b"lone" not in session.run("GETACL INBOX/Work")[0]


# -- copy-back


def test_check_tells_all_and_touches_nothing() -> None:
    before = {user: folders(NEW, user) for user in USERS}
    told = copyback(check=True)
    assert not told.get("failed"), told["msg"]
    assert told["changed"]
    assert {"add_messages", "add_mailbox", "set_flags"} <= {step["step"] for step in told["plan"]}
    assert {user: folders(NEW, user) for user in USERS} == before
    assert lab.ssh(NEW, f"ls {told['archive']}", check=False).returncode != 0


def test_message_that_can_not_be_read_is_named_and_stops_no_other() -> None:
    spool = "/var/spool/cyrus/mail"
    path = lab.ssh(OLD, f"grep -rl '^Subject: lone.$' {spool} --include='*.'").stdout.strip()
    lab.ssh(OLD, f"mv {path} /root/away")
    told = copyback(user="lone")
    assert "user.lone UID 4 on imap1 can't be read" in told["msg"]
    seen = folders(NEW, "lone")
    assert subjects(seen["INBOX/Work"])["equal"] == 2
    assert "lone" not in subjects(seen["INBOX"])
    lab.ssh(OLD, f"mv /root/away {path}")


def test_everything_of_the_old_master_is_there_or_in_the_archive() -> None:
    seen_before = {user: folders(NEW, user) for user in USERS}
    with load("lone", "INBOX/Work") as sent:
        for point in POINTS:
            killed = copyback(stop_at=point)
            assert killed.get("rc") == 137, killed
        started = time.monotonic()
        told = copyback()
    assert not told.get("failed"), told["msg"]
    print(f"\ncopy-back in {time.monotonic() - started:.1f} s: {told['counts']}")
    seen = {user: folders(NEW, user) for user in (*USERS, FRESH)}
    _nothing_moved(seen_before, seen)
    there = subjects(seen["lone"]["INBOX/Work"])
    assert sent
    assert all(there[subject] == 1 for subject in sent)

    (lone,) = [mail for mail in seen["lone"]["INBOX"] if mail.subject == "lone"]
    assert {flag.lower() for flag in lone.flags} == {"\\flagged", "$label1"}
    assert lone.date.strip() == DATE.strip('"').removeprefix("0")
    assert subjects(seen["lone"]["INBOX/Work"])["equal"] == 2
    assert subjects(seen["folder"]["INBOX/Lone"]) == {"in a lone folder": 1}
    assert subjects(seen["twin"]["INBOX/Both"]) == {"of the old one": 1, "of the new one": 1}
    assert "of the old one" in subjects(seen["modseq"]["INBOX"])
    assert subjects(seen["taken"]["INBOX"])["of the old one"] == 1
    assert subjects(seen["taken"]["INBOX"])["of the new one"] == 1
    assert seen["flags"]["INBOX"][0].flags == {"\\Flagged", "\\Answered"}
    assert "INBOX/Work" not in seen["gone"]
    assert "INBOX/Work" not in seen["deleted"]
    assert subjects(seen["renamed"]["INBOX/Job"]) == {"work 1": 1, "work 2": 1}
    assert subjects(seen["expunged"]["INBOX"]) == {"base 3": 1}
    assert subjects(seen["aged"]["INBOX"]) == {"base 1": 1, "base 2": 1}
    assert subjects(seen[FRESH]["INBOX"]) == {"of a new user": 1}
    with client(NEW, "meta") as session:
        assert session.run('LSUB "" INBOX/Notes')
        assert not session.run('LSUB "" INBOX/Work')
        assert b"lone lrs" in session.run("GETACL INBOX/Work")[0]
        assert b"of the old one" in session.run("GETMETADATA INBOX/Work (/private/comment)")[0]
    with client(NEW) as admin:
        assert b"4321" in b"".join(admin.run("GETQUOTA", f"user/{FRESH}"))
    for user, word in (("script", "after"), (FRESH, "fresh")):
        with Sieve.connect(lab.address(NEW)) as session:
            session.login(*password(), act_as=user)
            assert session.get("filter") == SCRIPT % word

    kept = archived(told["archive"])
    assert {"into a folder that is deleted meanwhile", "base 3", "base 1"} <= kept
    assert {"lone", "of the old one", "in a lone folder"} <= kept
    assert set(USERS) - {"taken"} >= {*told["touched_on_old"]} - {None, FRESH, "taken"}
    conflicts = {(one["owner"], one["kind"]) for one in told["conflicts"]}
    assert ("twin", "mailbox_uniqueid") in conflicts
    assert ("taken", "message_guid") in conflicts
    assert "gone" in {owner for owner, _kind in conflicts}


def _nothing_moved(
    before: dict[str, dict[str, list[Mail]]], after: dict[str, dict[str, list[Mail]]]
) -> None:
    """Whatever clients saw has still its UID."""
    for user, boxes in before.items():
        for name, mails in boxes.items():
            there = {mail.uid: mail.subject for mail in after[user].get(name, [])}
            for mail in mails:
                assert there.get(mail.uid, mail.subject) == mail.subject


def archived(folder: str) -> set[str]:
    found = lab.ssh(NEW, f"grep -rh ^Subject: {folder} --include='*:2,*'", check=False).stdout
    return {line.removeprefix("Subject: ").strip() for line in found.splitlines()}


def test_again_there_is_nothing_to_do() -> None:
    seen = {user: folders(NEW, user) for user in USERS}
    again = copyback()
    assert not again.get("failed"), again["msg"]
    assert not again["changed"], again["counts"]
    assert {user: folders(NEW, user) for user in USERS} == seen


def test_what_its_user_has_deleted_since_does_not_come_back() -> None:
    with client(NEW, "lone") as session:
        session.run("SELECT INBOX")
        (line,) = session.run("UID SEARCH SUBJECT lone")
        expunge(session, "INBOX", int(line.split()[-1]))
    again = copyback()
    assert not again.get("failed"), again["msg"]
    assert "lone" not in subjects(folders(NEW, "lone")["INBOX"])


def test_a_host_that_is_not_fenced_is_refused() -> None:
    told = lab.module(OLD, "copyback", old=NEW, epoch=epoch())
    assert "this host is no master" in told["msg"]
    assert "no merge base of epoch 999" in lab.module(NEW, "copyback", old=OLD, epoch=999)["msg"]
