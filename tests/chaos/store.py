# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store under exam: who is master, and the playbooks, which may be killed in their midst."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration import lab
from tests.integration.ledger import queued

STORE = ("imap1", "imap2")
_STATE = "/var/lib/cyrus-replication"
_RETURN_SECONDS = 60.0
_QUEUE_SECONDS = 180.0


def boot() -> None:
    """The lab's hosts, bare or as an earlier run has left them."""
    lab.lab("up", "--hosts", ",".join((*STORE, "mx1")))


def prepare() -> None:
    """Make a store with users of the hosts, which are up."""
    setup = lab.playbook("setup")
    assert setup.rc == 0, setup.output
    subprocess.run([sys.executable, "-m", "tests.lab.site"], cwd=lab.ROOT, check=True)
    give_disks()


def give_disks() -> None:
    """So that a power cut loses what was not written."""
    for host in STORE:
        lab.lab("disk", host)


@dataclass(frozen=True)
class Scene:
    """Who is what when the fault comes, whether the machine is off after it, and by how many
    seconds a clock goes wrong."""

    master: str
    candidate: str
    is_off: bool
    clock: int


def record(host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(host, f"cat {_STATE}/role.json").stdout)
    return found


def master() -> str:
    """The one that all records name."""
    (found,) = {str(record(host)["master"]) for host in STORE}
    return found


def failover(scene: Scene, log: Path, die_at: int | None) -> None:
    extra = {"cyrus_candidate": scene.candidate, "cyrus_confirm": lab.var("cyrus_store")}
    # A third host may have got more.
    extra["cyrus_accept_loss"] = scene.candidate
    if scene.is_off:
        extra["cyrus_powered_off"] = scene.master
    _play("failover", extra, log, die_at)


def rejoin(scene: Scene, log: Path, die_at: int | None) -> None:
    _play("rejoin", {"cyrus_old": scene.master}, log, die_at)


def _play(name: str, extra: Mapping[str, Any], log: Path, die_at: int | None) -> None:
    """Run a playbook; killed at a task, it is run again."""
    if die_at is not None:
        tasks = iter(range(die_at))

        def die(group: int) -> None:
            if next(tasks, None) is None:
                os.killpg(group, signal.SIGKILL)

        run = lab.playbook_met(name, extra, "", die)
        log.with_suffix(".killed").write_text(run.output)
        if run.rc == 0:
            return
    run = lab.playbook(name, extra=extra)
    log.write_text(run.output)
    assert run.rc == 0, f"{name} failed: {log}\n{run.output[-2000:]}"


def wait_superseded(old: str) -> None:
    """The old master is back, and its guard has learned that another host is master."""
    lab.until(lambda: record(old)["role"] == "fenced", _RETURN_SECONDS, what=f"{old} superseded")


def wait_delivered(old: str) -> None:
    """Nothing waits in the mail exchanger's queue any more."""
    # Postfix waits for ten minutes for an answer of a machine that has lost its power.
    lab.ssh("mx1", f"ss -Kt dst {lab.address(old)}")
    lab.until(_is_delivered, _QUEUE_SECONDS, every=3, what="the queue is empty")


def _is_delivered() -> bool:
    lab.ssh("mx1", "postqueue -f")
    return queued() == 0
