# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is tried together, and how it is taken apart."""

from __future__ import annotations

from pathlib import Path

from ansible_collections.mailops.cyrus.plugins.module_utils import _bundle, _events
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Event, Target
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import (
    REPLICATOR,
    Quarantine,
)

OWN = {"ann": ["user.ann", "user.ann.Sent", "user.ann.a b"]}


def events(*lines: str) -> list[Event]:
    return [_events.read(line) for line in lines]


def mailboxes(user: str) -> list[str]:
    return OWN.get(user, [])


def lines(parts: list[list[Event]]) -> list[list[str]]:
    return [[event.line for event in part] for part in parts]


def quarantine(path: Path, *targets: Target) -> Quarantine:
    found = Quarantine(str(path / "quarantine.json"))
    for target in targets:
        found.hold(target, "it fails", "mend it", REPLICATOR, [], 0.0)
    return found


def test_the_line_of_a_target_is_about_that_target() -> None:
    for target in (
        Target("mailbox", 'user.ann.a "b"'),
        Target("user", "ann@example.com"),
        Target("meta", "ann"),
        Target("quota", "user.ann"),
        Target("server", ""),
    ):
        assert _events.targets(_bundle.event_of(target)) == (target,)


def test_a_user_is_taken_apart_into_mailboxes_and_the_rest() -> None:
    parts = _bundle.split(events("USER ann", "MAILBOX user.ann.Sent"), mailboxes)
    assert lines(parts) == [
        ["MAILBOX user.ann"],
        ["MAILBOX user.ann.Sent"],
        ['MAILBOX "user.ann.a b"'],
        ["META ann"],
    ]


def test_what_one_line_moves_stays_together_and_what_it_copies_does_not() -> None:
    parts = _bundle.split(
        events(
            "RENAME user.ann.Old user.ann.New",
            "DOUBLEMAILBOX user.ann user.ann.Sent",
            "MAILBOX user.ann.New",
            "UNMAILBOX user.ann.Old",
        ),
        mailboxes,
    )
    assert lines(parts) == [
        ["RENAME user.ann.Old user.ann.New", "MAILBOX user.ann.New", "UNMAILBOX user.ann.Old"],
        ["MAILBOX user.ann"],
        ["MAILBOX user.ann.Sent"],
    ]


def test_renames_in_a_chain_are_one_part() -> None:
    chain = ("RENAME user.ann.a user.ann.b", "RENAME user.ann.c user.ann.d")
    parts = _bundle.split(events(*chain, "RENAME user.ann.b user.ann.c"), mailboxes)
    assert len(parts) == 1


def test_all_kinds_about_one_user_are_one_part() -> None:
    parts = _bundle.split(events("META ann", "SUB ann user.ann.Sent", "QUOTA user.ann"), mailboxes)
    assert lines(parts) == [["META ann", "SUB ann user.ann.Sent"], ["QUOTA user.ann"]]


def test_without_a_quarantine_all_goes_on(tmp_path: Path) -> None:
    given = events("USER ann", "MAILBOX user.ben", "junk")
    assert _bundle.set_aside(given, quarantine(tmp_path), mailboxes) == (given, {})


def test_a_mailbox_is_kept_and_its_user_goes_on_without_it(tmp_path: Path) -> None:
    sent = Target("mailbox", "user.ann.Sent")
    given = events("USER ann", "MAILBOX user.ann.Sent", "MAILBOX user.ben")
    free, kept = _bundle.set_aside(given, quarantine(tmp_path, sent), mailboxes)
    assert [event.line for event in free] == [
        "MAILBOX user.ann",
        'MAILBOX "user.ann.a b"',
        "META ann",
        "MAILBOX user.ben",
    ]
    assert {t: [e.line for e in own] for t, own in kept.items()} == {
        sent: ["MAILBOX user.ann.Sent", "MAILBOX user.ann.Sent"]
    }


def test_of_a_copy_the_healthy_side_goes_on(tmp_path: Path) -> None:
    sent = Target("mailbox", "user.ann.Sent")
    given = events("DOUBLEMAILBOX user.ben user.ann.Sent")
    free, kept = _bundle.set_aside(given, quarantine(tmp_path, sent), mailboxes)
    assert [event.line for event in free] == ["MAILBOX user.ben"]
    assert kept == {sent: given}


def test_a_user_in_quarantine_keeps_all_that_is_the_users(tmp_path: Path) -> None:
    ann = Target("user", "ann")
    given = events("UNUSER ann", "MAILBOX user.ann.Sent", "SUB ann x", "USER ben")
    free, kept = _bundle.set_aside(given, quarantine(tmp_path, ann), mailboxes)
    assert free == given[3:]
    assert kept == {ann: given[:3]}


def test_a_user_who_was_deleted_and_is_there_again_is_taken_apart() -> None:
    assert len(_bundle.split(events("UNUSER ann", "META ann"), mailboxes)) == 4
    assert lines(_bundle.split(events("UNUSER gone"), mailboxes)) == [["UNUSER gone"]]
