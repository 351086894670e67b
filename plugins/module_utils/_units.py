# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""systemd units of a host: started, younger than the files they have read, stale ones ended."""

from __future__ import annotations

import os
import re
import socket
import time
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace

from . import _command, _doubt, _files
from ._errors import ReplicationError

CYRUS = "cyrus-imapd.service"
# As old as the files that a running Cyrus has read again without a restart.
RELOADED = "/run/cyrus-replication/reloaded"
_STEADY_SECONDS = 0.4
# One instance of each for a channel, or for an end of the link.
TEMPLATES = ("cyrus-link@*.service", "cyrus-replicator@*.service")
_SHOWN = (
    "Id",
    "LoadState",
    "ActiveState",
    "UnitFileState",
    "NeedDaemonReload",
    "ActiveEnterTimestampMonotonic",
)


@dataclass(frozen=True)
class Unit:
    """A unit that has to run, and the files that it reads when it starts.

    It counts as up when it stays active and its sockets greet.
    """

    name: str
    files: Sequence[str]
    sockets: Sequence[str]


@dataclass(frozen=True)
class State:
    """What systemd says of a unit."""

    active: bool
    enabled: bool
    started: float
    needs_reload: bool
    loaded: bool = True


def parse_states(shown: str, boot: float) -> dict[str, State]:
    """Output of `systemctl show`, a block for each unit; `boot` is the time of the boot."""
    states = {}
    for block in shown.split("\n\n"):
        values = dict(line.partition("=")[::2] for line in block.splitlines())
        if "Id" not in values:
            continue
        states[values["Id"]] = State(
            active=values.get("ActiveState") == "active",
            enabled=values.get("UnitFileState") == "enabled",
            started=boot + int(values.get("ActiveEnterTimestampMonotonic") or 0) / 1e6,
            needs_reload=values.get("NeedDaemonReload") == "yes",
            loaded=values.get("LoadState") == "loaded",
        )
    return states


def action(state: State, newest: float) -> str:
    """What a wanted unit needs: start, restart or nothing."""
    if not state.active:
        return "start"
    return "restart" if newest > state.started or state.needs_reload else ""


def stale(listed: Iterable[str], wanted: Collection[str], patterns: Sequence[str]) -> list[str]:
    """Instances of our templates that no channel needs any more."""
    ours = re.compile("|".join(re.escape(p).replace(r"\*", ".+") for p in patterns))
    return sorted({name for name in listed if ours.fullmatch(name)} - set(wanted))


def newest(files: Iterable[str]) -> float:
    return max((os.stat(path).st_mtime for path in files if os.path.exists(path)), default=0.0)


def _systemctl(*args: str, check: bool = True) -> str:
    try:
        done = _command.run(["systemctl", *args], timeout=150)
    except ReplicationError as error:
        raise ReplicationError(f"systemctl {' '.join(args)} failed: {error}") from error
    if check and done.rc != 0:
        raise ReplicationError(f"systemctl {' '.join(args)} failed: {done.stderr.strip()}")
    return done.stdout


def states(names: Sequence[str]) -> dict[str, State]:
    """What systemd says of each."""
    boot = time.time() - time.monotonic()
    found = parse_states(_systemctl("show", "-p", ",".join(_SHOWN), *names), boot)
    if CYRUS in found and os.path.exists(RELOADED):
        read = max(found[CYRUS].started, os.stat(RELOADED).st_mtime)
        found[CYRUS] = replace(found[CYRUS], started=read)
    return found


def note_reload(moment: float) -> None:
    """Cyrus has read again the files that were there at a time (seconds since 1970)."""
    os.makedirs(os.path.dirname(RELOADED), exist_ok=True)
    _files.overwrite(RELOADED, "", 0o644)
    os.utime(RELOADED, (moment, moment))


def _installed(patterns: Sequence[str]) -> set[str]:
    listed = _systemctl("list-units", "--plain", "--no-legend", *patterns)
    names = {line.split()[0] for line in listed.splitlines() if line.split()}
    for directory, _folders, files in os.walk("/etc/systemd/system"):
        if directory.endswith(".wants"):
            names.update(files)
    return names


def answers(path: str) -> bool:
    """Whether a server on a Unix socket greets."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(5)
        try:
            probe.connect(path)
            return bool(probe.recv(1))
        except OSError:
            return False


def _wait(units: Sequence[Unit], seconds: float) -> None:
    """Until all are up, and stay so."""
    end = time.monotonic() + seconds
    before: dict[str, float] = {}
    while units:
        found = states([unit.name for unit in units])
        # One that dies at once and is started again is active in between.
        waiting = [unit for unit in units if not _steady(unit, found[unit.name], before)]
        if not waiting:
            return
        if time.monotonic() >= end:
            name = waiting[0].name
            raise ReplicationError(
                f"{name} did not come up within {seconds:g} s: {_last_words(name)}"
            )
        before = {name: state.started for name, state in found.items()}
        time.sleep(_STEADY_SECONDS)


def _steady(unit: Unit, state: State, before: dict[str, float]) -> bool:
    steady = state.active and abs(state.started - before.get(unit.name, 0.0)) < 0.1
    return steady and all(answers(path) for path in unit.sockets)


def _last_words(unit: str) -> str:
    journal = ["journalctl", "-u", unit, "-n", "5", "-o", "cat", "--no-pager"]
    return _command.run(journal, timeout=30).stdout.strip()


def _do(verb: str, unit: str) -> None:
    try:
        _systemctl(verb, unit)
    except ReplicationError as error:
        raise ReplicationError(f"{error} {_last_words(unit)}") from error


def active(patterns: Sequence[str]) -> list[str]:
    """Instances of templates that run or are about to."""
    states = "--state=active,activating,reloading"
    listed = _systemctl("list-units", "--plain", "--no-legend", states, *patterns)
    return [line.split()[0] for line in listed.splitlines() if line.split()]


def stop(names: Sequence[str]) -> None:
    """Stop units, all at once; they start again with the host."""
    if names:
        _systemctl("stop", *names)


def kill(names: Sequence[str]) -> None:
    """Stop units on the spot, whatever their processes are about to do."""
    _systemctl("kill", "--signal=KILL", *names, check=False)
    stop(names)


def start(names: Sequence[str]) -> None:
    """Start units, all at once."""
    if names:
        _systemctl("start", *names)


def reload() -> None:
    """Have systemd read its files again."""
    _systemctl("daemon-reload")


def queue(names: Sequence[str]) -> None:
    """Have units started after what they wait for, which may be the caller."""
    _systemctl("start", "--no-block", *names)


def begin(names: Sequence[str]) -> None:
    """Have units started now and with the host, without waiting for them."""
    if not names:
        return
    later = [name for name, state in states(names).items() if not state.enabled]
    if later:
        _systemctl("enable", *later)
    queue(names)


def restart(name: str) -> None:
    """Restart a unit; whether it comes up is not waited for."""
    _do("restart", name)


def end_stale(
    wanted: Collection[str], check: bool, patterns: Sequence[str] = TEMPLATES
) -> list[str]:
    """End the instances of our templates that are not wanted; returns what was done."""
    gone = stale(_installed(patterns), wanted, patterns)
    if gone and not check:
        _systemctl("disable", "--now", *gone)
        _systemctl("reset-failed", *gone, check=False)
    return [f"stop {name}" for name in gone]


def ensure(
    units: Sequence[Unit],
    patterns: Sequence[str],
    check: bool,
    seconds: float = 60,
) -> list[str]:
    """Bring the units up in their order; returns what was done, or would be done."""
    names = [unit.name for unit in units]
    done = end_stale(names, check, patterns)
    found = states(names)
    if not check and any(state.needs_reload or not state.loaded for state in found.values()):
        reload()
        found = states(names)
    enable = [name for name, state in found.items() if not state.enabled]
    if enable:
        done += [f"enable {name}" for name in enable]
        if not check:
            _systemctl("enable", *enable)
    begun = []
    for unit in units:
        # One by one: a restart of Cyrus restarts what hangs on it.
        verb = action(states([unit.name])[unit.name], newest(unit.files))
        if not verb:
            continue
        done.append(f"{verb} {unit.name}")
        if check:
            continue
        _do(verb, unit.name)
        if unit.sockets:
            _wait([unit], seconds)
        else:
            begun.append(unit)
    _wait(begun, seconds)
    return done


def mark_running(check: bool) -> list[str]:
    """Mark a Cyrus that started before its unit had a guard; returns what was done.

    systemd runs the guard's other half at the end of a Cyrus that runs already, as soon as it has
    read the unit again. So only the mark of the start is missing, and no restart is needed for it.
    """
    if os.path.exists(_doubt.RUNNING) or not states([CYRUS])[CYRUS].active:
        return []
    if not check:
        _doubt.mark_running()
    return [f"mark {CYRUS} as running"]
