# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is made of lost events, with the journal's answers given."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _doubt,
    _events,
    _journal,
    _state,
    _watch,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._reporter import Reporter
from ansible_collections.mailops.cyrus.plugins.module_utils._watch import Watch


class World:
    def __init__(self) -> None:
        self.now = 100.0
        self.said: list[str] = []
        self.asked: list[str | None] = []
        self.answer: tuple[list[str], str | None] | None = ([], "s=1")

    def monotonic(self) -> float:
        return self.now

    def say(self, text: str, failed: bool = False) -> None:
        self.said.append(text)

    def failed_log_writes(self, cursor: str | None, channel: str) -> tuple[list[str], str | None]:
        self.asked.append(cursor)
        if self.answer is None:
            raise ReplicationError("the journal is shut")
        return self.answer

    def look(self, watch: Watch) -> None:
        self.now += 60
        watch.look()

    def watch(self) -> Watch:
        return Watch("imap2", cast(Reporter, self))


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    world = World()
    (tmp_path / "imap2").mkdir()
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    monkeypatch.setattr(_doubt, "CHANNELS", str(tmp_path))
    monkeypatch.setattr(_journal, "failed_log_writes", world.failed_log_writes)
    monkeypatch.setattr(_watch, "time", world)
    return world


def doubted() -> str | None:
    doubt = _doubt.read("imap2")
    return doubt.reason if doubt else None


def test_where_nothing_was_lost_the_journal_is_read_on(world: World) -> None:
    watch = world.watch()
    world.look(watch)
    watch.look()
    world.look(world.watch())
    assert world.asked == [None, "s=1"]
    assert doubted() is None


def test_a_lost_event_is_a_doubt(world: World) -> None:
    world.answer = (["Cyrus lost an event"], "s=2")
    world.look(world.watch())
    assert doubted() == "Cyrus lost an event"
    assert len(world.said) == 1


def test_a_journal_that_cannot_be_read_is_a_doubt_told_once(world: World) -> None:
    watch = world.watch()
    world.answer = None
    world.look(watch)
    world.look(watch)
    assert len(world.said) == 1
    assert "the journal is shut" in str(doubted())
    world.answer = ([], "s=1")
    world.look(watch)
    assert len(world.asked) == 3


def test_what_is_left_of_a_cursor_is_not_used(world: World, tmp_path: Path) -> None:
    (tmp_path / "imap2" / "journal").write_bytes(bytes(122))
    world.look(world.watch())
    assert world.asked == [None]


def test_lines_that_are_no_events_are_one_doubt(world: World) -> None:
    lines = ["MAILBOX user.ann", *("junk" for _line in range(3))]
    assert [e.line for e in world.watch().readable(map(_events.read, lines))] == lines[:1]
    assert len(world.said) == 1
    assert "3 lines" in str(doubted())
