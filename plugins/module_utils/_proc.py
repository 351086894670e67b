# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Cyrus's processes on this host, as the kernel shows them."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass, field

from . import _cyrus_conf

UNIT = "cyrus-imapd.service"
REPLICATORS = "cyrus-replicator@"
_TICKS = os.sysconf("SC_CLK_TCK")
_LISTENING = "0A"
_UNBOUND_UDP = "07"


@dataclass(frozen=True)
class Process:
    """A program of Cyrus. `service` is its entry in cyrus.conf, `since` the kernel's own clock:
    with it a process id names one process for ever."""

    pid: int
    since: int
    program: str = field(compare=False)
    service: str | None = field(compare=False)
    groups: str = field(compare=False)
    arguments: tuple[str, ...] = field(compare=False)

    @property
    def cyrus_own(self) -> bool:
        """Whether cyrmaster has started it."""
        return UNIT in self.groups

    def __str__(self) -> str:
        return f"{self.program} (process {self.pid})"


@dataclass(frozen=True)
class Sockets:
    """Where a process listens: ports and paths."""

    ports: frozenset[int]
    paths: frozenset[str]


def running() -> list[Process]:
    """Every program of Cyrus, whoever has started it."""
    found = []
    for name in filter(str.isdigit, os.listdir("/proc")):
        with contextlib.suppress(OSError):
            process = _look_at(int(name))
            if process is not None:
                found.append(process)
    return found


def alive(process: Process) -> bool:
    """Whether it has not ended yet."""
    with contextlib.suppress(OSError):
        return _look_at(process.pid) == process
    return False


def _look_at(pid: int) -> Process | None:
    program = os.readlink(f"/proc/{pid}/exe").replace(" (deleted)", "")
    if os.path.dirname(program) not in _cyrus_conf.LIBEXEC_DIRS:
        return None
    # Another system on this machine has processes of its own.
    if os.readlink(f"/proc/{pid}/ns/pid") != os.readlink("/proc/self/ns/pid"):
        return None
    variables = dict(word.partition("=")[::2] for word in _words(pid, "environ"))
    return Process(
        pid,
        int(_read(pid, "stat").rpartition(")")[2].split()[19]),
        os.path.basename(program),
        variables.get("CYRUS_SERVICE"),
        _read(pid, "cgroup"),
        tuple(_words(pid, "cmdline")[1:]),
    )


def started(process: Process) -> float:
    """When it was started, in seconds since 1970, never too late."""
    boot = time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)
    return boot + process.since / _TICKS


def call(pid: int) -> list[str]:
    """The system call in which a process waits: its number and its arguments."""
    return _read(pid, "syscall").split()


def _read(pid: int, name: str) -> str:
    with open(f"/proc/{pid}/{name}", encoding="utf-8", errors="surrogateescape") as stream:
        return stream.read()


def _words(pid: int, name: str) -> list[str]:
    return _read(pid, name).rstrip("\0").split("\0")


def has_capability(pid: int, number: int) -> bool:
    """Whether a process may use a capability (linux/capability.h)."""
    return bool(_mask(pid, "CapEff") >> number & 1)


def catches(pid: int, number: int) -> bool:
    """Whether a process has a handler for a signal, which would end it otherwise."""
    return bool(_mask(pid, "SigCgt") >> (number - 1) & 1)


def _mask(pid: int, wanted: str) -> int:
    for line in _read(pid, "status").splitlines():
        name, _tab, value = line.partition(":")
        if name == wanted:
            return int(value, 16)
    return 0


def sockets(pid: int) -> Sockets:
    """Where a process listens."""
    inodes = set()
    for name in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):
            target = os.readlink(f"/proc/{pid}/fd/{name}")
            if target.startswith("socket:["):
                inodes.add(target[8:-1])
    ports, paths = set(), set()
    for kind, state in (("tcp", _LISTENING), ("udp", _UNBOUND_UDP)):
        for table in (kind, f"{kind}6"):
            for words in _table(pid, table):
                if words[3] == state and words[9] in inodes:
                    ports.add(int(words[1].rpartition(":")[2], 16))
    for words in _table(pid, "unix"):
        if words[6] in inodes and len(words) > 7:
            paths.add(words[7])
    return Sockets(frozenset(ports), frozenset(paths))


def _table(pid: int, name: str) -> list[list[str]]:
    try:
        return [line.split() for line in _read(pid, f"net/{name}").splitlines()[1:]]
    except FileNotFoundError:
        # A kernel without IPv6.
        return []
