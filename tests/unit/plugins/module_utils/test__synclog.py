# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A channel's log while Cyrus writes it and its client renames and unlinks it."""

from __future__ import annotations

import fcntl
import os
import pwd
import signal
import sys
import time
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _events, _synclog
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._synclog import Owner, SyncLog, Waiting
from hypothesis import given
from hypothesis import strategies as st

FOLDER = "sync/imap2"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / FOLDER
    made.mkdir(parents=True)
    return made


@pytest.fixture
def log(tmp_path: Path, folder: Path) -> SyncLog:
    return SyncLog(str(tmp_path), "imap2")


def test_channel_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "sync").mkdir()
    (tmp_path / "sync/log").write_text("USER anna\n")
    assert SyncLog(str(tmp_path), None).backlog().entries == 1


# -- marks


def test_mark_is_passed_when_the_client_has_done_it(log: SyncLog, folder: Path) -> None:
    (folder / "log").write_text("USER anna\n")
    with closing(log.mark()) as mark:
        assert not mark.passed()
        (folder / "log").rename(folder / "log-run")
        assert not mark.passed()
        (folder / "log").write_text("USER ben\n")
        (folder / "log-run").unlink()
        assert mark.passed()
    with closing(log.mark()) as later:
        assert not later.passed()


def test_mark_waits_for_both_files(log: SyncLog, folder: Path) -> None:
    (folder / "log-run").write_text("USER anna\n")
    (folder / "log").write_text("USER ben\n")
    with closing(log.mark()) as mark:
        (folder / "log-run").unlink()
        assert not mark.passed()
        (folder / "log").rename(folder / "log-run")
        assert not mark.passed()
        (folder / "log-run").unlink()
        assert mark.passed()


def test_mark_of_an_empty_folder_is_passed(log: SyncLog, tmp_path: Path) -> None:
    assert log.mark().passed()
    assert SyncLog(str(tmp_path), "other").mark().passed()


def test_file_renamed_between_the_two_looks(
    log: SyncLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "log").write_text("USER anna\n")
    opened = _synclog._open

    def rename_then_open(path: str) -> object:
        if path.endswith("log-run"):
            (folder / "log").rename(folder / "log-run")
        return opened(path)

    monkeypatch.setattr(_synclog, "_open", rename_then_open)
    assert log.backlog().entries == 1
    monkeypatch.undo()
    assert log.waiting().users == {"anna"}


# -- backlog


def test_backlog(log: SyncLog, folder: Path) -> None:
    nothing = log.backlog()
    assert (nothing.entries, nothing.bytes, nothing.oldest) == (0, 0, None)
    (folder / "log").write_text("")
    assert log.backlog().oldest is None
    (folder / "log").write_text("USER anna\nMAILBOX user.ben\n")
    (folder / "log-run").write_text("USER eva\n")
    os.utime(folder / "log-run", (0, time.time() - 100))
    backlog = log.backlog()
    assert (backlog.entries, backlog.bytes) == (3, 36)
    assert backlog.oldest is not None
    assert 100 <= backlog.oldest < 160


def test_clock_that_was_set_back(log: SyncLog, folder: Path) -> None:
    (folder / "log").write_text("USER anna\n")
    os.utime(folder / "log", (0, time.time() + 1000))
    assert log.backlog().oldest == 0.0


def test_log_that_cannot_be_read(log: SyncLog, folder: Path) -> None:
    (folder / "log").symlink_to("log")
    with pytest.raises(ReplicationError, match=r"the sync log .*/sync/imap2/log cannot be read: "):
        log.backlog()


# -- what waits


def waiting(log: SyncLog, text: str) -> tuple[set[str], set[str]]:
    Path(log.folder, "log").write_bytes(text.encode("utf-8", "surrogateescape"))
    found = log.waiting()
    return set(found.users), set(found.shared)


@pytest.mark.parametrize(
    ("line", "users", "shared"),
    [
        ("USER anna", {"anna"}, set()),
        ("META o.hara", {"o.hara"}, set()),
        ("SIEVE anna", {"anna"}, set()),
        ("SEEN anna user.ben.Shared", {"anna"}, set()),
        ("SUB anna user.ben", {"anna"}, set()),
        ("UNUSER anna", {"anna"}, set()),
        ("MAILBOX user.anna.Sent", {"anna"}, set()),
        ("UNMAILBOX user.o^hara", {"o.hara"}, set()),
        ("RENAME user.anna.a user.ben.b", {"anna", "ben"}, set()),
        ("QUOTA user.anna", {"anna"}, set()),
        ("ANNOTATION ex.org!user.anna", {"anna@ex.org"}, set()),
        ("MAILBOX shared.info", set(), {"shared.info"}),
        ('ANNOTATION ""', set(), {""}),
        ('MAILBOX "user.anna.A folder"', {"anna"}, set()),
        ('USER "a b"', {"a b"}, set()),
        ('USER "a\\"b\\\\c"', {'a"b\\c'}, set()),
        ('MAILBOX "shared.\\{a\\}"', set(), {"shared.{a}"}),
        ("USER \udcff\udcfe", {"\udcff\udcfe"}, set()),
        # Only a line feed ends an event, and only spaces part its words.
        ("USER a\x0bb", {"a\x0bb"}, set()),
        ("USER a\x85b", {"a\x85b"}, set()),
        ("USER a\u2028b", {"a\u2028b"}, set()),
        ("USER a\u00a0b", {"a\u00a0b"}, set()),
        ("USER", set(), set()),
        ("", set(), set()),
        ('USER "anna', set(), set()),
        ("MAILBOX user.anMAILBOX user.ben", set(), set()),
    ],
)
def test_events(log: SyncLog, line: str, users: set[str], shared: set[str]) -> None:
    assert waiting(log, line + "\n") == (users, shared)
    assert waiting(log, f"USER first\n{line}\nUSER last\n") == (users | {"first", "last"}, shared)


def test_last_event_may_be_half_written(log: SyncLog) -> None:
    assert waiting(log, "USER anna\nMAILBOX user.be") == ({"anna"}, set())


def test_both_files_wait(log: SyncLog, folder: Path) -> None:
    (folder / "log-run").write_text("USER anna\n")
    (folder / "log").write_text("MAILBOX shared.info\n")
    found = log.waiting()
    assert found == Waiting(frozenset({"anna"}), frozenset({"shared.info"}))


def test_for_whom_something_waits() -> None:
    some = Waiting(frozenset({"anna"}), frozenset({"shared.info"})) | Waiting(frozenset({"ben"}))
    assert ("anna", "user.anna.Sent") in some
    assert ("ben", None) in some
    assert ("eva", "shared.info") not in some
    assert (None, "shared.info") in some
    assert (None, "shared.other") not in some
    assert (None, None) not in some
    assert (None, None) in (some | Waiting(shared=frozenset({""})))


names = st.text('ab.^!@ \t\\"{}()%é\udcff\x85\x0b\x1c', max_size=8)


@pytest.fixture(scope="module")
def shared_log(tmp_path_factory: pytest.TempPathFactory) -> SyncLog:
    root = tmp_path_factory.mktemp("config")
    (root / FOLDER).mkdir(parents=True)
    return SyncLog(str(root), "imap2")


@given(st.lists(st.tuples(st.sampled_from(["USER", "META", "UNUSER"]), names), max_size=6))
def test_names_come_back(shared_log: SyncLog, events: list[tuple[str, str]]) -> None:
    # A name whose bytes happen to be a longer character comes back as that.
    wanted = {name.encode("utf-8", "surrogateescape") for _kind, name in events}
    users, _shared = waiting(
        shared_log, "".join(f"{kind} {_events.quote(name)}\n" for kind, name in events)
    )
    assert {user.encode("utf-8", "surrogateescape") for user in users} == wanted


@given(st.binary(max_size=200))
def test_any_bytes_are_read(shared_log: SyncLog, data: bytes) -> None:
    Path(shared_log.folder, "log").write_bytes(data)
    shared_log.waiting()
    assert shared_log.backlog().bytes == len(data)


def test_file_of_somebody_else_is_found(tmp_path: Path) -> None:
    log = SyncLog(str(tmp_path), "imap2")
    me = pwd.getpwuid(os.geteuid()).pw_name
    assert log.foreign_file(me) is None
    os.makedirs(log.folder)
    assert log.foreign_file(me) is None
    assert log.foreign_file("nobody") == log.folder
    assert log.foreign_file("no such user") is None


# -- the owner


@pytest.fixture
def owner(tmp_path: Path, folder: Path) -> Owner:
    return Owner(str(tmp_path), "imap2")


def in_child(run: Callable[[], None]) -> int:
    """Start it in a process of its own."""
    child = os.fork()
    if child:
        return child
    try:
        run()
    except BaseException:
        os._exit(1)
    os._exit(0)


def status_of(child: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_log_is_taken_and_done(owner: Owner, folder: Path) -> None:
    assert owner.take() is None
    (folder / "log").write_text("USER anna\n")
    assert owner.take() == b"USER anna\n"
    assert os.listdir(folder) == ["log-run"]
    (folder / "log").write_text("USER ben\n")
    assert owner.take() == b"USER anna\n"
    owner.done()
    assert os.listdir(folder) == ["log"]
    assert owner.take() == b"USER ben\n"


def test_predecessors_log_comes_first(owner: Owner, folder: Path) -> None:
    (folder / "log-run").write_text("USER anna\n")
    (folder / "log").write_text("USER ben\n")
    with closing(owner.mark()) as mark:
        assert owner.take() == b"USER anna\n"
        owner.done()
        assert not mark.passed()
        assert owner.take() == b"USER ben\n"
        owner.done()
        assert mark.passed()
    assert owner.take() is None


def test_empty_files_are_passed_over(owner: Owner, folder: Path) -> None:
    (folder / "log-run").touch()
    (folder / "log").write_text("USER ben\n")
    assert owner.take() == b"USER ben\n"
    owner.done()
    (folder / "log-run").touch()
    (folder / "log").touch()
    assert owner.take() is None
    assert os.listdir(folder) == []


def test_channel_without_a_folder(tmp_path: Path) -> None:
    other = Owner(str(tmp_path), "other")
    assert other.take() is None
    with pytest.raises(ReplicationError, match="cannot be used: No such file"):
        other.append(["USER anna"])


def test_writer_that_had_the_log_open_is_waited_for(owner: Owner, folder: Path) -> None:
    (folder / "log").touch()
    ready, told = os.pipe()

    def slow_writer() -> None:
        with open(folder / "log", "ab") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(told, b".")
            time.sleep(0.1)
            file.write(b"USER anna\n")

    child = in_child(slow_writer)
    os.read(ready, 1)
    assert owner.take() == b"USER anna\n"
    assert status_of(child) == 0


def test_wait_for_a_lock_ends(owner: Owner, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_synclog, "_LOCK_SECONDS", 0.05)
    (folder / "log").write_text("USER anna\n")
    ready, told = os.pipe()

    def hold() -> None:
        with open(folder / "log", "ab") as file:
            fcntl.lockf(file, fcntl.LOCK_EX)
            os.write(told, b".")
            time.sleep(60)

    child = in_child(hold)
    os.read(ready, 1)
    with pytest.raises(ReplicationError, match=r"/log is locked for more than 0 s: end what"):
        owner.append(["USER ben"])
    with pytest.raises(ReplicationError, match=r"/log-run is locked for more than"):
        owner.take()
    os.kill(child, signal.SIGKILL)
    assert status_of(child) == -signal.SIGKILL
    assert owner.take() == b"USER anna\n"


def test_another_owner_is_noticed(owner: Owner, folder: Path) -> None:
    (folder / "log").write_text("USER anna\n")
    owner.take()
    (folder / "log-run").unlink()
    with pytest.raises(ReplicationError, match="log-run was taken away by another process: stop"):
        owner.done()
    (folder / "log").write_text("USER ben\n")
    owner.take()
    (folder / "log").write_text("USER eva\n")
    (folder / "log").rename(folder / "log-run")
    with pytest.raises(ReplicationError, match="taken away"):
        owner.done()
    assert owner.take() == b"USER eva\n"


def test_log_that_cannot_be_taken(owner: Owner, folder: Path) -> None:
    (folder / "log").mkdir()
    with pytest.raises(ReplicationError, match=r"/log-run cannot be used: Is a directory: check"):
        owner.take()


def test_events_are_added_to_what_waits(owner: Owner, folder: Path) -> None:
    owner.append([])
    assert os.listdir(folder) == []
    (folder / "log").write_text("USER first\n")
    owner.append(["USER anna", "USER \udcff"])
    assert owner.take() == b"USER first\nUSER anna\nUSER \xff\n"


def test_events_are_kept_apart_from_a_torn_one(owner: Owner, folder: Path) -> None:
    (folder / "log").write_text("USER an")
    owner.append(["USER ben"])
    assert owner.take() == b"USER an\nUSER ben\n"


def test_events_are_added_all_or_none(
    owner: Owner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "log").write_text("USER first\n")
    write = os.write

    def full(handle: int, data: bytes) -> int:
        if len(data) < 12:
            raise OSError(28, "No space left on device")
        return write(handle, data[:5])

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(ReplicationError, match="No space left on device: check"):
        owner.append(["USER anna", "USER ben"])
    assert (folder / "log").read_text() == "USER first\n"


def test_log_is_renamed_while_we_wait_for_it(
    owner: Owner, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    renames = iter([folder / "log-run", folder / "other"])
    lock = _synclog._lock

    def rename_then_lock(file: Any, path: str) -> None:
        target = next(renames, None)
        if target is not None:
            (folder / "log").rename(target)
        lock(file, path)

    monkeypatch.setattr(_synclog, "_lock", rename_then_lock)
    owner.append(["USER anna"])
    assert (folder / "log").read_text() == "USER anna\n"
    assert (folder / "log-run").read_text() == ""


WRITERS = 3
EVENTS = 120


def write_as_cyrus_does(path: Path, line: bytes) -> None:
    """sync_log_base of imap/sync_log.c, but for a pause inside a line."""
    while True:
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o640)
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX)
            try:
                current = os.fstat(handle).st_ino == os.stat(path).st_ino
            except FileNotFoundError:
                current = False
            if current:
                for part in (line[:7], line[7:]):
                    os.write(handle, part)
                    time.sleep(0.001)
                return
        finally:
            os.close(handle)


def killed_at(step: int) -> Callable[[FrameType, str, Any], Any]:
    """A trace function that ends the process before the library's n-th line."""
    left = step

    def trace(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        if frame.f_code.co_filename != _synclog.__file__:
            return None
        if event == "line":
            left -= 1
            if not left:
                os.kill(os.getpid(), signal.SIGKILL)
        return trace

    return trace


def test_nothing_is_lost_wherever_the_owner_is_killed(owner: Owner, folder: Path) -> None:
    """Writers go on all the time; the owner is killed before each of its lines in turn."""
    replica = folder.parent / "replica"

    def work() -> None:
        for _turn in range(3):
            content = owner.take()
            if content is not None:
                with open(replica, "ab", buffering=0) as file:
                    file.write(content)
                owner.done()

    def work_until(step: int) -> None:
        sys.settrace(killed_at(step))
        work()

    def write(writer: int) -> None:
        for event in range(EVENTS):
            write_as_cyrus_does(folder / "log", b"MAILBOX user.u%d.%d\n" % (writer, event))

    writers = [in_child(partial(write, writer)) for writer in range(WRITERS)]
    kills = 0
    while status_of(in_child(partial(work_until, kills + 1))) == -signal.SIGKILL:
        kills += 1
    assert kills > 50
    assert [status_of(child) for child in writers] == [0] * WRITERS
    work()
    assert owner.take() is None
    lines = replica.read_bytes().splitlines(keepends=True)
    assert set(lines) == {
        b"MAILBOX user.u%d.%d\n" % (writer, event)
        for writer in range(WRITERS)
        for event in range(EVENTS)
    }
