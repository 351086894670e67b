# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lines of a sync log, and which of them belong together."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _events
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Event
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("user.anna", "user.anna"),
        ("", '""'),
        ("Sent Items", '"Sent Items"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a(b)", '"a(b)"'),
        ("a{b}", '"a\\{b\\}"'),
        ("a\tb", '"a\tb"'),
    ],
)
def test_names_are_quoted_as_cyrus_does(name: str, quoted: str) -> None:
    assert _events.quote(name) == quoted


@pytest.mark.parametrize(
    ("line", "found", "owners"),
    [
        ("USER anna", [("user", "anna")], ["anna"]),
        ("UNUSER ben@ex.org", [("user", "ben@ex.org")], ["ben@ex.org"]),
        ("META o.hara", [("meta", "o.hara")], ["o.hara"]),
        ("SIEVE anna", [("meta", "anna")], ["anna"]),
        ("SEEN anna 6f8c0d9a", [("meta", "anna")], ["anna"]),
        ("SUB anna user.ben", [("meta", "anna")], ["anna"]),
        ("UNSUB anna user.ben", [("meta", "anna")], ["anna"]),
        ("APPEND user.anna", [("mailbox", "user.anna")], ["anna"]),
        ("MAILBOX ex.org!user.o^hara.Sent", None, ["o.hara@ex.org"]),
        ("UNMAILBOX DELETED.user.anna.Alt.65A1B2C3", None, ["anna"]),
        ('MAILBOX "shared.Old Mail"', [("mailbox", "shared.Old Mail")], [None]),
        (
            "RENAME user.anna.a user.ben.b",
            [("mailbox", "user.anna.a"), ("mailbox", "user.ben.b")],
            ["anna", "ben"],
        ),
        ("DOUBLEMAILBOX user.anna user.anna", [("mailbox", "user.anna")], ["anna"]),
        ("ANNOTATION user.anna", [("mailbox", "user.anna")], ["anna"]),
        ('ANNOTATION ""', [("server", "")], [None]),
        ("QUOTA user.anna", [("quota", "user.anna")], ["anna"]),
        ("QUOTA shared", [("quota", "shared")], [None]),
    ],
)
def test_what_an_event_changes(
    line: str, found: list[tuple[str, str]] | None, owners: list[str | None]
) -> None:
    changed = _events.targets(_events.read(line))
    assert found is None or list(changed) == found
    assert [_events.owner(target) for target in changed] == owners


@pytest.mark.parametrize(
    "line",
    [
        "USER",
        "USER ",
        "USER anna ",
        " USER anna",
        "user anna",
        "SQUAT user.anna",
        'USER "anna',
        'USER "anna"b',
        "USER a(b)",
        "USER {4+}",
        "USER anna\r",
        "USER an\0na",
        "USER anna ben",
        "RENAME user.anna",
        "RENAME user.anna user.ben user.eva",
        # Written over a line whose writer had failed.
        "MAILBOX user.anMAILBOX user.ben",
        "USER anUSER ben",
    ],
)
def test_what_cannot_be_read_is_kept(line: str) -> None:
    assert _events.parse(line + "\n") == [Event("UNKNOWN", (), line)]
    assert _events.targets(_events.read(line)) == ()
    around = _events.parse(f"USER first\n{line}\nUSER last\n")
    assert [event.names for event in around] == [("first",), (), ("last",)]


def test_torn_last_line_is_not_believed() -> None:
    assert _events.parse("USER anna\nUNUSER ben") == [
        Event("USER", ("anna",), "USER anna"),
        Event("UNKNOWN", (), "UNUSER ben"),
    ]


def test_nothing_and_empty_lines() -> None:
    assert _events.parse("") == []
    assert _events.parse(b"\n\nUSER anna\n\n") == [Event("USER", ("anna",), "USER anna")]


names = st.text('ab.^!@ \t\\"{}()%é\udcff\x85\x0b\x1c\u2028', max_size=8)


@given(st.lists(st.tuples(st.sampled_from(["USER", "META", "MAILBOX"]), names), max_size=6))
def test_names_come_back(written: list[tuple[str, str]]) -> None:
    log = "".join(f"{kind} {_events.quote(name)}\n" for kind, name in written)
    assert [(event.kind, event.names) for event in _events.parse(log)] == [
        (kind, (name,)) for kind, name in written
    ]


@given(names, names)
def test_two_names_come_back(one: str, two: str) -> None:
    event = _events.read(f"RENAME {_events.quote(one)} {_events.quote(two)}")
    assert event.names == (one, two)


@given(st.binary(max_size=200))
def test_any_bytes_are_kept(data: bytes) -> None:
    events = _events.parse(data)
    lines = [line for line in data.split(b"\n") if line]
    assert _events.serialise(events) == b"".join(line + b"\n" for line in lines)
    _events.by_owner(events)
    _events.without_repeats(events)


# -- what belongs together


def grouped(*lines: str) -> list[list[str]]:
    events = [_events.read(line) for line in lines]
    return [[event.line for event in group] for group in _events.by_owner(events)]


def test_a_user_is_one_group() -> None:
    assert grouped(
        "MAILBOX user.anna.Sent",
        "USER ben",
        "META anna",
        "QUOTA user.anna",
        "ANNOTATION user.ben",
        "UNUSER anna",
    ) == [
        ["MAILBOX user.anna.Sent", "META anna", "QUOTA user.anna", "UNUSER anna"],
        ["USER ben", "ANNOTATION user.ben"],
    ]


def test_what_is_shared_is_apart() -> None:
    assert grouped(
        "MAILBOX shared.a",
        "MAILBOX shared.b",
        "QUOTA shared.a",
        'ANNOTATION ""',
        "SQUAT x",
        "APPEND shared.a",
    ) == [
        ["MAILBOX shared.a", "APPEND shared.a"],
        ["MAILBOX shared.b"],
        ["QUOTA shared.a"],
        ['ANNOTATION ""'],
        ["SQUAT x"],
    ]


def test_what_one_line_names_is_not_parted() -> None:
    assert grouped(
        "USER eva",
        "MAILBOX user.anna",
        "MAILBOX shared.a",
        "MAILBOX user.ben",
        "RENAME user.anna.x shared.a",
        "DOUBLEMAILBOX user.ben shared.a",
    ) == [
        ["USER eva"],
        [
            "MAILBOX user.anna",
            "MAILBOX shared.a",
            "MAILBOX user.ben",
            "RENAME user.anna.x shared.a",
            "DOUBLEMAILBOX user.ben shared.a",
        ],
    ]


boxes = st.sampled_from(["user.a", "user.a.x", "user.b", "user.c", "shared.d", "shared.e"])
lines = st.one_of(
    st.builds("RENAME {} {}".format, boxes, boxes),
    st.builds("MAILBOX {}".format, boxes),
    st.builds("USER {}".format, st.sampled_from("abc")),
)


@given(st.lists(lines, max_size=12))
def test_groups_share_nothing(written: list[str]) -> None:
    events = [_events.read(line) for line in written]
    groups = _events.by_owner(events)
    assert sorted(event for group in groups for event in group) == sorted(events)
    touched = [
        {_events.owner(target) or target for event in group for target in _events.targets(event)}
        for group in groups
    ]
    assert sum(len(part) for part in touched) == len(set().union(*touched))
    first = [events.index(group[0]) for group in groups]
    assert first == sorted(first)


def test_repeats() -> None:
    events = _events.parse("USER anna\nMAILBOX user.ben\nUSER anna\nSQUAT\nSQUAT\n")
    assert [event.line for event in _events.without_repeats(events)] == [
        "USER anna",
        "MAILBOX user.ben",
        "SQUAT",
    ]
