# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The store under exam: who is master, and the playbooks, which may be killed in their midst."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.integration import lab
from tests.integration.ledger import queued
from tests.lab import mail
from tests.lab.settings import from_environment

from .deck import Card

STORE = ("imap1", "imap2")
_USERS = 6
_HOSTS = (*STORE, "mx1")
_STATE = "/var/lib/cyrus-replication"
_END_SECONDS = 5
_RETURN_SECONDS = 60.0
_QUEUE_SECONDS = 180.0


def _mark() -> Path:
    """There during a round, and after one that failed; gone with the lab."""
    return from_environment().state / "chaos"


def mark() -> None:
    _mark().touch()


def unmark() -> None:
    _mark().unlink()


def boot() -> None:
    """The lab's hosts, with a store and users; anew where a round did not come to its end."""
    if _mark().exists():
        lab.lab("down")
    lab.lab("up", "--hosts", ",".join(_HOSTS))
    setup = lab.playbook("setup")
    assert setup.rc == 0, setup.output
    subprocess.run([sys.executable, "-m", "tests.lab.site", "--no-mail"], cwd=lab.ROOT, check=True)
    mail.generate(mail.the_store(), _USERS, seed=1, folders=2, count=5)
    # So that a power cut loses what was not written.
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


def users() -> list[str]:
    return mail.generated(_USERS)


def record(host: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(host, f"cat {_STATE}/role.json").stdout)
    return found


def master() -> str:
    """The one that all records name."""
    (found,) = {str(record(host)["master"]) for host in STORE}
    return found


def failover(scene: Scene, log: Path, card: Card) -> str:
    extra = {"cyrus_candidate": scene.candidate, "cyrus_confirm": lab.var("cyrus_store")}
    # A third host may have got more.
    extra["cyrus_accept_loss"] = scene.candidate
    if scene.is_off:
        extra["cyrus_powered_off"] = scene.master
    return _play("failover", extra, log, card)


def rejoin(scene: Scene, log: Path, card: Card) -> str:
    return _play("rejoin", {"cyrus_old": scene.master}, log, card)


def _play(name: str, extra: Mapping[str, Any], log: Path, card: Card) -> str:
    """Run a playbook; if the controller dies in it, at which task, and it is run again."""
    died_at = ""
    if card.dies_in == name:
        died_at = _play_to_death(name, extra, log.with_suffix(".killed"), card)
    run = lab.playbook(name, extra=extra)
    log.write_text(run.output)
    assert run.rc == 0, f"{name} failed: {log}\n{run.output[-2000:]}"
    return died_at


def _play_to_death(name: str, extra: Mapping[str, Any], log: Path, card: Card) -> str:
    tasks = iter(range(card.at_task))

    def die(group: int) -> None:
        if next(tasks, None) is None:
            time.sleep(card.dies_after)
            os.killpg(group, signal.SIGKILL)

    run = lab.playbook_met(name, extra, "", die)
    log.write_text(run.output)
    return re.findall(r"^TASK \[(.*)\] \*", run.output, re.MULTILINE)[-1] if run.rc else ""


def end_cyrus(host: str) -> None:
    """In order, and by force where that takes long: cyrmaster can't end while a client waits to be
    let in."""
    lab.ssh(host, "systemctl kill -s TERM cyrus-imapd")
    ends = f"timeout {_END_SECONDS} sh -c 'while pgrep -x cyrmaster; do sleep 0.2; done'"
    lab.ssh(host, f"{ends} || systemctl kill -s KILL cyrus-imapd")


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
