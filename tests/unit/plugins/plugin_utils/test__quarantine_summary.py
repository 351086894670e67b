# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook quarantine shows, and for what it fails."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _quarantine

HOSTS = ("imap1", "imap2")


def held(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "channel": "imap2",
        "scope": "mailbox",
        "name": name,
        "reason": "imap2 can't open it",
        "advice": "Drop the copy.",
        "since": "2026-11-01T10:00:00Z",
        "by": "replicator",
        "tries": 2,
        "held": 12,
        **changes,
    }


def outcome(name: str, released: bool | None, reason: str | None = None) -> dict[str, Any]:
    found = {"channel": "imap2", "scope": "mailbox", "name": name, "answered": True}
    return {**found, "released": released, "reason": reason, "advice": None}


def shown(
    before: dict[str, Any],
    ordered: dict[str, Any] | None = None,
    state: str = "listed",
    channel: str = "",
) -> tuple[list[str], list[str]]:
    hostvars = {
        "imap1": {
            "cyrus_quarantine_before": before,
            "cyrus_quarantine_ordered": ordered or {"skipped": True},
        },
        "imap2": {"cyrus_quarantine_before": {"channels": [], "quarantine": []}},
    }
    found = _quarantine.summary(hostvars, HOSTS, state, channel)
    return found["lines"], found["troubles"]


def known(*entries: dict[str, Any]) -> dict[str, Any]:
    return {"channels": ["imap2", "imap3"], "quarantine": list(entries)}


def test_nothing_is_held() -> None:
    assert shown(known()) == (["nothing is in quarantine"], [])


def test_list() -> None:
    server = held("", scope="server", channel="imap3", advice=None, reason="they differ")
    assert shown(known(held("user.anna"), server)) == (
        [
            "channel  what               since                 by          tries  events held",
            "imap2    mailbox user.anna  2026-11-01T10:00:00Z  replicator  2      12",
            "imap3    server             2026-11-01T10:00:00Z  replicator  2      12",
            "",
            "mailbox user.anna on imap2: imap2 can't open it",
            "  Drop the copy.",
            "",
            "server on imap3: they differ",
        ],
        [],
    )


def test_list_of_one_channel() -> None:
    found = known(held("user.anna"), held("user.ben", channel="imap3"))
    lines, troubles = shown(found, channel="imap3")
    assert not any("user.anna" in line for line in lines)
    assert any("user.ben" in line for line in lines)
    assert troubles == []


def test_nothing_of_one_channel() -> None:
    found = known(held("user.anna"))
    assert shown(found, channel="imap3") == (["nothing is in quarantine of channel imap3"], [])


def test_channel_that_nobody_has() -> None:
    assert shown(known(), channel="imap9") == (
        [],
        ["no host has a channel imap9, cyrus_quarantine_channel names: imap2, imap3"],
    )


def test_released() -> None:
    ordered = {"results": [outcome("user.anna", True)], "quarantine": [], "note": None}
    assert shown(known(held("user.anna")), ordered, "released") == (
        ["mailbox user.anna on imap2 is released", "nothing is in quarantine"],
        [],
    )


def test_not_released() -> None:
    entry = held("user.anna")
    ordered = {
        "msg": "user.anna (imap2): imap2 can't open it. Drop the copy.",
        "results": [outcome("user.anna", False, "imap2 can't open it")],
        "quarantine": [entry],
    }
    lines, troubles = shown(known(entry), ordered, "released")
    assert lines[0] == "mailbox user.anna on imap2 is still held"
    assert "  Drop the copy." in lines
    assert troubles == ["user.anna (imap2): imap2 can't open it. Drop the copy."]


def test_held_back() -> None:
    ordered = {"results": [outcome("user.anna", False)], "quarantine": [held("user.anna")]}
    lines, troubles = shown(known(), ordered, "present")
    assert lines[0] == "mailbox user.anna on imap2 is held back"
    assert troubles == []


@pytest.mark.parametrize(("state", "done"), [("present", "held back"), ("retried", "tried")])
def test_what_would_be_ordered(state: str, done: str) -> None:
    ordered = {"results": [{**outcome("user.anna", None), "answered": None}]}
    assert shown(known(), ordered, state)[0][0] == f"mailbox user.anna on imap2 would be {done}"


def test_replicator_that_gives_no_answer() -> None:
    refused = {**outcome("user.anna", None, "it is away"), "answered": False}
    ordered = {"msg": "user.anna (imap2): it is away.", "results": [refused]}
    lines, troubles = shown(known(), ordered, "present")
    assert lines == ["mailbox user.anna on imap2: the order was not taken"]
    assert troubles == ["user.anna (imap2): it is away."]


def test_name_that_is_not_held() -> None:
    ordered = {"results": [], "quarantine": [], "note": "user.anna is not in quarantine"}
    assert shown(known(), ordered, "retried") == (
        ["user.anna is not in quarantine", "nothing is in quarantine"],
        [],
    )


def test_hosts_that_do_not_answer() -> None:
    gone = {"unreachable": True, "msg": "Failed to connect:\n  No route to host"}
    assert shown(gone)[1] == ["imap1 can't be reached: Failed to connect: No route to host"]
    failed = {"msg": "quarantine.json is damaged"}
    assert shown(failed) == ([], ["imap1: quarantine.json is damaged"])
    assert shown(failed, channel="imap2")[1] == ["imap1: quarantine.json is damaged"]


def test_order_that_could_not_be_given() -> None:
    ordered = {"msg": "this host has no channel imap9", "results": []}
    assert shown(known(), ordered, "released")[1] == ["imap1: this host has no channel imap9"]


def test_order_where_nobody_is_master() -> None:
    nobody: dict[str, Any] = {"channels": [], "quarantine": []}
    for state in ("listed", "released"):
        lines, troubles = shown(nobody, None, state)
        assert lines == []
        assert troubles == ["no host of this run replicates to another one: see status"]
