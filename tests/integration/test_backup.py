# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica that is backed up on real hosts, and what was backed up restored on an empty one.

TEST_LONG=1 looks at the other drivers, and at what may go wrong.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import mail

from . import lab
from .contents import contents
from .four import FIRST, MASTER, REPLICA, SPARE, SPOOL, STATE, THIRD, USERS, delivering, setup, up
from .store import in_sync

pytestmark = pytest.mark.usefixtures("four_hosts")

TO = "/srv/backup"
ENVIRONMENT = "/etc/restic.env"
CONFIG = "/var/lib/cyrus"
RESTORE = {
    "tar": "tar -C / -xf {name}",
    "rsync": "rsync -aH --numeric-ids {name}/ /",
    "restic": f"set -a; . {ENVIRONMENT}; restic restore {{name}} --target /",
}
DRIVERS: dict[str, dict[str, Any]] = {
    "tar": {"cyrus_backup_to": TO},
    "rsync": {"cyrus_backup_driver": "rsync", "cyrus_backup_to": TO},
    "restic": {"cyrus_backup_driver": "restic", "cyrus_backup_environment": ENVIRONMENT},
}
# In each a run is killed when it comes to the task.
DEATHS = ("Begin the backup", "Wait for it")


@pytest.fixture(scope="module", autouse=True)
def places(four_hosts: None) -> None:
    """Where backups go, on the replica and on the host that they are restored on."""
    up(*FIRST, SPARE)
    setup()
    secrets = f"RESTIC_REPOSITORY={TO}/repository\nRESTIC_PASSWORD=word\n"
    for host in (THIRD, SPARE):
        lab.ssh(host, f"mkdir -p {TO}; apt-get -qq install restic")
        lab.ssh(host, f"umask 077; cat > {ENVIRONMENT}", data=secrets)
    lab.ssh(THIRD, f"set -a; . {ENVIRONMENT}; restic cat config || restic -q init")


def backup(*args: str, **extra: Any) -> lab.Run:
    return lab.playbook("backup", *args, extra={"cyrus_source": THIRD, **extra})


def made(run: lab.Run) -> str:
    """What names the backup."""
    assert run.rc == 0, run.output
    found = re.search(r"^\s*(?:snapshot )?(\S+), [0-9.]+ MB", run.output, re.MULTILINE)
    assert found, run.output
    return found.group(1)


def runs(host: str) -> bool:
    said = lab.ssh(host, "systemctl is-active cyrus-imapd", check=False)
    return said.stdout == "active\n"


def well(tmp_path: Path) -> None:
    """The replica is back, all copies are equal, and nothing is left of how they became so."""
    assert runs(THIRD)
    lab.until(lambda: in_sync(tmp_path), 120, what="all copies are equal")
    for host in lab.hosts():
        left = lab.ssh(host, f"ls {STATE}/activity-* 2>/dev/null", check=False).stdout
        assert left == "", (host, left)
    assert lab.ssh(THIRD, f"ls {TO} | grep part", check=False).stdout == ""


def restored(name: str, driver: str) -> None:
    """The spare host with what was backed up, and nothing else; nothing is sent to it."""
    paused = lab.module(MASTER, "channel", name=SPARE, state="paused")
    assert not paused.get("failed"), paused
    lab.ssh(SPARE, "systemctl stop cyrus-imapd")
    lab.ssh(
        SPARE,
        f"find {SPOOL} /var/spool/sieve -mindepth 1 -delete;"
        f" rm -rf {CONFIG}/*.db {CONFIG}/user {CONFIG}/quota",
    )
    lab.ssh(SPARE, f"rm -rf {TO}/*")
    whole = lab.ssh(THIRD, f"ls -d {TO if driver == 'restic' else name}").stdout.strip()
    lab.carry(THIRD, SPARE, whole)
    lab.ssh(SPARE, RESTORE[driver].format(name=name), timeout=300)
    lab.ssh(SPARE, f"rm -f {CONFIG}/statuscache.db; systemctl start cyrus-imapd")


def rejoined(tmp_path: Path) -> None:
    started = lab.module(MASTER, "channel", name=SPARE, state="started", everything=True)
    assert not started.get("failed"), started
    well(tmp_path)


@pytest.mark.parametrize("driver", DRIVERS if lab.LONG else ["tar"])
def test_what_was_backed_up_is_what_the_master_had(driver: str, tmp_path: Path) -> None:
    users = mail.generated(USERS)
    lab.until(lambda: in_sync(tmp_path), 120, what="all copies are equal")
    before = contents(MASTER, users)
    assert sum(len(each) for each in before.values()) > 100
    name = made(backup(**DRIVERS[driver]))
    with delivering():
        well(tmp_path)
    restored(name, driver)
    compared = lab.module(SPARE, "backup", state="compared")
    assert compared.get("differences") == [], compared
    assert contents(SPARE, users) == before
    rejoined(tmp_path)


def test_a_loss_in_what_was_restored_is_found(tmp_path: Path) -> None:
    name = made(backup(**DRIVERS["tar"]))
    restored(name, "tar")
    inbox = lab.ssh(SPARE, f"cyrus mbpath user/{mail.generated(USERS)[0]}").stdout.strip()
    lab.ssh(SPARE, f"systemctl stop cyrus-imapd; rm {inbox}/cyrus.index")
    lab.ssh(SPARE, "systemctl start cyrus-imapd")
    compared = lab.module(SPARE, "backup", state="compared")
    assert compared["differences"], compared
    restored(name, "tar")
    rejoined(tmp_path)


@lab.only_long
def test_mail_that_comes_in_meanwhile_is_on_the_replica_soon(tmp_path: Path) -> None:
    with delivering():
        made(backup(**DRIVERS["rsync"]))
        second = made(backup(**DRIVERS["rsync"]))
    well(tmp_path)
    # What has not changed is stored once.
    links = lab.ssh(THIRD, f"find {second} -name '1.' -links +1 | head -1").stdout
    assert links, "nothing is linked"
    restored(second, "rsync")
    compared = lab.module(SPARE, "backup", state="compared")
    assert compared.get("differences") == [], compared
    rejoined(tmp_path)


@lab.only_long
def test_a_snapshot_is_copied_while_cyrus_goes_on(tmp_path: Path) -> None:
    hook = tmp_path / "hook.yml"
    hook.write_text(
        """
- name: Cyrus rests, and a snapshot is taken
  ansible.builtin.shell: |
    set -e
    test "$(systemctl is-active cyrus-imapd)" != active
    rm -rf /mnt/var; mkdir -p /mnt/var/lib /mnt/var/spool
    cp -a /var/lib/cyrus /mnt/var/lib; cp -a /var/spool/cyrus /var/spool/sieve /mnt/var/spool
  when: cyrus_snapshot_action == 'take'

- name: Cyrus runs again, and the snapshot goes
  ansible.builtin.shell: test "$(systemctl is-active cyrus-imapd)" = active; rm -r /mnt/var
  when: cyrus_snapshot_action == 'remove'
"""
    )
    with delivering():
        name = made(backup(**DRIVERS["tar"], cyrus_snapshot_hook=str(hook)))
    well(tmp_path)
    restored(name, "tar")
    compared = lab.module(SPARE, "backup", state="compared")
    assert compared.get("differences") == [], compared
    rejoined(tmp_path)
    hook.write_text("- name: It can't be taken\n  ansible.builtin.command: /bin/false\n")
    run = backup(**DRIVERS["tar"], cyrus_snapshot_hook=str(hook))
    assert run.rc != 0
    assert f"{hook}, take:" in run.output, run.output
    well(tmp_path)


@lab.only_long
def test_a_backup_for_which_there_is_no_room_leaves_the_replica_well(tmp_path: Path) -> None:
    lab.ssh(THIRD, "mkdir -p /mnt/small; mount -t tmpfs -o size=64k tmpfs /mnt/small")
    try:
        with delivering():
            run = backup(cyrus_backup_to="/mnt/small")
        assert run.rc != 0
        assert "0 MB are free in /mnt/small" in " ".join(run.output.split()), run.output
        assert lab.ssh(THIRD, "ls /mnt/small").stdout == ""
    finally:
        lab.ssh(THIRD, "umount /mnt/small")
    well(tmp_path)


@contextmanager
def long() -> Iterator[None]:
    """A backup takes a while: there is a large file with a hole, of which restic keeps nothing."""
    path = f"{SPOOL}/hole"
    lab.ssh(THIRD, f"truncate -s 40G {path}; chown cyrus:mail {path}")
    try:
        yield
    finally:
        lab.ssh(THIRD, f"rm -f {path}")


@lab.only_long
def test_one_that_takes_too_long_is_ended_and_the_replica_comes_back(tmp_path: Path) -> None:
    with long(), delivering():
        run = backup(**DRIVERS["restic"], cyrus_backup_limit=5)
    assert run.rc != 0
    assert "did not end within 5 s" in " ".join(run.output.split()), run.output
    well(tmp_path)


@lab.only_long
@pytest.mark.parametrize("task", DEATHS)
def test_a_controller_that_dies_is_gone_on_with(task: str, tmp_path: Path) -> None:
    told = {"cyrus_source": THIRD, **DRIVERS["restic"]}
    with delivering():
        with long():
            lab.playbook_killed("backup", told, task)
            if task == "Wait for it":
                assert not runs(THIRD)
            refused = lab.playbook("switchover", "--check", extra={"cyrus_candidate": REPLICA})
            assert refused.rc != 0
            assert f"a backup of {THIRD} is under way" in refused.output, refused.output
        run = backup(**DRIVERS["restic"])
        made(run)
        assert runs(THIRD)
    well(tmp_path)


@lab.only_long
def test_a_replica_that_is_started_meanwhile_has_no_whole_backup(tmp_path: Path) -> None:
    def start(_group: int) -> None:
        lab.ssh(THIRD, "systemctl start cyrus-imapd")

    with long():
        told = {"cyrus_source": THIRD, **DRIVERS["restic"]}
        run = lab.playbook_met("backup", told, "Wait for it", start)
    assert run.rc != 0
    assert "Cyrus was started meanwhile" in " ".join(run.output.split()), run.output
    well(tmp_path)


@lab.only_long
def test_check_mode_tells_and_changes_nothing() -> None:
    listing = f"ls -R {STATE} {TO} | sort"
    before = {host: lab.ssh(host, listing, check=False).stdout for host in lab.hosts()}
    run = backup("--check", **DRIVERS["tar"])
    assert run.rc == 0, run.output
    assert f"{THIRD} would be backed up with tar to {TO}" in run.output, run.output
    assert run.changed() == 1, run.output
    assert {host: lab.ssh(host, listing, check=False).stdout for host in lab.hosts()} == before


@lab.only_long
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"cyrus_source": ""}, "Name the replica that is to be backed up"),
        ({"cyrus_source": "nobody"}, "cyrus_source names nobody"),
        ({"cyrus_source": MASTER, **DRIVERS["tar"]}, f"{MASTER} is not a replica of store store1"),
        ({}, "driver tar needs a folder on imap3"),
        ({"cyrus_backup_driver": "restic"}, "driver restic needs a repository"),
        ({"cyrus_backup_driver": "none"}, "give a hook that does"),
        ({"cyrus_snapshot_hook": "/nowhere"}, "no file with tasks on the controller"),
    ],
)
def test_bad_input_is_one_sentence(extra: dict[str, str], said: str) -> None:
    run = backup(**extra)
    assert run.rc != 0
    assert said in " ".join(run.output.split()), run.output
    assert run.changed() == 0, run.output


@lab.only_long
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({"cyrus_backup_to": "/nowhere"}, "/nowhere is no folder on this host"),
        ({"cyrus_backup_to": SPOOL}, "which is backed up: take another"),
        (
            {**DRIVERS["restic"], "cyrus_backup_environment": "/etc/passwd"},
            "others can read it: chmod 0600",
        ),
    ],
)
def test_what_only_the_replica_knows_is_one_sentence_too(
    extra: dict[str, str], said: str, tmp_path: Path
) -> None:
    run = backup(**extra)
    assert run.rc != 0
    assert said in " ".join(run.output.split()), run.output
    well(tmp_path)


@lab.only_long
def test_the_last_second_copy_is_kept(tmp_path: Path) -> None:
    for name in (REPLICA, SPARE):
        assert not lab.module(MASTER, "channel", name=name, state="paused").get("failed")
    try:
        run = backup(**DRIVERS["tar"])
        assert run.rc != 0
        assert "-e cyrus_accept_single_copy=store1" in " ".join(run.output.split()), run.output
        accepted = backup("--check", **DRIVERS["tar"], cyrus_accept_single_copy="store1")
        assert accepted.rc == 0, accepted.output
    finally:
        for name in (REPLICA, SPARE):
            assert not lab.module(MASTER, "channel", name=name, state="started").get("failed")
    well(tmp_path)


@lab.only_long
def test_the_history_has_it() -> None:
    made(backup(**DRIVERS["tar"]))
    last = json.loads(lab.ssh(MASTER, f"tail -1 {STATE}/history.jsonl").stdout)
    assert (last["what"], last["from"], last["outcome"]) == ("backup", THIRD, "done")
