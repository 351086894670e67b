# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Postfix on this host: its files, its processes, its queue."""

from __future__ import annotations

import glob
import json
import os
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from . import _command, _files, _postfix_conf, _postfix_resolve
from ._errors import ReplicationError
from ._holds import Hold
from ._sever import sever

_TABLE = "cyrus-held.regexp"
_SECONDS = 60.0
_PAUSE = 0.1
# The queue manager runs always, and a new one runs once the files have been read again.
_MANAGER = "qmgr"


@dataclass(frozen=True)
class Process:
    """A process of Postfix and the service that it serves."""

    pid: int
    started: int
    service: str


def processes(master: int) -> Iterator[Process]:
    """What Postfix's master has started."""
    for path in glob.glob("/proc/[0-9]*"):
        try:
            # The name before ")" may hold anything.
            fields = _files.read(f"{path}/stat").rpartition(")")[2].split()
            words = _files.read(f"{path}/cmdline").split("\0")
        except OSError:
            continue
        if len(fields) > 19 and int(fields[1]) == master:
            # A service that bears its program's name is not named again.
            service = words[words.index("-n") + 1] if "-n" in words else words[0]
            yield Process(int(os.path.basename(path)), int(fields[19]), service)


def recipients(listing: str) -> Iterator[list[str]]:
    """The recipients of each message of `postqueue -j`."""
    for line in listing.splitlines():
        yield [recipient["address"] for recipient in json.loads(line)["recipients"]]


class Postfix:
    """The instance that `postfix` means without further words."""

    name = "postfix"
    dead: Sequence[str] = ()

    def __init__(self) -> None:
        names = ("config_directory", "queue_directory")
        told = self._run("postconf", "-h", *names).splitlines()
        if len(told) != len(names):
            raise ReplicationError(
                "postconf does not name Postfix's directories: run postfix check"
            )
        self._config, self._queue = told
        self._table = os.path.join(self._config, _TABLE)

    def _run(self, *cmd: str) -> str:
        done = _command.run(list(cmd), _SECONDS)
        if done.rc != 0:
            raise ReplicationError(f"{' '.join(cmd)} failed: {done.stderr.strip()}")
        return done.stdout

    def _path(self, name: str) -> str:
        return os.path.join(self._config, name)

    # -- what there is

    def _master(self) -> int:
        try:
            return int(_files.read(os.path.join(self._queue, "pid/master.pid")) or 0)
        except (OSError, ValueError):
            return 0

    def require_running(self) -> None:
        """Refuse a Postfix that does not run."""
        if _command.run(["postfix", "status"], _SECONDS).rc != 0:
            raise ReplicationError("Postfix does not run on this host: start it")

    def refuse(self, hold: Hold) -> None:
        """Refuse a transport that master.cf does not have."""
        text = _postfix_conf.site(_files.read(self._path("master.cf")), "master.cf")
        known = _postfix_conf.services(text)
        for name in hold.transports:
            if name not in known:
                raise ReplicationError(
                    f"{self._path('master.cf')} has no transport {name}: correct "
                    "cyrus_mta_transports, or give the store a transport of its own"
                )

    def check_files(self) -> None:
        """Refuse files that Postfix would not start with."""
        # `postfix check` would also look at every file of the queue's directory, for seconds.
        self._run("postconf", "-n")
        self._run("postconf", "-M")

    def files(self, holds: Sequence[Hold]) -> Mapping[str, str | None]:
        """Its files while these are held."""
        main, master = self._path("main.cf"), self._path("master.cf")
        return {
            self._table: _postfix_conf.table(holds),
            master: _postfix_conf.master_cf(_files.read(master), holds),
            main: _postfix_conf.main_cf(_files.read(main), holds, self._table),
        }

    def _resolve(self, addresses: Iterable[str]) -> dict[str, str]:
        return _postfix_resolve.transports(self._queue, addresses)

    def agents(self, hold: Hold) -> Sequence[str]:
        """The transports, and those that the domains' mail takes."""
        taken = self._resolve(f"postmaster@{domain}" for domain in hold.domains)
        return sorted({*hold.transports, *taken.values()})

    def holds(self, hold: Hold) -> bool:
        """Whether all that is meant would be deferred."""
        taken = self._resolve(f"postmaster@{domain}" for domain in hold.domains)
        if any(transport != _postfix_conf.DEFERRING for transport in taken.values()):
            return False
        # Only what the file says is asked here; that it was read, a reload has shown.
        told = (self._run("postconf", "-M", f"{name}/unix") for name in hold.transports)
        return all(" pipe" in line and "exit 75" in line for line in told)

    def queued(self, hold: Hold) -> int:
        """Messages with a recipient that is meant."""
        try:
            messages = list(recipients(self._run("postqueue", "-j")))
        except (ValueError, KeyError, TypeError) as error:
            raise ReplicationError(f"postqueue -j can't be understood: {error}") from error
        if hold.transports:
            taken = self._resolve(address for message in messages for address in message)
        else:
            taken = {}
        return sum(any(_meant(address, taken, hold) for address in message) for message in messages)

    # -- what is done

    def reload(self, hold: Hold, deadline: float) -> None:
        """Let Postfix read its files; wait for those who were at work with the old ones."""
        master = self._master()
        services = {_MANAGER, *hold.agents}
        old = {one for one in processes(master) if one.service in services}
        self._run("postfix", "reload")
        while left := _left(old, processes(master)):
            if time.monotonic() > deadline:
                names = ", ".join(f"{one.service} ({one.pid})" for one in left)
                raise ReplicationError(
                    f"Postfix is still handing over mail that it began with before: {names}; "
                    "run it again, or give it more time"
                )
            sever(self.dead)
            time.sleep(_PAUSE)

    def flush(self, hold: Hold, others: Sequence[Hold]) -> None:
        """Try everything at once, also what waits for its next turn."""
        self._run("postqueue", "-f")


def _left(old: Collection[Process], now: Iterable[Process]) -> list[Process]:
    return sorted(set(old) & set(now), key=lambda one: one.pid)


def _meant(address: str, taken: Mapping[str, str], hold: Hold) -> bool:
    domain = address.rpartition("@")[2].lower()
    return domain in hold.domains or taken.get(address) in hold.transports
