# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders over a real socket, to a reception without a replicator."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any, ClassVar, cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _control, _state
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Target
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import Quarantine
from ansible_collections.mailops.cyrus.plugins.module_utils._reception import Reception
from ansible_collections.mailops.cyrus.plugins.module_utils._reporter import Reporter

CHANNEL = "imap2"


@pytest.fixture
def reporter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Reporter:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    monkeypatch.setattr(_control, "RUN_DIR", str(tmp_path))
    (tmp_path / CHANNEL).mkdir()
    return Reporter(CHANNEL, "imap2", 10.0)


@pytest.fixture
def reception(tmp_path: Path, reporter: Reporter) -> Iterator[Reception]:
    quarantine = Quarantine(str(tmp_path / CHANNEL / "quarantine.json"))
    reception = Reception(CHANNEL, quarantine, reporter)
    yield reception
    reception.close()


def say(reception: Reception, order: dict[str, Any]) -> dict[str, Any]:
    """What is answered; orders that wait are answered as if they worked."""
    said: list[Any] = []

    def ask() -> None:
        try:
            said.append(_control.ask(CHANNEL, order, 5))
        except ReplicationError as error:
            said.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while thread.is_alive():
        reception.receive()
        for waiting in reception.take():
            waiting.answer({"ok": True, "target": waiting.target})
        thread.join(0.01)
    if isinstance(said[0], ReplicationError):
        raise said[0]
    return cast("dict[str, Any]", said[0])


def test_a_pause_is_kept_over_restarts(reception: Reception) -> None:
    say(reception, {"do": "pause"})
    assert reception.paused
    assert _state.paused(CHANNEL)
    say(reception, {"do": "resume"})
    assert not reception.paused
    assert not _state.paused(CHANNEL)


def test_the_state_is_told_at_once(reception: Reception) -> None:
    assert say(reception, {"do": "status"})["state"]["state"] == "starting"


def test_a_mailbox_is_held_for_an_administrator(reception: Reception, tmp_path: Path) -> None:
    order = {"do": "hold", "scope": "mailbox", "name": "user.ann.Sent", "reason": "moves"}
    say(reception, order)
    (entry,) = Quarantine(str(tmp_path / CHANNEL / "quarantine.json")).entries()
    assert (entry.by, entry.reason, entry.next) == ("administrator", "moves", None)
    assert entry.events == ("MAILBOX user.ann.Sent",)
    assert entry.advice is not None
    assert "cyrus_quarantine_mailbox=user.ann.Sent" in entry.advice


def test_a_try_waits_for_the_replicator(reception: Reception) -> None:
    said = say(reception, {"do": "retry", "scope": "user", "name": "ann"})
    assert said["target"] == ["user", "ann"]
    assert not reception.waiting


def test_what_waits_is_refused_where_nothing_can_be_tried(reception: Reception) -> None:
    answers: list[dict[str, Any]] = []

    class Sender:
        order: ClassVar = {"do": "retry", "scope": "user", "name": "ann"}

        def answer(self, said: dict[str, Any]) -> None:
            answers.append(said)

    reception._obey(cast(_control.Request, Sender()))
    reception.refuse("the replica is away")
    assert answers[0]["ok"] is False
    assert "away" in answers[0]["error"]


@pytest.mark.parametrize(
    "order",
    [
        {"do": "dance"},
        {"do": "retry"},
        {"do": "hold", "scope": "world", "name": "x"},
        {"do": "hold", "scope": "mailbox", "name": "user.x\ny"},
        {"do": "hold", "scope": "mailbox", "name": "user.\ud800"},
        {"do": "hold", "scope": "user", "name": ""},
        {},
    ],
)
def test_what_is_no_order_is_refused(reception: Reception, order: dict[str, Any]) -> None:
    with pytest.raises(ReplicationError):
        say(reception, order)


def test_the_targets_of_orders_are_targets(reception: Reception) -> None:
    assert say(reception, {"do": "release", "scope": "quota", "name": "x"})["target"] == list(
        Target("quota", "x")
    )
