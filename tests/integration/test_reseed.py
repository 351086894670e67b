# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A replica that gets a new copy, on four real hosts, while mail comes in and nobody notices.

Runs in a lab of its own. TEST_LONG=1 ends the run at more points, and looks at all else.
"""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from . import btrfs, lab
from .four import FIRST, MASTER, REPLICA, SPARE, SPOOL, STATE, THIRD, delivering, setup, up
from .store import in_sync, serves

# In each a run is killed when it comes to the task.
DEATHS = ("Put the new copy in the place of the old one",)
MORE_DEATHS = (
    "Copy what is left",
    "Have a key",
    "Copy in one pass of rsync",
    "Let nothing go to the source",
    "Let the source have what is new",
    "Let the target have what is new",
    "Remove the former copy",
)
# There a module is killed while the new copy takes the place of the old one.
POINTS = ("synced:1", "out:1", "in:1")


pytestmark = pytest.mark.usefixtures("four_hosts")


def reseed(target: str, *args: str, **extra: Any) -> lab.Run:
    return lab.playbook("reseed", *args, extra={"cyrus_target": target, **extra})


def well(tmp_path: Path) -> None:
    """All copies are equal, and nothing is left of how they became so."""
    lab.until(lambda: in_sync(tmp_path), 120, what="all copies are equal")
    for host in lab.hosts():
        left = lab.ssh(host, f"ls -d {STATE}/reseed* {STATE}/activity-* 2>/dev/null", check=False)
        assert left.stdout == "", (host, left.stdout)
        assert lab.ssh(host, f"find {SPOOL} -name 'reseed-*'").stdout == ""
        assert "reseed" not in lab.ssh(host, "cat /root/.ssh/authorized_keys").stdout


def test_one_is_added(tmp_path: Path) -> None:
    up(*FIRST, SPARE)
    with delivering():
        setup()
        run = reseed(SPARE)
    assert run.rc == 0, run.output
    assert re.search(rf"{SPARE} is a replica of {MASTER} and equal", run.output), run.output
    # One while the source goes on, as little is left for the last one.
    passes = re.findall(r"pass ([0-9]+): [0-9.]+ of [0-9.]+ MB", run.output)
    assert passes == ["1", "2"], run.output
    well(tmp_path)
    history = lab.ssh(MASTER, f"tail -1 {STATE}/history.jsonl").stdout
    assert json.loads(history)["what"] == "reseed"


@lab.only_long
def test_check_mode_tells_and_changes_nothing() -> None:
    before = {host: lab.ssh(host, f"ls -R {STATE} {SPOOL} | sort").stdout for host in lab.hosts()}
    run = reseed(SPARE, "--check", cyrus_source=REPLICA)
    assert run.rc == 0, run.output
    assert f"{SPARE} would get a copy of {REPLICA}" in run.output, run.output
    assert run.changed() == 1, run.output
    after = {host: lab.ssh(host, f"ls -R {STATE} {SPOOL} | sort").stdout for host in lab.hosts()}
    assert after == before


def half_destroyed(host: str) -> None:
    """Every other mailbox has lost its files, and the mailbox list is damaged."""
    lab.ssh(host, "systemctl stop cyrus-imapd")
    lab.ssh(
        host,
        f"find {SPOOL} -name cyrus.header -printf '%h\\n' | sort | awk 'NR % 2' | xargs rm -r;"
        " truncate -s 100 /var/lib/cyrus/mailboxes.db",
    )


@lab.only_long
def test_a_half_destroyed_one_is_made_whole(tmp_path: Path) -> None:
    half_destroyed(THIRD)
    with delivering():
        run = reseed(THIRD, cyrus_source=REPLICA)
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
def test_the_master_is_copied_where_that_is_allowed(tmp_path: Path) -> None:
    refused = reseed(THIRD, cyrus_source=MASTER)
    assert refused.rc != 0
    assert "cyrus_reseed_hold_master=true" in refused.output, refused.output
    with delivering():
        run = reseed(THIRD, cyrus_source=MASTER, cyrus_reseed_hold_master=True)
    assert run.rc == 0, run.output
    assert serves(MASTER)
    well(tmp_path)


@lab.only_long
def test_a_master_at_rest_whose_controller_dies_serves_again(tmp_path: Path) -> None:
    told = {
        "cyrus_target": THIRD,
        "cyrus_source": MASTER,
        "cyrus_reseed_hold_master": True,
        "cyrus_reseed_rest": 1,
        "cyrus_reseed_timeout": 30,
    }
    lab.playbook_killed("reseed", told, "Copy what is left")
    assert not serves(MASTER)
    lab.until(lambda: serves(MASTER), 120, every=2, what="a master that serves again")
    run = lab.playbook("reseed", extra={**told, "cyrus_reseed_rest": 600})
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
def test_a_copy_of_a_master_that_served_meanwhile_is_not_used(tmp_path: Path) -> None:
    told = {"cyrus_target": THIRD, "cyrus_source": MASTER, "cyrus_reseed_hold_master": True}
    run = lab.playbook_met("reseed", told, "Copy what is left", serve_meanwhile)
    assert run.rc != 0
    assert f"{MASTER} served clients before all of it was copied" in " ".join(run.output.split())
    assert f"{THIRD} of store store1 has not got its copy" in " ".join(run.output.split())
    run = lab.playbook("reseed", extra=told)
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
@pytest.mark.parametrize("source", [REPLICA, MASTER])
def test_a_source_rests_only_while_its_snapshot_is_taken(source: str, tmp_path: Path) -> None:
    hook = tmp_path / "hook.yml"
    hook.write_text(btrfs.HOOK)
    told = {
        "cyrus_target": THIRD,
        "cyrus_source": source,
        "cyrus_reseed_hold_master": source == MASTER,
        "cyrus_snapshot_hook": str(hook),
        "cyrus_snapshot_root": btrfs.SNAPSHOT,
    }

    def goes_on(_group: int) -> None:
        assert serves(MASTER)
        channels = lab.module(MASTER, "channel_info")["channels"]
        assert [each["replica"] for each in channels if each["paused"]] == [THIRD]

    with btrfs.below(source):
        with delivering():
            run = lab.playbook_met("reseed", told, "Copy the snapshot", goes_on)
        assert run.rc == 0, run.output
        well(tmp_path)
        lab.playbook_killed("reseed", told, "Copy the snapshot")
        # Only an old one is there then.
        hook.write_text("[{name: Nothing is taken, ansible.builtin.command: 'true'}]\n")
        with delivering():
            refused = lab.playbook("reseed", extra=told)
        assert refused.rc != 0
        said = " ".join(refused.output.split())
        assert f"is no snapshot of {SPOOL} that was taken just now" in said, said
        assert "goes on with the one that it has" in said, said
        assert serves(MASTER)
        hook.write_text(btrfs.HOOK)
        again = lab.playbook("reseed", extra=told)
        assert again.rc == 0, again.output
    well(tmp_path)


def serve_meanwhile(group: int) -> None:
    """As its guard does when the time is up."""
    os.killpg(group, signal.SIGSTOP)
    done = lab.module(MASTER, "fence", state="absent")
    os.killpg(group, signal.SIGCONT)
    assert done["changed"], done


@pytest.mark.parametrize("task", (*DEATHS, *MORE_DEATHS) if lab.LONG else DEATHS)
def test_a_controller_that_dies_is_gone_on_with(task: str, tmp_path: Path) -> None:
    with delivering():
        lab.playbook_killed("reseed", {"cyrus_target": THIRD, "cyrus_source": REPLICA}, task)
        run = reseed(THIRD, cyrus_source=REPLICA)
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
@pytest.mark.parametrize("source", [REPLICA, MASTER])
def test_what_was_begun_is_given_up_where_that_is_asked_for(source: str, tmp_path: Path) -> None:
    told = {"cyrus_target": THIRD, "cyrus_source": source}
    holds = {"cyrus_reseed_hold_master": source == MASTER}
    lab.playbook_killed("reseed", {**told, **holds}, "Copy what is left")
    refused = lab.playbook("switchover", "--check", extra={"cyrus_candidate": REPLICA})
    assert refused.rc != 0
    assert f"a reseed of {THIRD} is under way" in refused.output, refused.output
    run = lab.playbook("reseed", extra={**told, "cyrus_reseed_state": "undone"})
    assert run.rc == 0, run.output
    assert serves(MASTER)
    assert "store1" not in lab.ssh("mx1", "postconf -h defer_transports").stdout
    well(tmp_path)


@lab.only_long
@pytest.mark.parametrize("point", POINTS)
def test_a_power_cut_while_it_takes_its_place_is_ended_by_the_next_boot(
    point: str, tmp_path: Path
) -> None:
    lab.playbook_killed(
        "reseed", {"cyrus_target": THIRD}, "Put the new copy in the place of the old one"
    )
    killed = lab.module(THIRD, "copy_target", stop_at=point, state="placed")
    assert killed.get("failed"), killed
    lab.lab("reboot", THIRD)
    lab.until(
        lambda: lab.ssh(THIRD, "systemctl is-active cyrus-imapd", check=False).stdout == "active\n",
        60,
        what="Cyrus runs",
    )
    run = reseed(THIRD)
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
@pytest.mark.parametrize("source", [REPLICA, MASTER])
def test_a_copy_that_can_not_be_made_leaves_the_target_as_it_was(
    source: str, tmp_path: Path
) -> None:
    told = {"cyrus_source": source, "cyrus_reseed_hold_master": source == MASTER}
    run = reseed(THIRD, **told, cyrus_reseed_rest=0)
    assert run.rc != 0
    said = " ".join(run.output.split())
    assert "goes on with the one that it has" in said, said
    assert "the time for this pass of rsync is up" in said, said
    assert serves(MASTER)
    again = reseed(THIRD, **told)
    assert again.rc == 0, again.output
    well(tmp_path)


@lab.only_long
def test_everything_is_replicated_where_that_is_asked_for(tmp_path: Path) -> None:
    run = reseed(THIRD, cyrus_reseed_method="replicate")
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
def test_the_old_copy_is_written_over_where_that_is_accepted(tmp_path: Path) -> None:
    run = reseed(THIRD, cyrus_accept_overwrite=THIRD)
    assert run.rc == 0, run.output
    well(tmp_path)


@lab.only_long
@pytest.mark.parametrize(
    ("extra", "said"),
    [
        ({}, "Name the replica that is to get a new copy"),
        ({"cyrus_target": "nobody"}, "cyrus_target names nobody"),
        ({"cyrus_target": MASTER}, "which is the master of store store1"),
        ({"cyrus_target": THIRD, "cyrus_source": THIRD}, "name another source"),
        ({"cyrus_target": THIRD, "cyrus_source": "nobody"}, "no host of store store1"),
    ],
)
def test_bad_input_is_one_sentence(extra: dict[str, str], said: str) -> None:
    run = lab.playbook("reseed", extra=extra)
    assert run.rc != 0
    assert said in " ".join(run.output.split()), run.output
    assert run.changed() == 0, run.output


@lab.only_long
def test_the_last_second_copy_is_kept(tmp_path: Path) -> None:
    for name in (THIRD, SPARE):
        assert not lab.module(MASTER, "channel", name=name, state="paused").get("failed")
    try:
        run = reseed(THIRD, cyrus_source=REPLICA)
        assert run.rc != 0
        assert "-e cyrus_accept_single_copy=store1" in " ".join(run.output.split()), run.output
        accepted = reseed(THIRD, "--check", cyrus_source=REPLICA, cyrus_accept_single_copy="store1")
        assert accepted.rc == 0, accepted.output
    finally:
        for name in (THIRD, SPARE):
            assert not lab.module(MASTER, "channel", name=name, state="started").get("failed")
    well(tmp_path)


class Copies:
    """How many hosts have all mail but for the last seconds, asked all the time: the master, and
    each replica to which a heartbeat came lately."""

    def __init__(self) -> None:
        self.least = len(lab.hosts())
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> Copies:
        self._thread.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._end.set()
        self._thread.join()

    def _watch(self) -> None:
        replicas = [host for host in lab.hosts() if host != MASTER]
        while not self._end.wait(1.0):
            self.least = min(self.least, 1 + sum(_follows(host) for host in replicas))


def _follows(host: str) -> bool:
    told = lab.module(host, "readiness_info")
    beat = told.get("heartbeat")
    return beat is not None and told["clock"] - beat["written"] < 30 * lab.patience()


@lab.only_long
def test_one_is_replaced_and_there_are_two_copies_all_the_time(tmp_path: Path) -> None:
    with delivering():
        with Copies() as copies:
            run = reseed(SPARE, cyrus_source=REPLICA)
            assert run.rc == 0, run.output
            # The inventory without the old one.
            path = tmp_path / "inventory.yml"
            path.write_text(
                re.sub(
                    rf"^ *{THIRD}:.*\n(?: +ansible_host: .*\n)?",
                    "",
                    lab.INVENTORY.read_text(),
                    flags=re.M,
                )
            )
            dropped = lab.playbook("setup", source=path)
            assert dropped.rc == 0, dropped.output
        assert copies.least >= 2
        setup()
    well(tmp_path)
