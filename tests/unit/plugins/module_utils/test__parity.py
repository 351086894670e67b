# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two states in, the differences out: each kind once, and whatever chance puts together."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _parity
from ansible_collections.mailops.cyrus.plugins.module_utils._dlist import FormatError
from ansible_collections.mailops.cyrus.plugins.module_utils._model import (
    Mailbox,
    Message,
    Quota,
    Script,
    Seen,
    State,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._parity import Difference
from hypothesis import given
from hypothesis import strategies as st

INBOX = Mailbox(
    name="user.anna",
    uniqueid="u1",
    mboxtype="",
    sync_crc=11,
    sync_crc_annot=12345678,
    last_uid=3,
    highestmodseq=9,
    uidvalidity=100,
    partition="default",
    acl="anna\tlrs\tben\tlr\t",
    options="P",
    pop3_show_after=0,
    quota_root="user.anna",
    annotations=(("/comment", "", "x"),),
    user_flags=None,
)
SENT = dataclasses.replace(INBOX, name="user.anna.Sent", uniqueid="u2")
GONE = dataclasses.replace(INBOX, name="DELETED.user.anna.Old.5f3a9c12", uniqueid="u3")
SEEN = Seen("u9", 5, 2, 6, "1:2")


def state(*mailboxes: Mailbox, **more: Any) -> State:
    return State(mailboxes={mailbox.name: mailbox for mailbox in mailboxes}, **more)


def changed(**fields: Any) -> Mailbox:
    return dataclasses.replace(INBOX, **fields)


def short(differences: Iterable[Difference]) -> list[tuple[object, ...]]:
    return [(d.kind, d.mailbox, d.field, d.master, d.replica) for d in differences]


def of_user(master: State, replica: State) -> list[tuple[object, ...]]:
    found = list(_parity.compare_user("anna", master, replica))
    assert all(difference.user == "anna" and difference.uid is None for difference in found)
    return short(found)


# -- users and their mailboxes


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        ("uniqueid", "u7", "mailbox_uniqueid"),
        ("uidvalidity", 101, "uidvalidity"),
        ("last_uid", 4, "last_uid"),
        ("highestmodseq", 10, "highestmodseq"),
        ("acl", "anna\tlrsw\tben\tlr\t", "acl"),
        ("partition", "fast", "partition"),
        ("options", "", "options"),
        ("mboxtype", "c", "options"),
        ("pop3_show_after", 1, "options"),
        ("quota_root", None, "quota_root"),
    ],
)
def test_each_field_of_a_mailbox(field: str, value: object, kind: str) -> None:
    copy = changed(**{field: value})
    there = [(kind, "user.anna", field, getattr(INBOX, field), value)]
    back = [(kind, "user.anna", field, value, getattr(INBOX, field))]
    assert of_user(state(INBOX), state(copy)) == there
    assert of_user(state(copy), state(INBOX)) == back


@pytest.mark.parametrize(
    "fields",
    [
        {},
        # Their differences are for the records to tell.
        {"sync_crc": 12, "sync_crc_annot": 3},
        {"acl": "ben\trl\tanna\tsrl\t"},
        # Only newer releases tell these.
        {"user_flags": frozenset({"Junk"})},
        {"sync_crc_annot": None},
    ],
)
def test_no_difference(fields: dict[str, Any]) -> None:
    assert of_user(state(INBOX), state(changed(**fields))) == []
    assert of_user(state(changed(**fields)), state(INBOX)) == []


def test_annotations_of_a_mailbox() -> None:
    copy = changed(annotations=(("/comment", "", "y"), ("/comment", "ben", "z")))
    assert of_user(state(INBOX), state(copy)) == [
        ("mailbox_annotation", "user.anna", "/comment", "x", "y"),
        ("mailbox_annotation", "user.anna", "/comment (ben)", None, "z"),
    ]


def test_user_flags() -> None:
    mine = changed(user_flags=frozenset({"$a", "Junk"}))
    copy = changed(user_flags=frozenset({"Junk", "Work"}))
    assert of_user(state(mine), state(copy)) == [
        ("user_flag", "user.anna", "$a", "$a", None),
        ("user_flag", "user.anna", "Work", None, "Work"),
    ]


def test_mailbox_on_one_side_only() -> None:
    there = [("mailbox", "user.anna.Sent", "mailbox", "u2", None)]
    assert of_user(state(INBOX, SENT), state(INBOX)) == there
    back = [("mailbox", "user.anna.Sent", "mailbox", None, "u2")]
    assert of_user(state(INBOX), state(INBOX, SENT)) == back


def test_absent_user_is_one_difference() -> None:
    whole = state(INBOX, SENT, subscriptions=frozenset({"x"}), seen={"u9": SEEN})
    assert of_user(whole, state()) == [("user", None, "user", "anna", None)]
    assert of_user(state(), whole) == [("user", None, "user", None, "anna")]
    assert of_user(state(), state()) == []


def test_deleted_mailboxes_of_an_absent_user_are_compared() -> None:
    assert of_user(state(INBOX, GONE), state()) == [
        ("user", None, "user", "anna", None),
        ("mailbox", GONE.name, "mailbox", "u3", None),
    ]
    assert of_user(state(GONE), state(GONE)) == []
    # What is set aside on the replica alone, the master may have removed for good.
    assert of_user(state(INBOX), state(GONE)) == [("user", None, "user", "anna", None)]


def test_shared_mailboxes_have_no_user() -> None:
    shared = changed(name="shared.info")
    found = list(_parity.compare_user(None, state(shared), state()))
    assert found == [Difference("mailbox", None, "shared.info", None, "mailbox", "u1", None)]


def test_renamed_mailbox_is_one_difference() -> None:
    renamed = dataclasses.replace(SENT, name="user.anna.Outbox")
    lone = dataclasses.replace(SENT, name="user.anna.Lone", uniqueid="u8")
    found = _parity.compare_user("anna", state(INBOX, SENT), state(INBOX, renamed, lone))
    assert short(_parity.pair_renames(found)) == [
        ("mailbox", "user.anna.Lone", "mailbox", None, "u8"),
        ("mailbox_name", "user.anna.Sent", "name", "user.anna.Sent", "user.anna.Outbox"),
    ]


def test_deleted_mailbox_is_not_renamed() -> None:
    deleted = dataclasses.replace(SENT, name="DELETED.user.anna.Sent.5F3A9C12")
    found = _parity.compare_user("anna", state(INBOX, SENT), state(INBOX, deleted))
    assert short(_parity.pair_renames(found)) == [
        ("mailbox", "user.anna.Sent", "mailbox", SENT.uniqueid, None)
    ]
    back = _parity.compare_user("anna", state(INBOX, deleted), state(INBOX, SENT))
    assert [d.kind for d in _parity.pair_renames(back)] == ["mailbox", "mailbox"]


def test_mailboxes_without_an_id_are_not_paired() -> None:
    mine, copy = changed(uniqueid=""), changed(name="user.anna.b", uniqueid="")
    found = _parity.compare_user(None, state(mine), state(copy))
    assert [d.kind for d in _parity.pair_renames(found)] == ["mailbox", "mailbox"]


# -- what else a user has


def test_subscriptions() -> None:
    mine = state(INBOX, subscriptions=frozenset({"user.anna", "shared.a"}))
    copy = state(INBOX, subscriptions=frozenset({"user.anna", "shared.b"}))
    assert of_user(mine, copy) == [
        ("subscription", "shared.a", "subscription", "shared.a", None),
        ("subscription", "shared.b", "subscription", None, "shared.b"),
    ]


def test_seen() -> None:
    copy = dataclasses.replace(SEEN, seen_uids="1:3", last_change=7)
    assert of_user(state(INBOX, seen={"u9": SEEN}), state(INBOX, seen={"u9": copy})) == [
        ("seen", None, "seen_uids of u9", "1:2", "1:3"),
        ("seen", None, "last_change of u9", 6, 7),
    ]
    there = [("seen", None, "u9", "1:2", None)]
    assert of_user(state(INBOX, seen={"u9": SEEN}), state(INBOX)) == there
    back = [("seen", None, "u9", None, "1:2")]
    assert of_user(state(INBOX), state(INBOX, seen={"u9": SEEN})) == back


def test_scripts() -> None:
    main, old = Script("main", "aa", True), Script("old", "bb", False)
    mine = state(INBOX, scripts={"main": main, "old": old})
    other = dataclasses.replace(main, guid="cc", active=False)
    copy = state(INBOX, scripts={"main": other, "new": dataclasses.replace(old, name="new")})
    assert of_user(mine, copy) == [
        ("sieve_script", None, "main", "aa", "cc"),
        ("sieve_script", None, "new", None, "bb"),
        ("sieve_script", None, "old", "bb", None),
        ("sieve_active", None, "active", "main", None),
    ]


def test_quotas() -> None:
    mine = Quota("user.anna", (("MESSAGE", "5"), ("STORAGE", "1000")))
    copy = Quota("user.anna", (("STORAGE", "2000"),))

    def found(master: Quota | None, replica: Quota | None) -> list[tuple[object, ...]]:
        differences = list(_parity.compare_quota("user.anna", master, replica))
        assert {d.user for d in differences} <= {"anna"}
        return short(differences)

    assert found(mine, mine) == found(None, None) == []
    assert found(mine, copy) == [
        ("quota_limit", "user.anna", "MESSAGE", "5", None),
        ("quota_limit", "user.anna", "STORAGE", "1000", "2000"),
    ]
    assert found(None, copy) == [("quota_limit", "user.anna", "STORAGE", None, "2000")]


def test_quota_root_without_limits_on_one_side() -> None:
    unlimited = Quota("user.anna", ())
    assert list(_parity.compare_quota("user.anna", unlimited, None)) == []


def test_server_annotations() -> None:
    found = _parity.compare_server_annotations((("/motd", "", "a"),), (("/motd", "", "b"),))
    assert list(found) == [Difference("server_annotation", None, None, None, "/motd", "a", "b")]


# -- CRCs


@pytest.mark.parametrize(
    ("mine", "copy", "opened"),
    [
        ({}, {}, False),
        ({}, {"sync_crc": 12}, True),
        ({}, {"sync_crc_annot": 12}, True),
        ({}, {"sync_crc_annot": None}, False),
        ({"sync_crc": 0}, {"sync_crc": 0}, True),
        ({}, {"sync_crc": 0}, True),
        ({"sync_crc": 0, "last_uid": 0}, {"sync_crc": 0, "last_uid": 0}, False),
        ({"sync_crc": 0, "last_uid": 0}, {"sync_crc": 0}, True),
    ],
)
def test_which_mailboxes_are_opened(
    mine: dict[str, Any], copy: dict[str, Any], opened: bool
) -> None:
    assert _parity.must_open(changed(**mine), changed(**copy)) == opened
    assert _parity.must_open(changed(**copy), changed(**mine)) == opened


def test_stale_crcs() -> None:
    copy = changed(sync_crc=12, sync_crc_annot=13)
    assert short(_parity.stale_crc("anna", INBOX, copy)) == [
        ("crc", "user.anna", "sync_crc", 11, 12),
        ("crc", "user.anna", "sync_crc_annot", 12345678, 13),
    ]
    assert list(_parity.stale_crc("anna", INBOX, changed(sync_crc_annot=None))) == []
    assert list(_parity.stale_crc("anna", INBOX, INBOX)) == []


# -- messages

MESSAGE = Message(7, 5, 100, frozenset({"\\seen"}), 90, 1234, "ab", ())
EXPUNGED = dataclasses.replace(MESSAGE, flags=frozenset({"\\seen", "\\expunged"}))


def raw(message: Message, flags: Iterable[str] = ()) -> bytes:
    annotations = " ".join(
        f"%(ENTRY {entry} USERID {userid or 'NIL'} VALUE {value} MODSEQ 1)"
        for entry, userid, value in message.annotations
    )
    return (
        f"%(UID {message.uid} MODSEQ {message.modseq} LAST_UPDATED {message.last_updated}"
        f" FLAGS ({' '.join(flags or sorted(message.flags))})"
        f" INTERNALDATE {message.internaldate} SIZE {message.size} GUID {message.guid}"
        f"{f' ANNOTATIONS ({annotations})' if annotations else ''})"
    ).encode()


def records(master: Iterable[bytes], replica: Iterable[bytes]) -> list[tuple[object, ...]]:
    return [
        (d.kind, d.uid, d.field, d.master, d.replica)
        for d in _parity.compare_records("anna", "user.anna", master, replica, lambda: None)
    ]


@pytest.mark.parametrize(
    ("fields", "found"),
    [
        ({"guid": "cd"}, ("message_guid", 7, "guid", "ab", "cd")),
        ({"flags": frozenset()}, ("message_flags", 7, "\\seen", True, False)),
        (
            {"flags": frozenset({"\\seen", "$x"})},
            ("message_flags", 7, "$x", False, True),
        ),
        ({"internaldate": 91}, ("message_internaldate", 7, "internaldate", 90, 91)),
        ({"modseq": 6}, ("message_modseq", 7, "modseq", 5, 6)),
        ({"last_updated": 101}, ("message_modseq", 7, "last_updated", 100, 101)),
        ({"size": 1235}, ("message_size", 7, "size", 1234, 1235)),
        (
            {"annotations": (("/comment", "anna", "x"),)},
            ("message_annotation", 7, "/comment (anna)", None, "x"),
        ),
        ({"flags": EXPUNGED.flags}, ("message_expunged", 7, "expunged", False, True)),
    ],
)
def test_each_field_of_a_message(fields: dict[str, Any], found: tuple[Any, ...]) -> None:
    copy = dataclasses.replace(MESSAGE, **fields)
    assert records([raw(MESSAGE)], [raw(copy)]) == [found]
    kind, uid, field, mine, theirs = found
    assert records([raw(copy)], [raw(MESSAGE)]) == [(kind, uid, field, theirs, mine)]


def test_order_and_case_of_flags_are_irrelevant() -> None:
    message = dataclasses.replace(MESSAGE, flags=frozenset({"\\seen", "$a", "$b"}))
    mine, copy = raw(message, ["\\Seen", "$a", "$B"]), raw(message, ["$b", "$A", "\\seen"])
    assert mine != copy
    assert records([mine], [copy]) == []


def test_message_on_one_side_only() -> None:
    assert records([raw(MESSAGE)], []) == [("message", 7, "guid", "ab", None)]
    assert records([], [raw(MESSAGE)]) == [("message", 7, "guid", None, "ab")]


def test_expunged_messages() -> None:
    """They may be cleaned up on one side first, and nothing of them counts any more."""
    other = dataclasses.replace(EXPUNGED, modseq=99, guid="cd", flags=frozenset({"\\expunged"}))
    assert records([raw(EXPUNGED)], []) == records([], [raw(EXPUNGED)]) == []
    assert records([raw(EXPUNGED)], [raw(other)]) == []


@pytest.mark.parametrize("side", [0, 1])
def test_records_out_of_order(side: int) -> None:
    later = dataclasses.replace(MESSAGE, uid=8)
    streams = [[raw(later), raw(MESSAGE)], [raw(dataclasses.replace(later, size=1))]]
    with pytest.raises(FormatError, match="not in the order of their UIDs"):
        records(streams[side], streams[1 - side])


def test_record_that_is_not_understood() -> None:
    with pytest.raises(FormatError):
        records([b"%(UID 7)"], [])


FLAGS = ("\\seen", "$a", "$b")
CHANGES: dict[str, tuple[str, str]] = {
    "size": ("message_size", "size"),
    "modseq": ("message_modseq", "modseq"),
    "last_updated": ("message_modseq", "last_updated"),
    "internaldate": ("message_internaldate", "internaldate"),
}
messages = st.builds(
    Message,
    uid=st.just(0),
    modseq=st.integers(1, 9),
    last_updated=st.integers(1, 9),
    flags=st.frozensets(st.sampled_from(FLAGS)),
    internaldate=st.integers(1, 9),
    size=st.integers(1, 9),
    guid=st.sampled_from(["aa", "bb"]),
    annotations=st.sampled_from([(), (("/comment", "", "x"),)]),
)
PLANS = (
    *("same", "shuffled", "lost", "extra", "expunged", "lost expunged", "extra expunged"),
    *("guid", "flag", "annotation", *CHANGES),
)


def planted(
    uid: int, message: Message, plan: str
) -> tuple[bytes | None, bytes | None, tuple[object, ...] | None]:
    """What the master has, what the replica has, and what is to be found."""
    message = dataclasses.replace(message, uid=uid)
    mine, flags = raw(message), sorted(message.flags)
    if "expunged" in plan:
        gone = raw(message, [*flags, "\\Expunged"])
        if plan == "expunged":
            return mine, gone, ("message_expunged", uid, "expunged", False, True)
        return (gone, None, None) if plan.startswith("lost") else (None, gone, None)
    if plan == "same":
        return mine, mine, None
    if plan == "shuffled":
        return mine, raw(message, flags[::-1]), None
    if plan == "lost":
        return mine, None, ("message", uid, "guid", message.guid, None)
    if plan == "extra":
        return None, mine, ("message", uid, "guid", None, message.guid)
    if plan == "guid":
        copy = dataclasses.replace(message, guid="cc")
        return mine, raw(copy), ("message_guid", uid, "guid", message.guid, "cc")
    if plan == "flag":
        copy = dataclasses.replace(message, flags=message.flags ^ {"$a"})
        had = "$a" in message.flags
        return mine, raw(copy), ("message_flags", uid, "$a", had, not had)
    if plan == "annotation":
        copy = dataclasses.replace(message, annotations=(*message.annotations, ("/z", "ben", "y")))
        return mine, raw(copy), ("message_annotation", uid, "/z (ben)", None, "y")
    value = getattr(message, plan) + 10
    copy = dataclasses.replace(message, **{plan: value})
    kind, field = CHANGES[plan]
    return mine, raw(copy), (kind, uid, field, getattr(message, plan), value)


@given(st.lists(st.tuples(st.integers(1, 3), messages, st.sampled_from(PLANS)), max_size=30))
def test_exactly_what_was_planted_is_found(plans: list[tuple[int, Message, str]]) -> None:
    mine, copy, expected = [], [], []
    uid = 0
    for step, message, plan in plans:
        uid += step
        ours, theirs, found = planted(uid, message, plan)
        mine += [ours] if ours else []
        copy += [theirs] if theirs else []
        expected += [found] if found else []
    assert records(mine, copy) == expected

    def mirrored() -> Iterator[tuple[object, ...]]:
        for kind, uid, field, master, replica in expected:
            yield kind, uid, field, replica, master

    assert records(copy, mine) == list(mirrored())


@given(st.lists(st.tuples(messages, st.booleans(), st.booleans()), max_size=20))
def test_every_uid_is_counted_once(plans: list[tuple[Message, bool, bool]]) -> None:
    both: tuple[list[bytes], list[bytes]] = ([], [])
    for uid, (message, *sides) in enumerate(plans, start=1):
        for side, has in zip(both, sides):
            side += [raw(dataclasses.replace(message, uid=uid))] if has else []
    counted: list[None] = []
    list(_parity.compare_records("anna", "x", *both, lambda: counted.append(None)))
    assert len(counted) == sum(mine or copy for _message, mine, copy in plans)


# -- whatever chance puts together

mailboxes = st.builds(
    Mailbox,
    name=st.sampled_from(["user.anna", "user.anna.Sent", GONE.name]),
    uniqueid=st.sampled_from(["u1", "u2", ""]),
    mboxtype=st.sampled_from(["", "c"]),
    sync_crc=st.integers(0, 2),
    sync_crc_annot=st.sampled_from([None, 1, 2]),
    last_uid=st.integers(0, 2),
    highestmodseq=st.integers(0, 2),
    uidvalidity=st.integers(0, 2),
    partition=st.sampled_from(["default", ""]),
    acl=st.sampled_from(["", "anna\tlrs\t", "anna\tsrl\t", "broken"]),
    options=st.sampled_from(["", "P"]),
    pop3_show_after=st.integers(0, 1),
    quota_root=st.sampled_from([None, "user.anna"]),
    annotations=st.sampled_from([(), (("/c", "", "x"),), (("/c", "", "y"), ("/c", "ben", "z"))]),
    user_flags=st.sampled_from([None, frozenset({"$a"}), frozenset({"$b"})]),
)
states = st.builds(
    lambda boxes, **more: state(*boxes, **more),
    st.lists(mailboxes, max_size=3),
    subscriptions=st.frozensets(st.sampled_from("ab")),
    seen=st.dictionaries(st.just("u9"), st.just(SEEN)),
    scripts=st.dictionaries(
        st.just("s"), st.builds(Script, st.just("s"), st.text("a"), st.booleans())
    ),
)


@given(states)
def test_equal_states_have_no_difference(whole: State) -> None:
    assert of_user(whole, whole) == []


def without_deleted(whole: State) -> State:
    """Deleted mailboxes are the one thing that counts on the master's side alone."""
    kept = {n: m for n, m in whole.mailboxes.items() if not n.startswith("DELETED.")}
    return dataclasses.replace(whole, mailboxes=kept)


@given(states, states)
def test_sides_are_treated_alike(mine: State, copy: State) -> None:
    mine, copy = without_deleted(mine), without_deleted(copy)
    there, back = of_user(mine, copy), of_user(copy, mine)
    assert [(*rest, replica, master) for *rest, master, replica in back] == there
    for *_rest, master, replica in there:
        assert master != replica


@given(states, states)
def test_pairing_renames_loses_nothing_else(mine: State, copy: State) -> None:
    found = list(_parity.compare_user("anna", mine, copy))
    paired = _parity.pair_renames(found)
    renames = [d for d in paired if d.kind == "mailbox_name"]
    assert all(d.master != d.replica for d in renames)
    others = [d for d in found if d.kind != "mailbox"]
    assert [d for d in paired if d.kind not in ("mailbox", "mailbox_name")] == others
