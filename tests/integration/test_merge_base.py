# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A master that is gone for good, and what the next one keeps and leaves out before it serves.

The steps of a failover are taken one by one, so that plain Cyrus can be watched in between.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.imap import Imap, Literal
from tests.lab.mail import Store, generate, the_store

from . import lab

OLD, NEW = "imap1", "imap2"
OTHERS = [host for host in lab.hosts() if host not in (OLD, NEW)]
STATE = "/var/lib/cyrus-replication"
SNAPSHOT = "merge-base"
# One of them gets mail before there is a gap, and one after it.
PLAIN, GAPPED = "u00001", "u00002"
UID_GAP, MODSEQ_GAP = 10000, 100000
# What the library on the new master finds in the base, here or on the old master: each mailbox with
# its numbers and how many messages are known.
READ = """
import json, sys
from library import _endpoints, _survey
from library._install import read_settings
from library._session import Session
store, settings = _endpoints.read_store(), read_settings("/etc/imapd.conf")
if sys.argv[1] == "base":
    holdings = _survey.read(sys.argv[2])[1]
else:
    reach = {"here": _endpoints.own, "old": _endpoints.reading}[sys.argv[1]]
    session = Session(reach(store, sys.argv[2], settings))
    holdings = _survey.survey(session, session.listing())
print(json.dumps({
    box.head.name: [box.head.last_uid, box.head.highestmodseq, len(box.messages)]
    for holding in holdings for box in holding.boxes.values()
}))
"""


@pytest.fixture(scope="module", autouse=True)
def saved() -> Iterator[None]:
    generate(the_store(), 3, seed=5, folders=1, count=3)
    drained(OLD, NEW)
    lab.lab("snapshot", "save", SNAPSHOT)
    lab.until(lambda: the_store().imap(PLAIN).run("NOOP") is not None, 60, what="a master")
    yield
    lab.lab("snapshot", "restore", SNAPSHOT)


@pytest.fixture(scope="module")
def lost(saved: None) -> dict[str, tuple[int, int, int]]:
    """The master is gone, and with it a message of each user that came nowhere else: the
    UIDVALIDITY, UID and MODSEQ of each."""
    lab.ssh(OLD, "systemctl stop 'cyrus-replicator@*'")
    gone = {}
    for user in (PLAIN, GAPPED):
        with the_store().imap(user) as session:
            gone[user] = appended(session, "seen by its client alone")
    lab.lab("poweroff", OLD)
    library(NEW)
    done = lab.module(NEW, "fence", by="failover", reason="test")
    assert not done.get("failed"), done
    epoch = now()
    for host in (NEW, *OTHERS):
        role = "master" if host == NEW else "replica"
        done = lab.module(
            host,
            "role",
            store="store1",
            host=host,
            role=role,
            master=NEW,
            epoch=epoch,
            reason="test",
            configure=True,
        )
        assert not done.get("failed"), done
    return gone


def now() -> int:
    """The epoch of the new master."""
    record = json.loads(lab.ssh(NEW, f"cat {STATE}/role.json").stdout)
    epoch = int(record["epoch"])
    return epoch if record["master"] == NEW else epoch + 1


def new_store() -> Store:
    return Store(
        NEW,
        lab.address(NEW),
        str(lab.var("cyrus_admin_user", NEW)),
        str(lab.var("cyrus_admin_password", NEW)),
    )


def appended(session: Imap, text: str) -> tuple[int, int, int]:
    """A new message's UIDVALIDITY, UID and MODSEQ."""
    session.run("SELECT", "INBOX", "(CONDSTORE)")
    session.run("APPEND", "INBOX", Literal(f"Subject: {text}\r\n\r\n{text}\r\n".encode()))
    (told,) = session.run("STATUS", "INBOX", "(UIDVALIDITY UIDNEXT HIGHESTMODSEQ)")
    numbers = dict(re.findall(r"(\w+) (\d+)", told.decode()))
    return int(numbers["UIDVALIDITY"]), int(numbers["UIDNEXT"]) - 1, int(numbers["HIGHESTMODSEQ"])


def released() -> None:
    done = lab.module(NEW, "fence", state="absent", by="failover")
    assert not done.get("failed"), done


def merge_base(**options: Any) -> dict[str, Any]:
    return lab.module(NEW, "merge_base", store="store1", epoch=now(), old=OLD, **options)


def drained(master: str, *replicas: str) -> None:
    for replica in replicas:
        done = lab.module(master, "channel", name=replica, state="drained", timeout=120)
        assert not done.get("failed"), done


def library(host: str) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(lab.ROOT / "plugins" / "module_utils", "library")
    unpack = lab.ssh_command(host, "tar -x -C /root")
    subprocess.run(unpack, check=True, input=packed.getvalue(), timeout=60)


def read(*words: str) -> dict[str, list[int]]:
    told = lab.ssh(NEW, f"cd /root && python3 - {' '.join(words)}", data=READ).stdout
    found: dict[str, list[int]] = json.loads(told)
    return found


def expiring() -> str:
    found = lab.ssh(NEW, "grep expire /etc/cyrus.conf").stdout.splitlines()
    return "all" if not any(line.startswith("#") for line in found) else "none"


def test_without_a_gap_numbers_are_given_out_again(lost: dict[str, tuple[int, int, int]]) -> None:
    released()
    with new_store().imap(PLAIN) as session:
        again = appended(session, "quite another message")
    # A client that has cached the first would show it in place of the second.
    assert again == lost[PLAIN]


def test_nothing_is_a_base_once_the_new_master_serves(lost: object) -> None:
    done = merge_base()
    assert done["failed"]
    assert "serves clients, so what it has now is no merge base" in done["msg"]
    fenced = lab.module(NEW, "fence", by="failover", reason="test")
    assert not fenced.get("failed"), fenced


def test_killed_at_any_point_it_is_completed_by_the_next_call(lost: object) -> None:
    planned = merge_base(check=True)
    assert planned["changed"], planned
    assert lab.ssh(NEW, f"ls {STATE}/rejoin*", check=False).returncode != 0
    for point in ("surveyed:1", "awaited:1", "raised:1"):
        killed = merge_base(stop_at=point)
        assert killed.get("rc") in (-9, 137), killed
    before = read("base", planned["path"])
    done = merge_base()
    assert not done.get("failed"), done
    assert done["changed"]
    print(f"\n{done}")
    assert 0 < done["raised"] < planned["raised"] or planned["raised"] <= 100
    assert (done["users"], done["messages"]) == (planned["users"], planned["messages"])
    assert done["unknown"] == []
    assert read("base", done["path"]) == before
    again = merge_base()
    assert (again["changed"], again["raised"]) == (False, 0), again


def test_with_the_gap_no_number_is_given_out_again(lost: dict[str, tuple[int, int, int]]) -> None:
    base = read("base", merge_base()["path"])
    released()
    with new_store().imap(GAPPED) as session:
        validity, uid, modseq = appended(session, "quite another message")
    assert validity == lost[GAPPED][0]
    assert uid == lost[GAPPED][1] + UID_GAP
    assert modseq >= lost[GAPPED][2] + MODSEQ_GAP
    here = read("here", NEW)
    assert here.keys() == base.keys()
    assert any("&" in name for name in base)
    for name, (last_uid, modseq, _count) in base.items():
        if not name.endswith(".#sieve"):
            assert here[name][0] >= last_uid + UID_GAP, name
            assert here[name][1] >= modseq + MODSEQ_GAP, name


def test_the_gap_comes_to_the_other_replicas(lost: object) -> None:
    assert OTHERS
    drained(NEW, *OTHERS)


def test_nothing_is_forgotten_while_the_old_master_is_awaited(lost: object) -> None:
    assert expiring() == "none"
    (awaited,) = lab.module(NEW, "server_info")["awaited"]
    assert (awaited["old"], awaited["epoch"]) == (OLD, now())
    run = lab.ssh(NEW, "systemctl restart cyrus-imapd && sleep 1 && grep -c expire /etc/cyrus.conf")
    assert int(run.stdout) > 0
    assert expiring() == "none"


def test_the_new_master_reads_what_only_the_old_one_has(
    lost: dict[str, tuple[int, int, int]],
) -> None:
    lab.lab("boot", OLD)
    record = f"cat {STATE}/role.json"
    lab.until(lambda: json.loads(lab.ssh(OLD, record).stdout)["role"] == "fenced", 60)
    lab.until(lambda: lab.ssh(OLD, "systemctl is-active cyrus-link@server cyrus-imapd"), 60)
    base = read("base", f"{STATE}/rejoin/{now()}/base.gz")
    old = read("old", OLD)
    inbox = f"user.{GAPPED}"
    assert old[inbox][0] == base[inbox][0] + 1 == lost[GAPPED][1]
    assert old[inbox][2] == base[inbox][2] + 1
    assert old.keys() == base.keys()
    done = merge_base(state="absent")
    assert (done.get("failed"), done["changed"], expiring()) == (None, True, "all")
    assert not merge_base(state="absent")["changed"]
