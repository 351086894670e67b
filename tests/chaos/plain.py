# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same without `failover` and `rejoin`: the replica is made master, the old one its replica."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from tests.integration import lab
from tests.lab.host import Host
from tests.lab.plan import SERVICE
from tests.lab.settings import from_environment

from . import moment, store
from .deck import Card

_SECONDS = 60.0
# With load on, a log is empty for moments only; what is sent again after a change of master is not.
_QUIET_SECONDS = 3.0
_EVERY = 0.1


def failover(scene: store.Scene, _log: Path, _card: Card) -> str:
    lab.module(scene.master, "fence", state="present", reason="another master")
    _become(scene, scene.candidate, "master", int(store.record(scene.candidate)["epoch"]) + 1)
    address = lab.address(scene.candidate)
    lab.ssh("mx1", f"sed 's/^[0-9.]* {SERVICE}/{address} {SERVICE}/' /etc/hosts > /etc/hosts.new")
    lab.ssh("mx1", "cat /etc/hosts.new > /etc/hosts")
    return ""


def rejoin(scene: store.Scene, _log: Path, _card: Card) -> str:
    _become(scene, scene.master, "replica", int(store.record(scene.master)["epoch"]), rejoin=True)
    lab.module(scene.master, "fence", state="absent")
    host = Host(from_environment(), scene.candidate)
    deadline, quiet = time.monotonic() + _SECONDS, time.monotonic()
    while time.monotonic() < min(deadline, quiet + _QUIET_SECONDS):
        if moment.moment(host, scene.master):
            quiet = time.monotonic()
        time.sleep(_EVERY)
    return ""


def _become(scene: store.Scene, host: str, role: str, epoch: int, **options: Any) -> None:
    done = lab.module(
        host,
        "role",
        store=lab.var("cyrus_store"),
        host=host,
        role=role,
        master=scene.candidate,
        epoch=epoch,
        configure=True,
        **options,
    )
    assert done.get("changed"), done
