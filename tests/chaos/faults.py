# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens to a master, and how its machine is brought back afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.integration import lab
from tests.lab.command import run
from tests.lab.host import Host
from tests.lab.network import namespace_of
from tests.lab.settings import from_environment

from . import clock, store
from .store import Scene

MTA = "mx1"
_FILLER = "/var/spool/filler"
_TABLE = "chaos"


@dataclass(frozen=True)
class Fault:
    """The channel would catch up in most of them: it hangs `before` the fault, or `after` it.

    A master that goes on serving through it has to be stopped before another takes its place.
    """

    name: str
    hang: str
    serves: bool
    strike: Callable[[Scene], None]
    heal: Callable[[Scene], None]


def _kill(scene: Scene) -> None:
    lab.ssh(scene.master, "systemctl kill -s KILL cyrus-imapd")


def _start(scene: Scene) -> None:
    lab.ssh(scene.master, "systemctl start cyrus-imapd")


def stop(scene: Scene) -> None:
    """As an administrator would whose machine is still there; no channel is waited for."""
    store.end_cyrus(scene.master)


def _power_off(scene: Scene) -> None:
    # By the shortest way: the moment would be over.
    Host(from_environment(), scene.master).cut_power()


def _boot(scene: Scene) -> None:
    lab.lab("boot", scene.master)


def _fill(scene: Scene) -> None:
    lab.ssh(
        scene.master,
        f"fallocate -l $(df --output=avail -B1 /var/spool | tail -n 1) {_FILLER}",
    )


def _make_room(scene: Scene) -> None:
    lab.ssh(scene.master, f"rm -f {_FILLER}")
    _start(scene)


def _cut(host: str, peer: str) -> None:
    """Nothing goes between the two any more, not even a refusal."""
    address = lab.address(peer)
    chains = (
        f"chain in {{ type filter hook input priority 0; ip saddr {address} drop; }};"
        f" chain out {{ type filter hook output priority 0; ip daddr {address} drop; }};"
    )
    _nft(host, f"table inet {_TABLE} {{ {chains} }}")


def _mend(scene: Scene) -> None:
    _start(scene)
    _nft(scene.master, f"delete table inet {_TABLE}")


def _nft(host: str, command: str) -> None:
    namespace = namespace_of(from_environment().lab_id, host)
    run(["ip", "netns", "exec", namespace, "nft", command])


def _wrong_clock(scene: Scene) -> None:
    clock.set_wrong(scene.master, scene.clock)


def _right_clock(scene: Scene) -> None:
    clock.set_right(scene.master)


FAULTS = (
    Fault("kill", "before", False, _kill, _start),
    Fault("power", "before", False, _power_off, _boot),
    Fault("peer", "", True, lambda scene: _cut(scene.master, scene.candidate), _mend),
    Fault("mta", "after", True, lambda scene: _cut(scene.master, MTA), _mend),
    Fault("disk", "before", True, _fill, _make_room),
    Fault("clock", "after", True, _wrong_clock, _right_clock),
)
