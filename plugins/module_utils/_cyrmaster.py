# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The running cyrmaster, brought to what its files say: by SIGHUP where that is enough."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass

from . import _command, _ending, _proc, _store, _units
from ._cyrus_conf import Entry
from ._errors import ReplicationError
from ._install import Install

_CAP_NET_BIND_SERVICE = 10
_UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start"
_GRACE_SECONDS = 0.3
_POLL_SECONDS = 0.02


@dataclass(frozen=True)
class Listening:
    """Where cyrmaster has to listen, and where it does."""

    wanted: _proc.Sockets
    found: _proc.Sockets

    @property
    def missing(self) -> list[str]:
        return _named(self.wanted.ports - self.found.ports, self.wanted.paths - self.found.paths)

    @property
    def surplus(self) -> list[str]:
        return _named(self.found.ports - self.wanted.ports, self.found.paths - self.wanted.paths)


def _named(ports: frozenset[int], paths: frozenset[str]) -> list[str]:
    return [*(f"port {port}" for port in sorted(ports)), *sorted(paths)]


def main_pid() -> int | None:
    """The process id of cyrmaster, None where Cyrus does not run."""
    command = ["systemctl", "show", "--property=MainPID", "--value", _units.CYRUS]
    done = _command.run(command, timeout=20)
    if done.rc != 0:
        raise ReplicationError(f"systemd does not tell of {_units.CYRUS}: {done.stderr.strip()}")
    return int(done.stdout.strip() or 0) or None


def listening(pid: int, install: Install) -> Listening | None:
    """Where the services of cyrus.conf have to be found, and where cyrmaster is; None where it has
    just ended."""
    ends = [endpoint(entry) for entry in install.services if entry.section == "SERVICES"]
    wanted = _proc.Sockets(
        frozenset(port for port, _path in ends if port),
        frozenset(path for _port, path in ends if path),
    )
    try:
        return Listening(wanted, _proc.sockets(pid))
    except FileNotFoundError:
        return None


def endpoint(entry: Entry) -> tuple[int | None, str | None]:
    """The port or the path of a service; neither for a name that this host does not know."""
    listen = entry.arguments["listen"]
    if listen.startswith("/"):
        return None, listen
    name = listen.rpartition(":")[2]
    if name.isdigit():
        return int(name), None
    with contextlib.suppress(OSError):
        proto = "udp" if entry.arguments.get("proto", "tcp").startswith("udp") else "tcp"
        return socket.getservbyname(name, proto), None
    return None, None


def update(end: float) -> str | None:
    """Make a running Cyrus one that has read its files as they are; what was done for it. `end` is
    by the monotonic clock.

    After a change of imapd.conf no process is left that has read the old one, since each reads it
    once, at its start.
    """
    pid = main_pid()
    if pid is None:
        return None
    install = Install.discover()
    settings = [install.imapd_conf, _store.SECRETS]
    read = _units.states([_units.CYRUS])[_units.CYRUS].started
    newest = _units.newest([*settings, install.cyrus_conf])
    if newest <= read:
        _wait(install, end)
        return None
    state = listening(pid, install)
    if state is None or not _may_open(pid, state):
        _units.restart(_units.CYRUS)
        _wait(install, end)
        return f"restart {_units.CYRUS}"
    old = []
    if _units.newest(settings) > read:
        old = [process for process in _proc.running() if process.cyrus_own and process.service]
    _hang_up(pid, end)
    _wait(install, end)
    ending = _ending.Ending(_GRACE_SECONDS)
    ending.wait(lambda: [process for process in old if _proc.alive(process)], end)
    _units.note_reload(newest)
    return f"reload {_units.CYRUS}"


def _hang_up(pid: int, end: float) -> None:
    """cyrmaster has no handler until it has recovered its databases: SIGHUP would end it, and
    systemd would take that for a stop in order."""
    try:
        while not _proc.catches(pid, signal.SIGHUP):
            if time.monotonic() >= end:
                raise ReplicationError(
                    f"cyrmaster is still starting: look at journalctl -u {_units.CYRUS}"
                )
            time.sleep(_POLL_SECONDS)
        os.kill(pid, signal.SIGHUP)
    except (FileNotFoundError, ProcessLookupError):
        raise ReplicationError(
            f"cyrmaster has ended: look at journalctl -u {_units.CYRUS}"
        ) from None


def _may_open(pid: int, state: Listening) -> bool:
    """cyrmaster gives up root's rights at its start, on most systems also the one for low ports."""
    with open(_UNPRIVILEGED, encoding="ascii") as stream:
        first = int(stream.read())
    low = [port for port in state.wanted.ports - state.found.ports if port < first]
    return not low or _proc.has_capability(pid, _CAP_NET_BIND_SERVICE)


def _wait(install: Install, end: float) -> None:
    """Until it listens where it has to and nowhere else, and starts what is asked for."""
    while True:
        wrong = list(_wrong(install))
        if not wrong:
            return
        if time.monotonic() >= end:
            raise ReplicationError(
                f"cyrmaster {' and '.join(wrong)}: look at journalctl -u {_units.CYRUS}"
            )
        time.sleep(_POLL_SECONDS)


def _wrong(install: Install) -> Iterator[str]:
    pid = main_pid()
    state = listening(pid, install) if pid is not None else None
    if state is None:
        yield "does not run"
        return
    yield from (f"does not listen on {name}" for name in state.missing)
    yield from (f"still listens on {name}" for name in state.surplus)
    if not state.missing and not _units.answers(_store.CSYNC_SOCKET):
        yield f"does not answer on {_store.CSYNC_SOCKET}"
