# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An old master that comes back after a failover, with mail that nobody else has.

TEST_LONG=1 ends the run at more points.
"""

from __future__ import annotations

import io
import json
import re
import shlex
import subprocess
import tarfile
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.imap import Imap, Literal, mailbox
from tests.lab.mail import generate, the_store

from . import lab
from .store import plainly_joined, role

OLD, NEW = "imap1", "imap2"
STATE = "/var/lib/cyrus-replication"
ASIDE = "/var/spool/cyrus/mail/rejoin-aside."
WELL, SPLIT = "rejoin-well", "rejoin-split"
LONE = {
    "u00001": "INBOX",
    "u00002": "INBOX/Lone",
    "onlyold": "INBOX",
}
# In each a run is killed when it comes to the task.
DEATHS = ("Set aside and drop what differs",)
MORE_DEATHS = (
    "Copy back what only the old master has",
    "Make the old master a replica",
    "Wait until everything is there, and compare",
    "Wait for the old master no longer",
)
LIBRARY = "/root/library"
# What the module replica_reset runs, where a test can have it killed at a point.
SCRIPT = """
import json, sys
from library import _reset
_reset.reset(**json.loads(sys.argv[1]))
"""


def client(host: str, user: str = "") -> Imap:
    session = Imap.connect(lab.address(host))
    admin, password = (str(lab.var(f"cyrus_admin_{what}")) for what in ("user", "password"))
    session.login(admin, password, act_as=user)
    return session


def serves(host: str) -> bool:
    with client(host, "u00001") as session:
        session.run("SELECT INBOX")
    return True


def put(host: str, user: str, name: str, subject: str) -> None:
    text = Literal(f"Subject: {subject}\r\n\r\n{subject}\r\n".encode())
    with client(host, user) as session:
        session.run("APPEND", mailbox(name), text)


def subjects(host: str, user: str, name: str) -> list[str]:
    with client(host, user) as session:
        session.run("EXAMINE", mailbox(name))
        told = session.run("FETCH 1:* (BODY.PEEK[HEADER.FIELDS (SUBJECT)])")
    return [found for line in told for found in re.findall(r"Subject: (.*)\r", line.decode())]


def superseded() -> bool:
    return (role(OLD)["role"], role(NEW)["role"]) == ("fenced", "master")


def rejoin(*args: str, **extra: Any) -> lab.Run:
    return lab.playbook("rejoin", *args, extra=extra)


def back_to(snapshot: str) -> None:
    lab.lab("snapshot", "restore", snapshot)
    master = OLD if snapshot == WELL else NEW
    lab.until(lambda: serves(master), 120, what=f"{master} serves")


@pytest.fixture(scope="module", autouse=True)
def split() -> Iterator[None]:
    """A store after a failover whose old master is there again, with what nobody else has."""
    lab.lab("snapshot", "save", WELL)
    lab.until(lambda: serves_admin(OLD), 120)
    make_mail()
    # To all of them: what another replica had, replication would bring to the new master.
    replicas = [host for host in lab.hosts() if host.startswith("imap") and host != OLD]
    for name in replicas:
        drained = lab.module(OLD, "channel", name=name, state="drained", timeout=120)
        assert not drained.get("failed"), drained["msg"]
    for name in replicas:
        assert not lab.module(OLD, "channel", name=name, state="stopped").get("failed")
    diverge()
    lab.lab("poweroff", OLD)
    told = {"cyrus_candidate": NEW, "cyrus_confirm": "store1", "cyrus_powered_off": OLD}
    run = lab.playbook("failover", extra=told)
    assert run.rc == 0, run.output
    put(NEW, "u00001", "INBOX", "new")
    put(NEW, "u00001", "team/plans", "a plan of the new master")
    with client(NEW, "u00003") as session:
        session.run("SELECT INBOX")
        session.run("STORE 1 +FLAGS.SILENT (\\Deleted)")
        session.run("EXPUNGE")
    lab.lab("boot", OLD)
    lab.until(superseded, 120, what="an old master that is fenced")
    lab.lab("snapshot", "save", SPLIT)
    lab.until(lambda: serves(NEW) and superseded(), 120)
    yield
    back_to(WELL)


def serves_admin(host: str) -> bool:
    with client(host):
        return True


def make_mail() -> None:
    generate(the_store(), 3, seed=5, folders=2, count=4)
    with client(OLD) as admin:
        for name in ("team", "team/plans", "team/old"):
            admin.run("CREATE", name)
            admin.run("SETACL", name, "u00001 lrswipkxtecdn")
    put(OLD, "u00001", "team/plans", "a plan")


def diverge() -> None:
    """What nobody else gets to know of; a folder among it that stays on the new master, since that
    one has changed it."""
    with client(OLD) as admin:
        admin.run("CREATE user/onlyold")
        admin.run("CREATE lone")
        admin.run("SETACL lone u00001 lrswipkxtecdn")
    with client(OLD, "u00002") as session:
        session.run("CREATE INBOX/Lone")
    for user, name in LONE.items():
        put(OLD, user, name, "lone")
    put(OLD, "u00001", "team", "lone")
    put(OLD, "u00001", "lone", "lone")
    with client(OLD, "u00001") as session:
        session.run("DELETE team/plans")
        session.run("RENAME team/old team/older")


def lone_mail(host: str) -> dict[str, int]:
    """How often each message that only the old master had is there."""
    places = {**LONE, "u00001/team": "team", "u00001/lone": "lone"}
    return {
        f"{place} {name}": subjects(host, place.partition("/")[0], name).count("lone")
        for place, name in places.items()
    }


def is_back() -> None:
    """The old master is a replica, equal, and nobody waits for it; each message is there once."""
    assert (role(OLD)["role"], role(OLD)["epoch"]) == ("replica", role(NEW)["epoch"])
    assert lab.ssh(NEW, f"test -e {STATE}/rejoin.json", check=False).returncode == 1
    run = lab.playbook("parity", extra={"cyrus_parity_level": "messages"})
    assert run.rc == 0, run.output
    assert set(lone_mail(NEW).values()) == {1}, lone_mail(NEW)
    assert subjects(NEW, "u00001", "INBOX").count("new") == 1
    assert len(subjects(NEW, "u00003", "INBOX")) == 3
    assert lab.ssh(OLD, f"grep -rl '^Subject: lone' {ASIDE} | wc -l").stdout.strip() == "5"


def test_without_the_drop_the_copies_never_become_equal() -> None:
    """Plain replication to the old master as it is."""
    plainly_joined(OLD, NEW)
    drained = lab.module(NEW, "channel", name=OLD, state="drained", timeout=20)
    assert drained.get("failed"), drained
    print(f"\nplain replication: {drained['msg']}")
    back_to(SPLIT)


def test_check_tells_all_and_touches_nothing() -> None:
    before = lab.ssh(OLD, f"ls -R {STATE} /var/spool/cyrus/mail").stdout
    run = rejoin("--check")
    assert run.rc == 0, run.output
    assert "imap1 would come back to imap2" in run.output
    assert "add mailbox: user.u00002.Lone" in run.output
    assert lab.ssh(OLD, f"ls -R {STATE} /var/spool/cyrus/mail").stdout == before
    assert subjects(NEW, "u00001", "INBOX").count("lone") == 0


def test_what_can_not_be_read_ends_it_before_anything_is_dropped() -> None:
    (path,) = lab.ssh(
        OLD, "grep -rl '^Subject: lone' /var/spool/cyrus/mail --include='[1-9]*.' | xargs ls -tr"
    ).stdout.split()[:1]
    lab.ssh(OLD, f"mv {path} /root/lone")
    run = rejoin()
    assert run.rc != 0
    assert "is not back, run rejoin again" in run.output
    assert role(OLD)["role"] == "fenced"
    assert lab.ssh(OLD, f"test -e {ASIDE}", check=False).returncode == 1
    lab.ssh(OLD, f"mv /root/lone {path}")


@lab.only_long
def test_what_can_not_be_read_is_left_out_where_that_is_accepted() -> None:
    # The run before has found the same content elsewhere, and lacks nothing any more.
    back_to(SPLIT)
    (path,) = lab.ssh(
        OLD, "grep -rl '^Subject: lone' /var/spool/cyrus/mail --include='[1-9]*.' | xargs ls -tr"
    ).stdout.split()[:1]
    lab.ssh(OLD, f"truncate -s 3 {path}")
    run = rejoin()
    assert run.rc != 0, run.output
    run = rejoin(cyrus_rejoin_accept_failures=True)
    assert run.rc == 0, run.output
    assert role(OLD)["role"] == "replica"
    assert lab.ssh(OLD, f"find {ASIDE} -name '[1-9]*.' -size 3c").stdout
    back_to(SPLIT)


@pytest.mark.parametrize("task", DEATHS + (MORE_DEATHS if lab.LONG else ()))
def test_a_run_that_dies_is_gone_on_with(task: str) -> None:
    lab.playbook_killed("rejoin", {}, task)
    run = rejoin()
    assert run.rc == 0, run.output
    is_back()
    if lab.LONG:
        back_to(SPLIT)


def test_again_there_is_nothing_to_do() -> None:
    if lab.LONG:
        assert rejoin().rc == 0
    run = rejoin()
    assert run.rc == 0, run.output
    assert "nobody has to come back to imap2" in run.output
    assert run.changed() == 0
    history = lab.ssh(NEW, f"tail -1 {STATE}/history.jsonl").stdout
    assert json.loads(history)["what"] == "rejoin"


def test_what_was_set_aside_can_be_removed() -> None:
    run = rejoin(cyrus_old=OLD, cyrus_rejoin_discard=True)
    assert run.rc == 0, run.output
    assert f"removed on {OLD}: {ASIDE}" in run.output, run.output
    assert lab.ssh(OLD, f"test -e {ASIDE}", check=False).returncode == 1
    assert lab.playbook("parity").rc == 0


@pytest.mark.parametrize("point", ["secured:1", "dropped:1", "dropped:2"])
def test_dropping_that_is_killed_is_completed(point: str) -> None:
    if point == "secured:1":
        back_to(SPLIT)
        send_library()
    options: dict[str, Any] = {
        "epoch": role(OLD)["epoch"],
        "users": ["u00001", "u00002", "onlyold"],
    }
    asked = shlex.quote(json.dumps({**options, "shared": True, "whole": True}))
    command = f"CYRUS_REPLICATION_STOP_AT={point} PYTHONPATH=/root python3 - {asked}; exit $?"
    killed = lab.ssh(OLD, command, check=False, data=SCRIPT)
    assert killed.returncode == 137, killed.stderr
    if point != "dropped:2":
        return
    done = lab.module(OLD, "replica_reset", shared=True, **options)
    assert not done.get("failed"), done["msg"]
    assert done["changed"]
    again = lab.module(OLD, "replica_reset", shared=True, **options)
    assert (again["changed"], again["mailboxes"]) == (False, [])
    assert lab.ssh(OLD, f"grep -rl '^Subject: lone' {ASIDE} | wc -l").stdout.strip() == "5"
    assert lab.ssh(OLD, "test -s /var/lib/cyrus/mailboxes.db", check=False).returncode == 0


def send_library() -> None:
    """The library as a package on the old master."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        archive.add(lab.ROOT / "plugins/module_utils", ".")
    unpack = lab.ssh_command(OLD, f"mkdir -p {LIBRARY} && tar -x -C {LIBRARY}")
    subprocess.run(unpack, input=packed.getvalue(), check=True, timeout=60)


@lab.only_long
def test_a_host_that_never_boots_again_is_read_from_its_disk() -> None:
    back_to(SPLIT)
    copy_disk()
    lab.lab("poweroff", OLD)
    run = rejoin(cyrus_rejoin_spool="/mnt/old", cyrus_rejoin_scratch="/run/old-scratch")
    assert run.rc == 0, run.output
    assert set(lone_mail(NEW).values()) == {1}, lone_mail(NEW)
    assert lab.ssh(NEW, f"test -e {STATE}/rejoin.json", check=False).returncode == 1
    assert "old" not in lab.ssh(NEW, "mount").stdout
    assert lab.ssh(NEW, "ls -A /run/old-scratch").stdout == ""


def copy_disk() -> None:
    """The old master's root, as if its disk were mounted on the new one."""
    pack = lab.ssh_command(OLD, "tar -C / --one-file-system --exclude='*/socket/*' -cf - .")
    unpack = lab.ssh_command(NEW, "mkdir -p /mnt/old && tar -C /mnt/old -xf -")
    with subprocess.Popen(pack, stdout=subprocess.PIPE) as packed:
        subprocess.run(unpack, stdin=packed.stdout, check=True, timeout=300)


def fenced_by_guard(host: str) -> bool:
    found = lab.ssh(host, "cat /var/lib/cyrus-replication/fence.json", check=False).stdout
    return '"by": "guard"' in found


@lab.only_long
def test_two_masters_of_one_epoch_are_one_again() -> None:
    """As docs/guard.md says."""
    back_to(WELL)
    claim = f's/"master": "{OLD}"/"master": "{NEW}"/; s/"role": "replica"/"role": "master"/'
    lab.ssh(NEW, f"systemctl stop cyrus-guard; sed -i '{claim}' {STATE}/role.json")
    lab.ssh(NEW, "systemctl start cyrus-guard")
    lab.until(lambda: fenced_by_guard(OLD) and fenced_by_guard(NEW), 60, what="nobody serves")
    epoch = int(str(role(OLD)["epoch"])) + 1
    told: dict[str, Any] = {"role": "master", "master": OLD, "epoch": epoch}
    assert lab.module(OLD, "role", store="store1", host=OLD, **told)["changed"]
    lab.until(lambda: role(NEW)["role"] == "fenced", 60, what=f"{NEW} is superseded")
    lab.until(lambda: serves(OLD), 60, what=f"{OLD} serves")
    run = rejoin(cyrus_old=NEW, cyrus_rejoin_without_base=True)
    assert run.rc == 0, run.output
    for name in ("setup", "parity"):
        run = lab.playbook(name)
        assert run.rc == 0, run.output
