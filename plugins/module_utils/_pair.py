# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One pair of master and replica, checked from beginning to end: what cannot be reached or
understood becomes an unknown in the report, never an error that hides the rest."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, replace
from typing import Any

from . import _endpoints, _report
from ._check import Check, Findings, Progress, Side
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._install import Install
from ._look import Unknown
from ._report import Subject
from ._session import Session
from ._state import timestamp
from ._store import NAMELESS
from ._synclog import SyncLog
from ._touched import Touched
from ._wire import Endpoint


@dataclass(frozen=True)
class Pair:
    """What to compare, and where. `log` is the channel's log, None where it is not on this host;
    `settle` is how many seconds the replica may take to catch up."""

    subject: Subject
    master: Endpoint
    replica: Endpoint
    log: SyncLog | None
    settle: float


def pair_of(options: Mapping[str, Any]) -> Pair:
    """From the options of the module parity_info; what they leave out is as setup has made it."""
    names = options["master"]["name"], options["replica"]["name"]
    channel = options["channel"]
    if not 0 <= options["settle"] < math.inf:
        raise ReplicationError("settle has to be a number of seconds, 0 or more")
    install = None if channel is None else Install.discover()
    return Pair(
        Subject(options["store"], *names, options["level"], options["epoch"]),
        _master(options["master"]),
        _replica(options["replica"], channel, install),
        _log(install, channel) if install and channel is not None else None,
        options["settle"],
    )


def _log(install: Install, channel: str) -> SyncLog:
    """The channel's log; a channel that nobody writes would look as if nothing waited."""
    logged = install.setting("sync_log_channels", NAMELESS).split()
    if not switch(install.setting("sync_log", "no")):
        raise ReplicationError(
            "this host has sync_log off in imapd.conf: it logs to no channel, so leave the channel "
            "out or turn sync_log on"
        )
    if (channel or NAMELESS) not in logged:
        raise ReplicationError(
            f"this host logs to the channels {' '.join(logged)}, not to {channel or NAMELESS}: "
            "give one of them"
        )
    return SyncLog(install.config_directory, channel)


def _master(given: Mapping[str, Any]) -> Endpoint:
    return Endpoint(**given) if given["path"] or given["host"] else _endpoints.local(given["name"])


def _replica(given: Mapping[str, Any], channel: str | None, install: Install | None) -> Endpoint:
    settings = install.settings if install else {}
    if not given["path"] and not given["host"]:
        return _endpoints.reading(_endpoints.read_store(), given["name"], settings)
    endpoint = Endpoint(**given)
    if endpoint.user is None and channel is not None:
        user, password = _endpoints.login(channel, settings)
        endpoint = replace(endpoint, user=user, password=password)
    return endpoint


def check(pair: Pair, progress: Progress, touched: Touched | None = None) -> dict[str, Any]:
    """The document of the contract; of what was touched, where that is given."""
    begun = time.time()
    started = timestamp(begun)
    clock = time.monotonic()
    try:
        findings = _compare(pair, progress, touched)
    except ReplicationError as error:
        findings = Findings(unknown=[Unknown("store", str(error))])
    return _report.document(pair.subject, findings, started, time.monotonic() - clock)


def _compare(pair: Pair, progress: Progress, touched: Touched | None) -> Findings:
    with closing(Session(pair.master)) as master, closing(Session(pair.replica)) as replica:
        if master.is_same_server(replica):
            raise ReplicationError(
                f"{pair.master.name} and {pair.replica.name} lead to the same server: give each "
                "its own address"
            )
        sides = (
            Side(pair.master.name, master, _listing(pair.master, master)),
            Side(pair.replica.name, replica, _listing(pair.replica, replica)),
        )
        log, unread = _readable(pair.log)
        level = pair.subject.level
        findings = Check(*sides, level, log, pair.settle, progress, touched).run()
        findings.unknown += unread
        return findings


def _readable(log: SyncLog | None) -> tuple[SyncLog | None, list[Unknown]]:
    """A log that can't be read hides what is on its way, and nothing else."""
    try:
        if log is not None:
            log.mark().close()
    except ReplicationError as error:
        return None, [Unknown("channel", str(error))]
    return log, []


def _listing(endpoint: Endpoint, session: Session) -> Callable[[], Iterable[str]]:
    """IMAP lists mailboxes; csync has no such request, so its server's own list is read, which
    can only be done on the server itself."""
    if endpoint.transport == "imap":
        return session.listing
    if not endpoint.path:
        raise ReplicationError(
            f"{endpoint.name}: mailboxes can't be listed over csync from another host: give the "
            "transport imap with an admin's login"
        )
    install = Install.discover()
    return lambda: (entry.name for entry in install.mailboxes() if not _is_remote(entry.type))


def _is_remote(kind: str) -> bool:
    """Whether another server of a Murder holds the mailbox; a number up to 3.2, then letters."""
    return bool(int(kind) & 1) if kind.isdigit() else "r" in kind
