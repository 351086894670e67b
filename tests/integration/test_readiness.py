# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host tells before a change of master, and what is kept of what would be left behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.imap import Literal
from tests.lab.mail import generate, the_store

from . import lab

MASTER, REPLICA = "imap1", "imap2"
STATE = "/var/lib/cyrus-replication"
USER = "u00001"


@pytest.fixture(scope="module", autouse=True)
def users() -> Iterator[None]:
    generate(the_store(), 5, seed=5, folders=2, count=3)
    yield
    lab.ssh(MASTER, f"rm -rf {STATE}/archive")


def readiness(host: str = MASTER) -> dict[str, Any]:
    return lab.module(host, "readiness_info")


def test_a_host_that_is_well() -> None:
    for host, role in ((MASTER, "master"), (REPLICA, "replica")):
        found = readiness(host)
        assert found["unknown"] == {}, found
        assert found["record"]["role"] == role
        assert found["partitions"]["default"]["free_bytes"] > 0
        assert found["certificate"]["days_left"] > 30
        assert (found["activities"], found["read_only"], found["fence"]) == ([], False, None)
        assert set(found["peers"]) == set(lab.hosts()) - {host}
    names = {database["name"] for database in readiness()["databases"]}
    assert {"sasldb", "deliver"} <= names
    assert "user_deny" not in names


def test_what_is_odd_is_told() -> None:
    # Who is locked out on the master would not be on the replica.
    lab.ssh(MASTER, f"cyrus cyr_deny -m 'away' {USER}")
    reseed = {"what": "reseed of imap3", "since": "2026-11-01T10:00:00Z"}
    lab.ssh(MASTER, f"cat > {STATE}/activity-reseed.json", data=json.dumps(reseed))
    lab.ssh(MASTER, "mv /etc/cyrus-replication/cert.pem /etc/cyrus-replication/cert.away")
    lab.ssh(MASTER, f"mount --bind {STATE} {STATE}; mount -o remount,bind,ro {STATE}")
    try:
        found = readiness()
    finally:
        lab.ssh(
            MASTER,
            f"umount {STATE}; rm {STATE}/activity-reseed.json; cyrus cyr_deny -a {USER};"
            " mv /etc/cyrus-replication/cert.away /etc/cyrus-replication/cert.pem",
        )
    assert "user_deny" in {database["name"] for database in found["databases"]}
    assert found["activities"] == ["reseed of imap3 is under way since 2026-11-01T10:00:00Z"]
    assert found["read_only"] is True
    assert found["certificate"] is None
    assert "cert.pem can't be read" in found["unknown"]["certificate"]
    assert found["version_tuple"]


# -- the archive


def index(where: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(MASTER, f"cat {where}/index.json").stdout)
    return found


def folder(mailbox: str) -> str:
    return lab.ssh(MASTER, f"cyrus mbpath {mailbox}").stdout.strip()


def append(subject: str) -> None:
    with the_store().imap(USER) as session:
        session.run("APPEND", "INBOX", Literal(f"Subject: {subject}\r\n\r\n".encode()))


def test_a_user_is_kept_once() -> None:
    would = lab.module(MASTER, "archive", check=True, user=USER)
    assert would["changed"]
    assert lab.ssh(MASTER, f"ls {STATE}/archive", check=False).stdout == ""
    first = lab.module(MASTER, "archive", user=USER)
    assert (first["changed"], first["unread"], first["where"]) == (True, {}, would["where"])
    again = lab.module(MASTER, "archive", user=USER)
    assert (again["changed"], again["where"]) == (False, first["where"])
    listed = index(first["where"])["mailboxes"]
    assert sum(len(box["messages"]) for box in listed) == first["count"]
    inbox = next(box for box in listed if box["mailbox"] == f"user.{USER}")
    copies = f"{first['where']}/{inbox['folder']}/data"
    # Messages and their times are the same, and nobody else may read them.
    lab.ssh(MASTER, f"diff -r {copies} {folder(f'user/{USER}')}")
    times = "stat -c '%n %Y' [0-9]*."
    assert (
        lab.ssh(MASTER, f"cd {copies} && {times}").stdout
        == lab.ssh(MASTER, f"cd {folder(f'user/{USER}')} && {times}").stdout
    )
    assert lab.ssh(MASTER, f"stat -c %a:%U {first['where']}").stdout == "700:root\n"
    for message in inbox["messages"]:
        told = lab.ssh(MASTER, f"sha1sum < {first['where']}/{message['file']}").stdout
        assert told.split()[0] == message["guid"]
        assert message["internaldate"]


def test_a_mailbox_that_cyrus_can_t_open() -> None:
    path = folder(f"user/{USER}")
    lab.ssh(
        MASTER, f"cp -a {path}/cyrus.index /root/cyrus.index; truncate -s 64 {path}/cyrus.index"
    )
    try:
        kept = lab.module(MASTER, "archive", mailbox=f"user.{USER}")
    finally:
        lab.ssh(MASTER, f"cp -a /root/cyrus.index {path}/cyrus.index")
    assert kept["unread"][f"user.{USER}"], kept
    assert kept["count"] >= 3
    (box,) = index(kept["where"])["mailboxes"]
    assert all(message["flags"] is None for message in box["messages"])
    lab.ssh(MASTER, f"test -s {kept['where']}/{box['messages'][0]['file']}")


def test_a_full_disk_leaves_nothing_half_done() -> None:
    append("one more")
    archive = f"{STATE}/archive"
    lab.ssh(MASTER, f"mount -t tmpfs -o size=100k none {archive}")
    try:
        failed = lab.module(MASTER, "archive", user=USER)
        assert failed["failed"], failed
        assert "MiB free and the archive needs" in failed["msg"]
        assert lab.ssh(MASTER, f"ls -A {archive}").stdout == ""
    finally:
        lab.ssh(MASTER, f"umount {archive}")
    assert lab.module(MASTER, "archive", user=USER)["changed"]


def test_what_is_not_there() -> None:
    failed = lab.module(MASTER, "archive", mailbox="user.nobody")
    assert failed["failed"]
    assert "no mailbox user.nobody" in failed["msg"]
