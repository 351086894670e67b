# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Who was touched on a master, and when: from a log channel of its own that nobody replicates.

A replication log does not show what was dropped from it, so what has to be equal on a replica is
taken from here. Cyrus writes each event to this log before those of the replicas; it is merged into
one entry for each user, shared mailbox and quota root. The merged file says since when it is
complete: from a moment at which every running process of Cyrus had read an imapd.conf that names
this channel, and after which no event is known to be lost.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field, fields

from . import _channel, _events, _files, _journal, _proc, _role, _state
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._install import USER, Install
from ._store import AUDIT
from ._synclog import Owner, SyncLog
from ._touched import Touched

PATH = f"{_role.STATE_DIR}/audit.json"
_LOCK = f"{_role.STATE_DIR}/audit.lock"
_LOCK_SECONDS = 30.0
_LOCK_PAUSE = 0.05

# A clock may be set by as much as this without anybody being left out, in seconds.
_MARGIN = 300.0
# A process may have been started so long before it reads imapd.conf, and the two times may be so
# far apart for the sake of their grain.
_STARTING, _GRAIN = 1.0, 0.02
# These log no events, and some of them live as long as cyrmaster.
_SILENT = {"idled", "master", "notifyd", "promstatsd", "ptloader"}


@dataclass
class Audit:
    """The document audit.json. Times are seconds since 1970 and never go back.

    It is complete since `since`, which is what `because` says, unless there is `trouble` now.
    `touched` has the last time of each name by its scope. `verified` is when no process was
    running that had read another imapd.conf than the one of `conf`.
    """

    since: float | None = None
    because: str = "nobody has kept it"
    trouble: str | None = None
    verified: float = 0.0
    conf: list[int] = field(default_factory=list)
    cursor: str | None = None
    clock: float = 0.0
    touched: dict[str, dict[str, float]] = field(default_factory=dict)

    def now(self) -> float:
        """The time, which does not go back with the machine's."""
        self.clock = max(self.clock, time.time())
        return self.clock

    def open(self, because: str) -> None:
        """What happened before now may not all be known."""
        self.since, self.because = self.now(), because

    def close(self, because: str) -> None:
        self.since, self.because = None, because

    def _add(self, event: _events.Event, now: float) -> None:
        for target in _events.targets(event):
            user = None if target.scope == "quota" else _events.owner(target)
            scope, name = target if user is None else ("user", user)
            self.touched.setdefault(scope, {})[name] = now

    def merge(self, events: Iterable[_events.Event]) -> None:
        now = self.now()
        for event in events:
            self._add(event, now)
            if event.kind == _events.UNKNOWN:
                self.open(f"the sync log had a line that is no event, {event.line[:80]!r}")

    def forget(self, before: float) -> None:
        """Nobody will ask for what was before that."""
        if self.since is not None and before > self.since:
            self.since, self.because = before, "what was touched before is not kept"
        self.touched = {
            scope: kept
            for scope, names in self.touched.items()
            if (kept := {name: at for name, at in names.items() if at >= before - _MARGIN})
        }


def collect() -> None:
    """Merge what was logged since the last time, as root. On hosts that are no master, nothing."""
    with _alone():
        record = _role.read()
        if record is None or record.role != "master":
            with contextlib.suppress(FileNotFoundError):
                os.unlink(PATH)
            return
        audit = _examined()
        audit.forget(_oldest_check())
        log = Owner(Install.discover().config_directory, AUDIT)
        # What somebody left who was cut off, then the log.
        for _file in range(2):
            taken = log.hold()
            if taken is not None:
                audit.merge(_events.stream(taken))
            _save(audit)
            if taken is None:
                return
            log.done()


def touched_since(started: str) -> Touched:
    """What was touched since a time (ISO 8601, UTC), what waits in the log included; an error that
    says why that is not known. Changes nothing."""
    log = SyncLog(Install.discover().config_directory, AUDIT)
    with contextlib.ExitStack() as stack:
        # Before the document: what is collected meanwhile is found in either.
        waiting = [stack.enter_context(file) for file in log.files()]
        audit, begun = _examined(), _state.seconds(started)
        for file in waiting:
            audit.merge(_events.stream(file))
    if audit.trouble is not None:
        raise ReplicationError(f"who was touched is not known now: {audit.trouble}")
    if audit.since is None or begun < audit.since:
        since = "" if audit.since is None else f" before {_state.timestamp(audit.since)}"
        raise ReplicationError(f"who was touched{since} is not known: {audit.because}")
    if begun > audit.clock:
        raise ReplicationError(
            f"who was touched since {started} is not known: the clock was set back since"
        )

    def names(scope: str) -> frozenset[str]:
        found = audit.touched.get(scope, {})
        return frozenset(name for name, at in found.items() if at >= begun - _MARGIN)

    return Touched(names("user"), names("mailbox"), names("quota"), bool(names("server")))


def _examined() -> Audit:
    """The document as it is, and whether it is complete until now."""
    audit, begun, install = _load(), time.time(), Install.discover()
    audit.trouble = None
    audit.now()
    _verify(audit, begun, install)
    _look_for_losses(audit)
    return audit


def _verify(audit: Audit, begun: float, install: Install) -> None:
    """Whether all that runs logs to the channel; imapd.conf was read after `begun`."""
    foreign = SyncLog(install.config_directory, AUDIT).foreign_file(USER)
    if foreign:
        audit.close(f"{foreign} did not belong to {USER}")
        audit.trouble = f"{foreign} does not belong to {USER}: Cyrus can't log to it"
        return
    if AUDIT not in install.setting("sync_log_channels").split() or not switch(
        install.setting("sync_log", "no")
    ):
        audit.close(f"{install.imapd_conf} did not name the channel {AUDIT}")
        audit.trouble = f"{install.imapd_conf} does not name the channel {AUDIT}: run setup"
        audit.verified = 0.0
        return
    # Not its mtime: a file may be put in place some time after it was written.
    status = os.stat(install.imapd_conf)
    conf = [status.st_ino, status.st_ctime_ns]
    if conf != audit.conf:
        older = _older(audit.verified - _STARTING, status.st_ctime + _GRAIN)
        if older:
            audit.close("a process of Cyrus was older than imapd.conf")
            audit.trouble = f"{older} may be older than {install.imapd_conf}: restart Cyrus"
            return
        audit.open(f"{install.imapd_conf} was changed" if audit.conf else audit.because)
        audit.conf = conf
    elif audit.since is None:
        audit.open(f"until then {audit.because}")
    audit.verified = begun


def _older(after: float, until: float) -> str:
    """The processes that may have read an imapd.conf which was there between two moments."""
    return ", ".join(
        str(process)
        for process in _proc.running()
        if process.program not in _SILENT and after < _proc.started(process) <= until
    )


def _look_for_losses(audit: Audit) -> None:
    try:
        lost, audit.cursor = _journal.failed_log_writes(audit.cursor, AUDIT, deaths=True)
    except ReplicationError as error:
        # It is read from the same place at the next look.
        audit.trouble = audit.trouble or str(error)
        return
    if lost and audit.since is not None:
        audit.open(lost[-1])


def _oldest_check() -> float:
    """When the oldest of the channels' comparisons began that somebody may ask about."""
    checks = []
    for channel in _channel.names():
        with contextlib.suppress(ReplicationError):
            checks.append(_state.seconds(_channel.last_full_check(channel)))
    return min(checks, default=0.0)


@contextlib.contextmanager
def _alone() -> Iterator[None]:
    """The log has one owner."""
    end = time.monotonic() + _LOCK_SECONDS
    try:
        lock = os.open(_LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ReplicationError(
            f"{_LOCK} can't be locked ({error.strerror}): run setup on this host"
        ) from None
    try:
        while True:
            with contextlib.suppress(BlockingIOError):
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            if time.monotonic() > end:
                raise ReplicationError(f"{_LOCK} is locked for more than {_LOCK_SECONDS:.0f} s")
            time.sleep(_LOCK_PAUSE)
        yield
    finally:
        os.close(lock)


def _save(audit: Audit) -> None:
    try:
        _files.write(PATH, json.dumps(asdict(audit), sort_keys=True) + "\n", 0o640)
    except OSError as error:
        raise ReplicationError(
            f"{PATH} can't be written ({error.strerror}): make room or restore it"
        ) from error


def _load() -> Audit:
    """What is there; one that is damaged begins anew, and so says nothing of what was before."""
    try:
        text = _files.read(PATH)
        loaded = json.loads(text) if text else {}
        known = {item.name for item in fields(Audit)}
        audit = Audit(**{key: value for key, value in loaded.items() if key in known})
        numbers = [audit.verified, audit.clock, audit.since or 0.0]
        numbers += [at for names in audit.touched.values() for at in names.values()]
        if not all(isinstance(number, (int, float)) for number in numbers):
            raise ValueError("a time is no number")
        return audit
    except (ValueError, TypeError, AttributeError) as error:
        return Audit(because=f"{PATH} was damaged ({error})")
    except OSError as error:
        raise ReplicationError(f"{PATH} can't be read: {error.strerror}") from error
