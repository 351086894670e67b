# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbooks parity and status on a store that is set up and has mail in it.

Runs on the lab's hosts; the last test leaves planted differences on a replica.
"""

from __future__ import annotations

import imaplib
import json
import random
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import content, plant

from . import lab
from .test_setup import certificate

ETC = "/etc/cyrus-replication"
MASTER, REPLICA, OTHER = "imap1", "imap2", "imap3"
BUSY_RUNS = 30 if lab.LONG else 3

KEYS = {
    "store",
    "master",
    "replica",
    "level",
    "epoch",
    "in_sync",
    "started",
    "seconds",
    "compared",
    "differences",
    "lagging",
    "unknown",
    "skipped",
}


def parity(
    tmp_path: Path, *args: str, fails: bool = False, **extra: object
) -> dict[str, dict[str, Any]]:
    """Run the playbook, check how it ended, and return the reports by replica."""
    path = tmp_path / "parity.json"
    path.unlink(missing_ok=True)
    run = lab.playbook("parity", *args, extra={"cyrus_parity_report": str(path), **extra})
    assert path.exists(), run.output
    assert (run.rc != 0) == fails, run.output
    documents = json.loads(path.read_text())
    assert [d["replica"] for d in documents] == [REPLICA, OTHER]
    assert all(set(d) == KEYS for d in documents)
    return {d["replica"]: d for d in documents}


def test_a_report_that_can_not_be_written_is_refused_before_anything_is_compared(
    tmp_path: Path,
) -> None:
    for path, said in ((tmp_path, "is a folder"), (tmp_path / "no" / "it", "is in no folder")):
        run = lab.playbook("parity", extra={"cyrus_parity_report": str(path)})
        assert run.rc != 0
        assert f"{path} {said}" in " ".join(run.output.split()), run.output
        assert "TASK [mailops.cyrus.parity : Compare]" not in run.output


def status(tmp_path: Path, *args: str, fails: bool = False) -> tuple[lab.Run, dict[str, Any]]:
    path = tmp_path / "status.json"
    run = lab.playbook("status", *args, extra={"cyrus_status_report": str(path)})
    assert (run.rc != 0) == fails, run.output
    (document,) = json.loads(path.read_text())
    return run, document


def channel(document: dict[str, Any], replica: str) -> dict[str, Any]:
    (master,) = (host for host in document["hosts"] if host["role"] == "master")
    found: dict[str, Any]
    (found,) = (entry for entry in master["channels"] if entry["replica"] == replica)
    return found


def files(host: str) -> str:
    """Contents of all files but for what replicators and guards write, heartbeats among it."""
    return lab.ssh(
        host,
        "beats=$(for channel in imap2 imap3; do setpriv --reuid=cyrus --regid=mail --init-groups"
        " /usr/lib/cyrus/bin/mbpath cyrus-heartbeat-$channel; done | paste -sd '|');"
        "find /etc /var/spool/cyrus /var/spool/sieve /var/lib/cyrus /var/lib/cyrus-replication"
        " -path /var/lib/cyrus-replication/channels -prune -o"
        " -type f ! -path '/var/lib/cyrus-replication/audit.*'"
        " ! -path '*/db/*' ! -path '*/db.backup*' ! -path '*/sync/*' ! -name '*.lock'"
        ' -print0 2>/dev/null | grep -zvE "^($beats)/" | sort -z | xargs -0 sha256sum',
    ).stdout


@contextmanager
def stopped(host: str, *units: str) -> Iterator[None]:
    lab.ssh(host, f"systemctl stop {' '.join(units)}")
    try:
        yield
    finally:
        lab.ssh(host, f"systemctl start {' '.join(units)}")


@contextmanager
def user(name: str, host: str = MASTER) -> Iterator[imaplib.IMAP4]:
    with lab.imap(host, name, lab.var("lab_user_password")) as session:
        yield session


def test_equal_at_every_level(tmp_path: Path) -> None:
    for level in ("summary", "messages"):
        for document in parity(tmp_path, cyrus_parity_level=level).values():
            assert document["in_sync"] is True
            assert document["level"] == level
            assert document["epoch"] == 1
            assert document["master"] == MASTER
            assert document["compared"]["users"] >= len(lab.var("lab_users"))
    assert document["compared"]["messages"] > 0


def test_status_shows_the_last_parity(tmp_path: Path) -> None:
    parity(tmp_path)
    run, document = status(tmp_path)
    assert document["store"] == "store1"
    assert document["master"] == MASTER
    roles = {host["host"]: host["role"] for host in document["hosts"]}
    assert roles == {MASTER: "master", REPLICA: "replica", OTHER: "replica"}
    for replica in (REPLICA, OTHER):
        found = channel(document, replica)
        assert found["state"] == "active"
        assert found["link"] == {"ok": True, "reason": None}
        assert found["parity"]["in_sync"] is True
    assert f"store store1: master {MASTER}, epoch 1" in run.output


@pytest.mark.parametrize("name", ["parity", "status"])
def test_check_mode_changes_nothing(name: str) -> None:
    before = {host: files(host) for host in (MASTER, REPLICA, OTHER)}
    run = lab.playbook(name, "--check", "--diff")
    assert run.rc == 0, run.output
    assert run.changed() == 0
    assert {host: files(host) for host in before} == before


def test_what_waits_is_lagging_not_different(tmp_path: Path) -> None:
    with stopped(MASTER, f"cyrus-replicator@{REPLICA}"):
        with user("anna") as session:
            session.append("INBOX", "", "", b"Subject: waits\r\n\r\n")
        found = parity(tmp_path, fails=True, cyrus_parity_settle=3)
        assert found[REPLICA]["in_sync"] is None
        assert found[REPLICA]["differences"] == []
        # The heartbeats of the other channels wait as well.
        lagging = [d for d in found[REPLICA]["lagging"] if "cyrus-heartbeat" not in d["mailbox"]]
        assert {d["user"] for d in lagging} == {"anna"}
        assert found[OTHER]["in_sync"] is True
        _run, document = status(tmp_path)
        waiting = channel(document, REPLICA)
        assert waiting["state"] == "inactive"
        assert waiting["backlog"]["entries"] > 0
        assert waiting["lag"] is None
    assert parity(tmp_path)[REPLICA]["in_sync"] is True


def test_replica_that_is_down(tmp_path: Path) -> None:
    with stopped(REPLICA, "cyrus-link@server"):
        found = parity(tmp_path, fails=True)
        assert found[REPLICA]["in_sync"] is None
        assert "nothing listens at" in found[REPLICA]["unknown"][0]["reason"]
        assert found[OTHER]["in_sync"] is True
        _run, document = status(tmp_path)
        assert channel(document, REPLICA)["link"]["ok"] is False
        assert channel(document, OTHER)["link"]["ok"] is True


@pytest.mark.parametrize(
    ("name", "days", "own_authority", "sentence"),
    [
        pytest.param(REPLICA, (-30, -1), True, "certificate has expired", id="expired"),
        pytest.param(
            REPLICA,
            (-1, 30),
            False,
            "self-signed certificate|self signed certificate",
            id="foreign",
            marks=lab.only_long,
        ),
        pytest.param(
            OTHER, (-1, 30), True, "Hostname mismatch", id="another host's", marks=lab.only_long
        ),
    ],
)
def test_wrong_certificate_is_told(
    tmp_path: Path, name: str, days: tuple[int, int], own_authority: bool, sentence: str
) -> None:
    made = certificate(tmp_path, name, days, own_authority)
    lab.ssh(REPLICA, f"cp -a {ETC}/cert.pem /root/cert.kept; cp -a {ETC}/key.pem /root/key.kept")
    try:
        lab.ssh(REPLICA, f"cat > {ETC}/cert.pem", data=made.read_text())
        lab.ssh(REPLICA, f"cat > {ETC}/key.pem", data=made.with_suffix(".key").read_text())
        lab.ssh(REPLICA, "systemctl restart cyrus-link@server")
        _run, document = status(tmp_path)
        found = parity(tmp_path, fails=True)
    finally:
        lab.ssh(
            REPLICA,
            f"mv /root/cert.kept {ETC}/cert.pem; mv /root/key.kept {ETC}/key.pem;"
            " systemctl restart cyrus-link@server",
        )
    assert found[REPLICA]["in_sync"] is None
    for reason in (
        channel(document, REPLICA)["link"]["reason"],
        found[REPLICA]["unknown"][0]["reason"],
    ):
        assert f"{REPLICA}: its certificate is not accepted" in reason
        assert any(part in reason for part in sentence.split("|")), reason


def test_log_that_cyrus_cannot_write_is_told(tmp_path: Path) -> None:
    folder = f"/var/lib/cyrus/sync/{OTHER}"
    lab.ssh(MASTER, f"mkdir -p {folder}; chown root {folder}")
    try:
        _run, document = status(tmp_path)
    finally:
        lab.ssh(MASTER, f"chown cyrus:mail {folder}")
    assert "Cyrus can't log to it" in channel(document, OTHER)["reason"]
    assert channel(document, OTHER)["lag"] is None
    assert channel(document, REPLICA)["reason"] is None


def test_not_in_sync_may_be_told_without_failing(tmp_path: Path) -> None:
    with stopped(REPLICA, "cyrus-link@server"):
        found = parity(tmp_path, "-e", "cyrus_parity_fail=false")
    assert found[REPLICA]["in_sync"] is None


def test_unreachable_host_is_a_report_of_its_own(tmp_path: Path) -> None:
    lab.lab("link", OTHER, "down")
    try:
        found = parity(tmp_path, fails=True)
        assert found[OTHER]["in_sync"] is None
        assert f"{OTHER} can't be reached" in found[OTHER]["unknown"][0]["reason"]
        assert found[REPLICA]["in_sync"] is True
        _run, document = status(tmp_path, fails=True)
        assert {h["host"]: h["role"] for h in document["hosts"]}[OTHER] == "unknown"
    finally:
        lab.lab("link", OTHER, "up")


def test_two_masters_are_unknown(tmp_path: Path) -> None:
    record = "/var/lib/cyrus-replication/role.json"
    kept = lab.ssh(REPLICA, f"cat {record}").stdout
    claimed = {**json.loads(kept), "role": "master", "master": REPLICA, "epoch": 2}
    with lab.unguarded([MASTER, REPLICA, OTHER]):
        lab.ssh(REPLICA, f"cat > {record}", data=json.dumps(claimed))
        try:
            path = tmp_path / "parity.json"
            run = lab.playbook("parity", extra={"cyrus_parity_report": str(path)})
            assert run.rc != 0
            documents = json.loads(path.read_text())
            assert documents
            assert all(d["in_sync"] is None for d in documents)
            reason = documents[0]["unknown"][0]["reason"]
            assert f"{MASTER} and {REPLICA} both have the role of master" in reason
            run, _document = status(tmp_path, fails=True)
            assert "both have the role of master" in run.output
        finally:
            lab.ssh(REPLICA, f"cat > {record}", data=kept)


def test_forgotten_replica_is_unknown(tmp_path: Path) -> None:
    known = lab.inventory()["_meta"]["hostvars"]
    inventory = tmp_path / "inventory.json"
    hosts = {name: known[name] for name in (MASTER, REPLICA)}
    inventory.write_text(json.dumps({"all": {"children": {"cyrus": {"hosts": hosts}}}}))
    path = tmp_path / "parity.json"
    run = lab.playbook("parity", source=inventory, extra={"cyrus_parity_report": str(path)})
    assert run.rc != 0
    documents = {d["replica"]: d for d in json.loads(path.read_text())}
    assert documents[REPLICA]["in_sync"] is True
    assert documents[OTHER]["in_sync"] is None
    assert "the inventory does not name it" in documents[OTHER]["unknown"][0]["reason"]


def test_expiry_on_the_master_is_no_difference(tmp_path: Path) -> None:
    with user("dieter") as session:
        session.create("INBOX/Gone")
        session.delete("INBOX/Gone")
    parity(tmp_path)
    deleted = "find /var/lib/cyrus -name mailboxes.db -exec grep -c DELETED.user.dieter.Gone {} +"
    assert lab.ssh(REPLICA, deleted).stdout.strip() != "0"
    lab.ssh(
        MASTER,
        "setpriv --reuid=cyrus --regid=mail --init-groups"
        " /usr/lib/cyrus/bin/cyr_expire -E 1 -X 0 -D 0",
    )
    parity(tmp_path)


@pytest.mark.parametrize("name", ["parity", "status"])
def test_part_of_a_store_is_refused(name: str) -> None:
    run = lab.playbook(name, "--limit", MASTER)
    assert run.rc != 0
    assert f"leaves out: {REPLICA}, {OTHER}" in " ".join(run.output.split())


@pytest.mark.parametrize("name", ["parity", "status"])
def test_group_that_does_not_exist_is_refused(name: str) -> None:
    run = lab.playbook(name, extra={"cyrus_hosts": "nowhere"})
    assert run.rc != 0
    assert "there is no group nowhere" in run.output


def test_unknown_level_is_refused() -> None:
    run = lab.playbook("parity", extra={"cyrus_parity_level": "deep"})
    assert run.rc != 0
    assert "cyrus_parity_level" in run.output


class Load(threading.Thread):
    """A user's client that never rests: delivers, flags, expunges, makes, renames, deletes."""

    def __init__(self, name: str) -> None:
        super().__init__(daemon=True)
        self.user = name
        self.done = 0
        self.failure: Exception | None = None
        self._end = threading.Event()

    def run(self) -> None:
        try:
            with user(self.user) as session:
                while not self._end.is_set():
                    self._turn(session, self.done)
                    self.done += 1
                    time.sleep(0.1)
        except (OSError, imaplib.IMAP4.error) as error:
            self.failure = error

    def stop(self) -> None:
        self._end.set()
        self.join(30)

    def _turn(self, session: imaplib.IMAP4, turn: int) -> None:
        session.append("INBOX", "", "", b"Subject: load %d\r\n\r\n" % turn)
        session.select("INBOX")
        session.store("*", "+FLAGS", random.choice(["\\Flagged", "\\Seen", "$Load", "\\Deleted"]))
        if turn % 5 == 0:
            session.expunge()
        if turn % 20 == 10:
            session.create("INBOX/Load")
            session.append("INBOX/Load", "", "", b"Subject: moved about\r\n\r\n")
        if turn % 20 == 14:
            session.rename("INBOX/Load", "INBOX/Load moved")
            session.setacl("INBOX", "zoe", random.choice(["lrs", "lrswi"]))
        if turn % 20 == 18:
            session.unselect()
            session.delete('"INBOX/Load moved"')


def test_no_false_alarm_under_load(tmp_path: Path) -> None:
    clients = [Load(name) for name in lab.var("lab_users")[:4]]
    for client in clients:
        client.start()
    try:
        for turn in range(BUSY_RUNS):
            level = ("summary", "messages")[turn % 2]
            found = parity_of_a_busy_store(tmp_path, level)
            for document in found:
                assert document["differences"] == []
                assert document["unknown"] == []
                assert document["in_sync"] is not False
    finally:
        for client in clients:
            client.stop()
    assert [client.failure for client in clients] == [None] * len(clients)
    assert min(client.done for client in clients) > 10
    parity(tmp_path)


def parity_of_a_busy_store(tmp_path: Path, level: str) -> list[dict[str, Any]]:
    path = tmp_path / "parity.json"
    lab.playbook(
        "parity",
        extra={
            "cyrus_parity_report": str(path),
            "cyrus_parity_level": level,
            "cyrus_parity_fail": False,
            # A user who never rests never settles.
            "cyrus_parity_settle": 6,
        },
    )
    documents: list[dict[str, Any]] = json.loads(path.read_text())
    return documents


def test_each_planted_difference_is_named(tmp_path: Path) -> None:
    """On one replica alone, behind replication's back; the other one stays in sync."""
    message = content.Message(b"Subject: planted\r\n\r\n", "", "01-Jan-2026 00:00:00 +0000")
    plant.flag(REPLICA, "anna", "INBOX", 1)
    plant.expunge(REPLICA, "anna.meier", "INBOX", 2)
    uid = plant.append(REPLICA, "ben", "INBOX", message)
    plant.acl(REPLICA, "carla", "INBOX", "zoe", "lr")
    plant.subscribe(REPLICA, "carla", "INBOX/Sent", on=False)
    plant.mailbox_annotation(REPLICA, "dieter", "INBOX", "/private/comment", "planted")
    plant.create_mailbox(REPLICA, "dieter", "INBOX/Planted")
    plant.quota(REPLICA, "user/eva", "STORAGE 4242")
    plant.put_script(REPLICA, "eva", "planted", "keep;\n")
    plant.activate_script(REPLICA, "eva", "planted")
    plant.delete_mailbox(REPLICA, "o.hara", "INBOX/Lists")
    plant.create_user(REPLICA, "planted")
    plant.delete_scripts(REPLICA, "zoe")
    expected = {
        ("message_flags", "anna", "user.anna", 1, "\\flagged", False, True),
        ("message_expunged", "anna.meier", "user.anna^meier", 2, "expunged", False, True),
        ("mailbox", "dieter", "user.dieter.Planted", None, "mailbox", "absent", "there"),
        ("mailbox", "o.hara", "user.o^hara.Lists", None, "mailbox", "there", "absent"),
        ("quota_limit", "eva", "user.eva", None, "STORAGE", "there", "4242"),
        ("sieve_script", "eva", None, None, "planted", "absent", "there"),
        ("sieve_active", "eva", None, None, "active", "there", "planted"),
        ("subscription", "carla", "user.carla.Sent", None, "subscription", "there", "absent"),
        ("acl", "carla", "user.carla", None, "acl", "there", "there"),
        (
            "mailbox_annotation",
            "dieter",
            "user.dieter",
            None,
            "/comment (dieter)",
            "any",
            "planted",
        ),
        ("message", "ben", "user.ben", uid, "guid", "absent", "there"),
        ("user", "planted", None, None, "user", "absent", "planted"),
        ("mailbox", "zoe", "user.zoe.#sieve", None, "mailbox", "there", "absent"),
    }
    touched = {"anna", "anna.meier", "ben", "carla", "dieter", "eva", "o.hara", "planted", "zoe"}
    for level in ("summary", "messages"):
        found = parity(tmp_path, fails=True, cyrus_parity_level=level)
        assert found[OTHER]["in_sync"] is True
        document = found[REPLICA]
        assert document["in_sync"] is False
        missing = [e for e in expected if not any(matches(e, d) for d in document["differences"])]
        assert missing == [], document["differences"]
        assert {d["user"] for d in document["differences"]} == touched
        assert document["lagging"] == document["unknown"] == []


def matches(expected: tuple[object, ...], difference: dict[str, Any]) -> bool:
    keys = ("kind", "user", "mailbox", "uid", "field")
    if tuple(difference[key] for key in keys) != expected[:5]:
        return False
    return all(
        _fits(want, difference[side])
        for want, side in zip(expected[5:], ("master", "replica"), strict=True)
    )


def _fits(want: object, value: object) -> bool:
    if want == "any":
        return True
    if want in ("absent", "there"):
        return (value is None) == (want == "absent")
    return want == value
