# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Orders to the quarantine: what is meant by a name, and what is told of the outcome."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _channel, _control, _orders
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install
from ansible_collections.mailops.cyrus.plugins.module_utils._orders import Outcome, Step, Wish


def entry(scope: str, name: str, user: str | None, **changes: Any) -> dict[str, Any]:
    return {
        "channel": "imap2",
        "scope": scope,
        "name": name,
        "user": user,
        "reason": "damaged",
        "by": "replicator",
        **changes,
    }


ENTRIES = [
    entry("mailbox", "user.anna", "anna"),
    entry("mailbox", "user.anna.Sent", "anna", channel="imap3"),
    entry("user", "ben", "ben", by="administrator", reason="under examination"),
    entry("meta", "anna", "anna"),
    entry("quota", "shared.x", None),
    entry("server", "", None),
]


def ordered(wish: Wish) -> list[tuple[str, str, str, str]]:
    found = _orders.steps(wish, ("imap2", "imap3"), ENTRIES)
    return [
        (step.channel, step.order["do"], step.order["scope"], step.order["name"]) for step in found
    ]


def test_a_mailbox_is_that_one_alone() -> None:
    assert ordered(Wish("retried", mailbox="user.anna")) == [
        ("imap2", "retry", "mailbox", "user.anna")
    ]
    assert ordered(Wish("released", mailbox="user.anna.Sent")) == [
        ("imap3", "release", "mailbox", "user.anna.Sent")
    ]
    assert ordered(Wish("released", mailbox="shared.x")) == []


def test_a_user_is_all_that_is_theirs() -> None:
    assert ordered(Wish("retried", user="anna")) == [
        ("imap2", "retry", "mailbox", "user.anna"),
        ("imap3", "retry", "mailbox", "user.anna.Sent"),
        ("imap2", "retry", "meta", "anna"),
    ]


def test_everything() -> None:
    assert len(ordered(Wish("released", everything=True))) == len(ENTRIES)


def test_a_try_lets_nothing_go_that_is_held_by_hand() -> None:
    assert ordered(Wish("retried", user="ben")) == []
    assert ordered(Wish("released", user="ben")) == [("imap2", "release", "user", "ben")]
    assert len(ordered(Wish("retried", everything=True))) == len(ENTRIES) - 1
    note = "held by an administrator until it is released: ben"
    for wish in (Wish("retried", user="ben"), Wish("retried", everything=True)):
        assert _orders.told(wish, ENTRIES, ENTRIES, [])["note"] == note
    assert _orders.told(Wish("released", user="ben"), ENTRIES, [], [])["note"] is None


def test_nobody_is_meant_by_what_is_of_nobody() -> None:
    assert ordered(Wish("released", user="")) == []
    assert ordered(Wish("released", mailbox="")) == []


def test_holding_is_ordered_of_every_channel() -> None:
    assert ordered(Wish("present", mailbox="user.anna", reason="x")) == [
        ("imap2", "hold", "mailbox", "user.anna"),
        ("imap3", "hold", "mailbox", "user.anna"),
    ]
    assert ordered(Wish("present", user="anna", reason="x")) == [
        ("imap2", "hold", "user", "anna"),
        ("imap3", "hold", "user", "anna"),
    ]


@pytest.mark.parametrize(
    ("wish", "known"),
    [
        (Wish("present", mailbox="user.anna.Sent"), True),
        (Wish("present", mailbox="shared.x"), True),
        (Wish("present", user="anna"), True),
        (Wish("present", mailbox="user/anna"), False),
        (Wish("present", mailbox="user.an"), False),
        (Wish("present", user="user.anna"), False),
        (Wish("present", user=""), False),
        (Wish("released", mailbox="user.gone"), True),
    ],
)
def test_only_what_exists_can_be_held(
    monkeypatch: pytest.MonkeyPatch, wish: Wish, known: bool
) -> None:
    names = ("shared.x", "user.anna", "user.anna.Sent")
    install = SimpleNamespace(mailboxes=lambda: [SimpleNamespace(name=name) for name in names])
    monkeypatch.setattr(Install, "discover", lambda: install)
    if known:
        _orders.refuse_unknown(wish)
    else:
        with pytest.raises(ReplicationError, match=r"this host has no (mailbox|user)"):
            _orders.refuse_unknown(wish)


def test_what_is_held_already_is_not_ordered_again() -> None:
    wish = Wish("present", user="ben", reason="under examination")
    assert ordered(wish) == [("imap3", "hold", "user", "ben")]
    assert len(ordered(Wish("present", user="ben", reason="another"))) == 2


STEP = Step("imap2", {"do": "release", "scope": "mailbox", "name": "user.anna"})


@pytest.mark.parametrize(
    ("said", "outcome"),
    [
        ({"ok": True, "released": True}, (True, True, None, None)),
        (
            {"ok": True, "released": False, "reason": "damaged", "advice": "Drop it."},
            (True, False, "damaged", "Drop it."),
        ),
        ({"ok": True}, (True, False, None, None)),
    ],
)
def test_carrying_out(
    monkeypatch: pytest.MonkeyPatch, said: dict[str, Any], outcome: tuple[Any, ...]
) -> None:
    def ask(channel: str, order: dict[str, str], timeout: float) -> dict[str, Any]:
        assert (channel, order, timeout) == ("imap2", STEP.order, 7)
        return said

    monkeypatch.setattr(_control, "ask", ask)
    assert _orders.carry_out(STEP, 7) == Outcome("imap2", "mailbox", "user.anna", *outcome)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (ReplicationError("no answer in time"), "no answer in time"),
        (
            _control.NotRunningError("nobody listens"),
            "its replicator is not running: start the channel (module channel, name=imap2 "
            "state=started)",
        ),
    ],
)
def test_carrying_out_without_a_replicator(
    monkeypatch: pytest.MonkeyPatch, error: ReplicationError, reason: str
) -> None:
    def ask(*_args: object) -> dict[str, Any]:
        raise error

    monkeypatch.setattr(_control, "ask", ask)
    outcome = _orders.carry_out(STEP, 7)
    assert (outcome.answered, outcome.released) == (False, None)
    for state in ("present", "retried", "released"):
        assert _orders.failures(state, [outcome]) == [f"user.anna (imap2): {reason}."]


def test_what_keeps_a_state_from_being_true() -> None:
    free = Outcome("imap2", "mailbox", "user.anna", True, True, None, None)
    held = Outcome("imap3", "server", "", True, False, "they differ", "Look there.")
    assert _orders.failures("released", [free, held]) == [
        "server (imap3): they differ. Look there."
    ]
    assert _orders.failures("retried", [free, held]) == []
    assert _orders.failures("present", [held]) == []


def test_what_is_told() -> None:
    free = Outcome("imap2", "mailbox", "user.anna", True, True, None, None)
    wish = Wish("released", mailbox="user.anna")
    told = _orders.told(wish, ENTRIES, ENTRIES[1:], [free])
    assert (told["changed"], told["released"], told["note"]) == (True, True, None)
    assert told["results"][0]["name"] == "user.anna"
    assert told["diff"]["before"]["imap2: mailbox user.anna"] == "damaged"
    assert "imap2: mailbox user.anna" not in told["diff"]["after"]
    assert "imap2: server" in told["diff"]["after"]

    held = Outcome("imap2", "mailbox", "user.anna", True, False, "damaged", None)
    told = _orders.told(wish, ENTRIES, ENTRIES, [held])
    assert (told["changed"], told["released"]) == (False, False)


def test_holding_is_a_change() -> None:
    held = Outcome("imap2", "user", "carla", True, False, None, None)
    told = _orders.told(Wish("present", user="carla"), [], [], [held])
    assert (told["changed"], told["note"]) == (True, None)
    assert _orders.told(Wish("present", user="carla"), [], [], [])["changed"] is False


@pytest.mark.parametrize(
    ("wish", "shown"),
    [
        (
            Wish("released", mailbox="user.anna"),
            "would be tried now, and released where it replicates",
        ),
        (Wish("present", mailbox="user.anna", reason="under examination"), "under examination"),
    ],
)
def test_what_is_foreseen(wish: Wish, shown: str) -> None:
    told = _orders.told(wish, ENTRIES, ENTRIES, [_orders.foresee(STEP)])
    assert told["changed"] is True
    assert told["diff"]["before"]["imap2: mailbox user.anna"] == "damaged"
    assert told["diff"]["after"]["imap2: mailbox user.anna"] == shown
    (result,) = told["results"]
    assert (result["answered"], result["released"]) == (None, None)
    assert _orders.failures(wish.state, [_orders.foresee(STEP)]) == []


@pytest.mark.parametrize(
    ("wish", "note"),
    [
        (
            Wish("released", mailbox="user/anna"),
            "user/anna is not in quarantine: give its internal name, such as user.anna.Sent",
        ),
        (
            Wish("released", user="user.anna"),
            "user.anna is not in quarantine: give a userid, such as anna",
        ),
        (
            Wish("released", mailbox="user.ben"),
            "user.ben is not in quarantine; of the same user there is ben",
        ),
        (Wish("retried", mailbox="user.eva"), "user.eva is not in quarantine"),
        (Wish("retried", user="eva"), "eva is not in quarantine"),
        (Wish("retried", mailbox="shared.y"), "shared.y is not in quarantine"),
        (Wish("released", everything=True), None),
    ],
)
def test_name_that_is_not_in_quarantine(wish: Wish, note: str | None) -> None:
    told = _orders.told(wish, ENTRIES, ENTRIES, [])
    assert told["note"] == note
    assert told["changed"] is False


def test_channels_of_this_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_channel, "names", lambda: {"imap3": "imap3", "imap2": "imap2"})
    monkeypatch.setattr(_channel, "quarantined", lambda name, replica: [{"in": name}])
    assert _orders.channels("imap2") == {"imap2": "imap2"}
    assert _orders.listed(_orders.channels(None)) == [{"in": "imap2"}, {"in": "imap3"}]
    with pytest.raises(ReplicationError, match="no channel imap9"):
        _orders.channels("imap9")
