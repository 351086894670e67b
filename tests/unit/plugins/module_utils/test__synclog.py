# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A channel's log while Cyrus writes it and its client renames and unlinks it."""

from __future__ import annotations

import os
import pwd
import time
from contextlib import closing
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _synclog
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._synclog import SyncLog, Waiting
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
        ('USER "anna', {'"anna'}, set()),
    ],
)
def test_events(log: SyncLog, line: str, users: set[str], shared: set[str]) -> None:
    assert waiting(log, line + "\n") == (users, shared)
    assert waiting(log, f"USER first\n{line}\nUSER last\n") == (users | {"first", "last"}, shared)


def test_last_event_may_be_half_written(log: SyncLog) -> None:
    assert waiting(log, "USER anna\nMAILBOX user.be") == ({"anna", "be"}, set())


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


def quote(name: str) -> str:
    """As sync_quote_name of imap/sync_log.c does."""
    escaped = "".join("\\" + c if c in '\\"{}' else c for c in name)
    return f'"{escaped}"' if not name or set(name) & set('\\"{} \t()') else name


names = st.text('ab.^!@ \t\\"{}()%é\udcff\x85\x0b\x1c', max_size=8)


@pytest.fixture(scope="module")
def shared_log(tmp_path_factory: pytest.TempPathFactory) -> SyncLog:
    root = tmp_path_factory.mktemp("config")
    (root / FOLDER).mkdir(parents=True)
    return SyncLog(str(root), "imap2")


@given(st.lists(st.tuples(st.sampled_from(["USER", "META", "SEEN"]), names), max_size=6))
def test_names_come_back(shared_log: SyncLog, events: list[tuple[str, str]]) -> None:
    # A name whose bytes happen to be a longer character comes back as that.
    wanted = {name.encode("utf-8", "surrogateescape") for _kind, name in events}
    users, _shared = waiting(
        shared_log, "".join(f"{kind} {quote(name)}\n" for kind, name in events)
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
