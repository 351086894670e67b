# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who was touched, and above all when that is not known."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _audit,
    _channel,
    _files,
    _journal,
    _proc,
    _role,
    _state,
    _synclog,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._proc import Process
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._touched import Touched

HOUR = 3600.0


def process(pid: int, program: str, started: float) -> tuple[Process, float]:
    return Process(pid, 0, program, None, "", ()), started


class Master:
    """A master whose clock, processes and journal are as a test wants them."""

    def __init__(self, root: Path) -> None:
        self.log = root / "sync/audit/log"
        self.log.parent.mkdir(parents=True)
        self.path = root / "audit.json"
        self.conf = root / "imapd.conf"
        self.settings = {"sync_log": "1", "sync_log_channels": "audit imap2"}
        self.role = "master"
        self.processes: list[tuple[Process, float]] = []
        self.lost: list[str] = []
        self.journal_trouble: str | None = None
        self.checks: dict[str, str] = {}
        self.configure()
        # Ahead of all that was done before.
        self.clock = int(time.time()) + HOUR

    def configure(self) -> None:
        self.conf.write_text("changed")

    def write(self, *lines: str) -> None:
        with self.log.open("a") as file:
            file.writelines(f"{line}\n" for line in lines)

    def collect(self, *lines: str) -> None:
        if lines:
            self.write(*lines)
        _audit.collect()

    def stamp(self, seconds: float = 0.0) -> str:
        return _state.timestamp(self.clock + seconds)

    def why(self, seconds: float = 0.0) -> str:
        with pytest.raises(ReplicationError) as caught:
            _audit.touched_since(self.stamp(seconds))
        return str(caught.value)

    # -- what the audit asks

    def record(self) -> Record:
        return Record("store1", "imap1", self.role, "imap1", 3, "2026-11-01T10:00:00Z")

    def install(self) -> Any:
        return SimpleNamespace(
            config_directory=str(self.log.parents[2]),
            imapd_conf=str(self.conf),
            setting=lambda name, default="": self.settings.get(name, default),
        )

    def failed(self, cursor: Any, channel: str, deaths: bool) -> tuple[list[str], str]:
        assert (channel, deaths) == ("audit", True)
        if self.journal_trouble:
            raise ReplicationError(self.journal_trouble)
        return self.lost, f"{cursor}+"

    def check(self, channel: str) -> str:
        if channel not in self.checks:
            raise ReplicationError("never")
        return self.checks[channel]


@pytest.fixture
def master(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Master:
    made = Master(tmp_path)
    monkeypatch.setattr(_audit, "PATH", str(made.path))
    monkeypatch.setattr(_audit, "_LOCK", str(tmp_path / "audit.lock"))
    monkeypatch.setattr(_audit, "_LOCK_SECONDS", 0.1)
    monkeypatch.setattr(_audit, "USER", "no such user")
    monkeypatch.setattr(_role, "read", made.record)
    monkeypatch.setattr(Install, "discover", made.install)
    monkeypatch.setattr(_journal, "failed_log_writes", made.failed)
    monkeypatch.setattr(_proc, "running", lambda: [process for process, _since in made.processes])
    monkeypatch.setattr(_proc, "started", lambda process: dict(made.processes)[process])
    monkeypatch.setattr(_channel, "names", lambda: {"imap2": "imap2", "imap3": "imap3"})
    monkeypatch.setattr(_channel, "last_full_check", made.check)
    monkeypatch.setattr(
        _audit, "time", SimpleNamespace(time=lambda: made.clock, monotonic=time.monotonic, sleep=id)
    )
    return made


@pytest.fixture
def opened(master: Master) -> Master:
    """An hour after the audit was opened."""
    master.collect()
    master.clock += HOUR
    return master


# -- what was touched


def test_each_event_s_own(opened: Master) -> None:
    opened.collect(
        "MAILBOX user.anna.Sent",
        "META ben",
        "MAILBOX shared.x",
        "RENAME user.carl^x.A user.carl^x.B",
        "QUOTA user.dora",
        'ANNOTATION ""',
        'UNMAILBOX "DELETED.user.emil.5f3a9c12"',
    )
    assert _audit.touched_since(opened.stamp()) == Touched(
        frozenset({"anna", "ben", "carl.x", "emil"}),
        frozenset({"shared.x"}),
        frozenset({"user.dora"}),
        True,
    )
    assert not opened.log.exists()
    assert not opened.log.with_name("log-run").exists()


def test_only_what_came_later(opened: Master) -> None:
    opened.collect("USER anna")
    opened.clock += HOUR
    opened.collect("USER ben")
    assert _audit.touched_since(opened.stamp()).users == {"ben"}
    assert _audit.touched_since(opened.stamp(-HOUR)).users == {"anna", "ben"}


def test_a_clock_that_was_set_leaves_nobody_out(opened: Master) -> None:
    check = opened.stamp()
    opened.clock -= 200
    opened.collect("USER anna")
    opened.clock += 205
    opened.collect()
    assert _audit.touched_since(check).users == {"anna"}


def test_a_time_that_has_not_come_yet(opened: Master) -> None:
    opened.collect()
    assert "the clock was set back since" in opened.why(10)


def test_what_waits_counts_and_stays(opened: Master) -> None:
    before = opened.path.read_text()
    opened.write("USER anna")
    opened.log.with_name("log-run").write_text("USER ben\n")
    assert _audit.touched_since(opened.stamp()).users == {"anna", "ben"}
    assert opened.path.read_text() == before
    assert opened.log.exists()


def test_killed_at_any_point(opened: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    def cut(owner: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(_audit, "_save", cut)
        with pytest.raises(KeyboardInterrupt):
            opened.collect("USER anna")
    with monkeypatch.context() as patch:
        patch.setattr(_synclog.Owner, "done", cut)
        with pytest.raises(KeyboardInterrupt):
            opened.collect("USER ben")
    opened.collect()
    assert _audit.touched_since(opened.stamp()).users == {"anna", "ben"}


def test_nothing_is_kept_that_nobody_asks_for(opened: Master) -> None:
    opened.collect("USER anna")
    opened.clock += HOUR
    opened.checks["imap2"] = opened.stamp()
    opened.collect("USER ben", "MAILBOX shared.x")
    assert set(json.loads(opened.path.read_text())["touched"]) == {"user", "mailbox"}
    assert "not kept" in opened.why(-HOUR)
    opened.clock += HOUR
    opened.checks["imap3"] = opened.stamp()
    opened.collect("USER carl")
    assert _audit.touched_since(opened.checks["imap2"]).users == {"ben", "carl"}
    assert _audit.touched_since(opened.checks["imap3"]).users == {"carl"}


# -- since when it is known


def test_when_a_process_was_started() -> None:
    with open("/proc/self/stat", encoding="utf-8") as stat:
        since = int(stat.read().rpartition(")")[2].split()[19])
    found = _proc.started(Process(os.getpid(), since, "imapd", None, "", ()))
    assert os.stat("/proc/self").st_ctime - 60 * HOUR < found <= time.time()


def test_before_it_was_opened(master: Master) -> None:
    master.collect("USER anna")
    assert "nobody has kept it" in master.why(-1)
    assert _audit.touched_since(master.stamp()).users == {"anna"}


def test_never_collected(master: Master) -> None:
    assert master.why(-1).endswith("is not known: nobody has kept it")
    assert not master.path.exists()


def test_a_process_that_has_read_an_older_imapd_conf(master: Master) -> None:
    changed = os.stat(master.conf).st_ctime
    old = process(7, "imapd", changed - 5)
    master.processes = [old, process(1, "master", changed - 9), process(8, "lmtpd", changed + 5)]
    master.collect()
    assert master.why() == (
        "who was touched is not known now: imapd (process 7) may be older than "
        f"{master.conf}: restart Cyrus"
    )
    master.clock += HOUR
    master.processes.remove(old)
    master.collect()
    assert _audit.touched_since(master.stamp()) == Touched()
    assert "a process of Cyrus was older than imapd.conf" in master.why(-1)


def test_a_change_of_imapd_conf_opens_it_anew(opened: Master) -> None:
    # Has read the file as it was when it was last seen to be good.
    opened.processes = [process(7, "imapd", opened.clock - 2 * HOUR)]
    opened.conf.unlink()
    opened.configure()
    opened.collect()
    assert f"{opened.conf} was changed" in opened.why(-1)
    assert _audit.touched_since(opened.stamp()) == Touched()


def test_a_process_of_the_time_between_two_changes(opened: Master) -> None:
    state = json.loads(opened.path.read_text())
    state["verified"] = os.stat(opened.conf).st_ctime - 60
    opened.path.write_text(json.dumps(state))
    opened.conf.unlink()
    opened.configure()
    opened.processes = [process(7, "imapd", state["verified"] + 30)]
    opened.collect()
    assert "imapd (process 7) may be older" in opened.why()


@pytest.mark.parametrize(
    ("key", "value"), [("sync_log", "no"), ("sync_log_channels", "imap2 imap3")]
)
def test_nothing_is_logged(opened: Master, key: str, value: str) -> None:
    before = opened.settings[key]
    opened.settings[key] = value
    opened.collect()
    assert opened.why() == (
        f"who was touched is not known now: {opened.conf} does not name the channel audit: "
        "run setup"
    )
    opened.clock += HOUR
    opened.settings[key] = before
    opened.collect()
    assert "did not name the channel audit" in opened.why(-1)
    assert _audit.touched_since(opened.stamp()) == Touched()


def test_a_log_that_cyrus_can_t_write(opened: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_synclog.SyncLog, "foreign_file", lambda self, user: "/x/log")
    opened.collect()
    assert "/x/log does not belong to" in opened.why()


def test_a_lost_event(opened: Master) -> None:
    opened.collect()
    opened.lost = ["Cyrus lost an event"]
    opened.clock += HOUR
    opened.collect()
    opened.lost = []
    opened.clock += HOUR
    opened.collect()
    assert opened.why(-2 * HOUR).endswith("Cyrus lost an event")
    assert _audit.touched_since(opened.stamp(-HOUR)) == Touched()


def test_a_journal_that_can_t_be_read_just_now(opened: Master) -> None:
    opened.journal_trouble = "the journal can't be read"
    opened.collect("USER anna")
    assert opened.why() == "who was touched is not known now: the journal can't be read"
    opened.journal_trouble = None
    opened.collect()
    assert _audit.touched_since(opened.stamp()).users == {"anna"}


def test_a_line_that_is_no_event(opened: Master) -> None:
    opened.collect("USER anna", "NONSENSE")
    assert "a line that is no event, 'NONSENSE'" in opened.why(-1)


@pytest.mark.parametrize(
    "text", ["{", "[]", '{"since": "x"}', '{"touched": []}', '{"touched": {"user": {"a": "b"}}}']
)
def test_damage(opened: Master, text: str) -> None:
    opened.path.write_text(text)
    assert "was damaged" in opened.why(-1)
    opened.collect()
    assert "was damaged" in opened.why(-1)
    assert _audit.touched_since(opened.stamp()) == Touched()


def test_a_replica_keeps_nothing(opened: Master) -> None:
    opened.role = "replica"
    opened.collect("USER anna")
    assert not opened.path.exists()
    assert opened.log.exists()
    opened.collect()


def test_one_at_a_time(opened: Master) -> None:
    with _audit._alone(), pytest.raises(ReplicationError, match="is locked"):
        opened.collect()


def test_no_room(opened: Master, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(_files, "write", full)
        with pytest.raises(ReplicationError, match="make room"):
            opened.collect("USER anna")
    opened.collect()
    assert _audit.touched_since(opened.stamp()).users == {"anna"}
