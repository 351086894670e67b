# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Into quarantine and out of it, with the log and the registry as files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _advice, _diagnosis, _events
from ansible_collections.mailops.cyrus.plugins.module_utils._batch import Batch
from ansible_collections.mailops.cyrus.plugins.module_utils._client import Outcome
from ansible_collections.mailops.cyrus.plugins.module_utils._diagnosis import Diagnosis
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Event, Target
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import (
    ADMINISTRATOR,
    REPLICATOR,
    Quarantine,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._room import StalledError
from ansible_collections.mailops.cyrus.plugins.module_utils._synclog import Owner
from ansible_collections.mailops.cyrus.plugins.module_utils._ward import Ward

SENT = Target("mailbox", "user.ann.Sent")


class World:
    """Everything round a ward that is not a file."""

    def __init__(self, folder: Path) -> None:
        self.stalled = False
        self.said: list[str] = []
        self.checked: list[tuple[str, int]] = []
        self.unproven: dict[Target, str] = {}
        self.tried: list[str] = []
        self.meanwhile: Callable[[], object] = lambda: None
        (folder / "sync" / "imap2").mkdir(parents=True)
        self.log = Owner(str(folder), "imap2")
        self.path = str(folder / "quarantine.json")
        self.quarantine = Quarantine(self.path)
        parts: list[Any] = [self, self.log, self.quarantine, self, self]
        self.ward = Ward(*parts)

    def check(self, partition: str, size: int) -> None:
        self.checked.append((partition, size))
        if self.stalled:
            raise StalledError("full")

    def say(self, text: str, failed: bool = False) -> None:
        self.said.append(text)

    def retry(self, events: list[Event]) -> tuple[dict[Target, str], Outcome]:
        self.tried += [event.line for event in events]
        self.meanwhile()
        return self.unproven, Outcome(0)

    def blame(self, *targets: Target) -> None:
        events = [_events.read("MAILBOX user.ann.Sent")]
        self.ward.blame(events, dict.fromkeys(targets, "late"), Outcome(39))

    def logged(self) -> list[str]:
        content = self.log.take() or b""
        return content.decode().splitlines()


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    found = Diagnosis({"target": SENT}, 1234, "default")
    monkeypatch.setattr(_diagnosis, "diagnose", lambda *_rest: found)
    monkeypatch.setattr(_advice, "advise", lambda why, finding: (f"because: {why}", "do"))
    return World(tmp_path)


def test_what_fails_on_a_healthy_replica_is_held_with_its_events(world: World) -> None:
    world.blame(SENT)
    (entry,) = Quarantine(world.path).entries()
    assert (entry.target, entry.user, entry.mailbox) == (SENT, "ann", "user.ann.Sent")
    assert (entry.reason, entry.advice, entry.by) == ("because: late", "do", "replicator")
    assert entry.events == ("MAILBOX user.ann.Sent",)
    assert world.checked == [("default", 1234)]
    assert len(world.said) == 1


def test_nobody_is_blamed_where_the_replica_has_no_room(world: World) -> None:
    world.stalled = True
    with pytest.raises(StalledError):
        world.blame(SENT)
    assert Quarantine(world.path).entries() == []


def test_what_is_kept_is_durable(world: World) -> None:
    world.blame(SENT)
    world.ward.keep({SENT: [_events.read("APPEND user.ann.Sent")]})
    (entry,) = Quarantine(world.path).entries()
    assert entry.events == ("MAILBOX user.ann.Sent", "APPEND user.ann.Sent")


def test_a_try_that_fails_is_counted_and_told(world: World) -> None:
    world.blame(SENT)
    world.unproven = {SENT: "still late"}
    failed = world.ward.retry(cast(Batch, world), world.quarantine.entries()[0])
    assert failed == ("because: still late", "do")
    (entry,) = Quarantine(world.path).entries()
    assert (entry.tries, entry.reason) == (1, "because: still late")
    assert world.tried == ["MAILBOX user.ann.Sent"]


def test_a_try_that_works_releases_and_has_all_of_the_user_looked_at(world: World) -> None:
    world.blame(SENT)
    assert world.ward.retry(cast(Batch, world), world.quarantine.entries()[0]) is None
    assert Quarantine(world.path).entries() == []
    assert world.logged() == ["MAILBOX user.ann.Sent", "USER ann"]


def test_what_an_administrator_lets_go_is_tried_like_any_other(world: World) -> None:
    world.quarantine.hold(SENT, "moves", None, ADMINISTRATOR, [], 0.0)
    world.unproven = {SENT: "still late"}
    assert world.ward.release(cast(Batch, world), world.quarantine.entries()[0])
    (entry,) = Quarantine(world.path).entries()
    assert (entry.by, entry.reason) == (REPLICATOR, "because: still late")
    assert entry.next is not None


def test_what_an_administrator_holds_during_a_try_stays(world: World) -> None:
    world.blame(SENT)
    world.meanwhile = lambda: world.quarantine.hold(
        SENT, "legal hold", None, ADMINISTRATOR, [], 0.0
    )
    tried = world.ward.retry(cast(Batch, world), world.quarantine.entries()[0])
    assert tried == ("legal hold", None)
    (entry,) = world.quarantine.entries()
    assert (entry.by, entry.reason) == (ADMINISTRATOR, "legal hold")


def test_events_that_come_during_a_try_go_back_to_the_log(world: World) -> None:
    world.blame(SENT)
    late = [_events.read("UNMAILBOX user.ann.Sent")]
    world.meanwhile = lambda: world.quarantine.keep(SENT, late)
    world.ward.retry(cast(Batch, world), world.quarantine.entries()[0])
    assert "UNMAILBOX user.ann.Sent" in world.logged()
