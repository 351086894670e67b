# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Answers to GET requests as values, by the release of Cyrus that gave them."""

from __future__ import annotations

import contextlib

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist
from ansible_collections.mailops.cyrus.plugins.module_utils._dlist import FormatError
from ansible_collections.mailops.cyrus.plugins.module_utils._model import (
    Mailbox,
    Message,
    Quota,
    State,
)
from hypothesis import given
from hypothesis import strategies as st

# Written after the fields that imap/sync_support.c of each release sets, in its order.
COUNTERS = (
    b"LAST_UID 3 HIGHESTMODSEQ 9 RECENTUID 0 RECENTTIME 0 LAST_APPENDDATE 1795434000"
    b" POP3_LAST_LOGIN 0 POP3_SHOW_AFTER 0"
)
SYNTHETIC = {
    "3.2": b"MAILBOX %(UNIQUEID u1 MBOXNAME user.anna SYNC_CRC 11 SYNC_CRC_ANNOT 12345678 "
    + COUNTERS
    + b' UIDVALIDITY 1795434000 PARTITION default ACL "anna\tlrswipkxtecda\t" OPTIONS P'
    b" QUOTAROOT user.anna)",
    "3.6": b"MAILBOX %(UNIQUEID u1 MBOXNAME user.anna SYNC_CRC 11 SYNC_CRC_ANNOT 12345678 "
    + COUNTERS
    + b' XCONVMODSEQ 4 RACLMODSEQ 2 UIDVALIDITY 1795434000 PARTITION default ACL "anna\t'
    b'lrswipkxtecdan\t" OPTIONS P QUOTAROOT user.anna CREATEDMODSEQ 1 FOLDERMODSEQ 5)',
    "3.12": b"MAILBOX %(UNIQUEID u1 MBOXNAME user.anna SYNC_CRC 11 SYNC_CRC_ANNOT 12345678 "
    + COUNTERS
    + b' USERGROUPS "" UIDVALIDITY 1795434000 PARTITION default ACL "anna\tlrswipkxtecdan\t"'
    b' OPTIONS P CREATEDMODSEQ 1 FOLDERMODSEQ 5 USERFLAGS ($Label1 "" Junk))',
    "3.6 intermediate": b"MAILBOX %(UNIQUEID u1 MBOXNAME user.anna.a MBOXTYPE ei SYNC_CRC 0"
    b" LAST_UID 0 HIGHESTMODSEQ 0 RECENTUID 0 RECENTTIME 0 LAST_APPENDDATE 0 POP3_LAST_LOGIN 0"
    b' POP3_SHOW_AFTER 0 UIDVALIDITY 1795434000 PARTITION NIL ACL NIL OPTIONS ""'
    b" CREATEDMODSEQ 3 FOLDERMODSEQ 3)",
}
RECORD = (
    b"%(UID 3 MODSEQ 8 LAST_UPDATED 1795434001 FLAGS (\\Seen $Label1) INTERNALDATE 1795434000"
    b" SIZE 1234 GUID 0123456789abcdef0123456789abcdef01234567)"
)


def mailbox(release: str) -> Mailbox:
    (found,) = list(State.parse([SYNTHETIC[release]]).mailboxes.values())
    return found


@pytest.mark.parametrize("release", ["3.2", "3.6", "3.12"])
def test_mailbox(release: str) -> None:
    found = mailbox(release)
    assert (found.name, found.uniqueid, found.mboxtype) == ("user.anna", "u1", "")
    assert (found.sync_crc, found.sync_crc_annot) == (11, 12345678)
    assert (found.last_uid, found.highestmodseq, found.uidvalidity) == (3, 9, 1795434000)
    assert (found.partition, found.options, found.annotations) == ("default", "P", ())
    assert found.quota_root == (None if release == "3.12" else "user.anna")
    assert list(found.acl_rights()) == ["anna"]
    assert found.user_flags == (frozenset({"$Label1", "Junk"}) if release == "3.12" else None)


@pytest.mark.parametrize(
    ("crc", "last_uid", "tells"), [(0, 0, True), (0, 5, False), (7, 5, True), (7, 0, True)]
)
def test_crc_that_says_nothing(crc: int, last_uid: int, tells: bool) -> None:
    line = SYNTHETIC["3.6"].replace(b"SYNC_CRC 11", b"SYNC_CRC %d" % crc)
    line = line.replace(b"LAST_UID 3", b"LAST_UID %d" % last_uid)
    assert State.parse([line]).mailboxes["user.anna"].crc_tells == tells


def test_rights_in_any_order_are_the_same() -> None:
    line = SYNTHETIC["3.6"].replace(b"anna\tlrswipkxtecdan\t", b"ben\tsrl\tanyone\t0p\t")
    rights = State.parse([line]).mailboxes["user.anna"].acl_rights()
    assert rights == {"ben": "lrs", "anyone": "0p"}


def test_annotations_of_a_mailbox() -> None:
    line = SYNTHETIC["3.6"][:-1] + (
        b' ANNOTATIONS (%(ENTRY /vendor/x USERID NIL VALUE "b" MODSEQ 3) %(ENTRY /specialuse USERID'
        b' anna VALUE {7+}\r\n\\Sent\r\n MODSEQ 4) %(ENTRY /comment USERID "" VALUE NIL)))'
    )
    assert State.parse([line]).mailboxes["user.anna"].annotations == (
        ("/comment", "", ""),
        ("/specialuse", "anna", "\\Sent\r\n"[:7]),
        ("/vendor/x", "", "b"),
    )


def test_message() -> None:
    message = Message.parse(RECORD)
    assert (message.uid, message.modseq, message.size) == (3, 8, 1234)
    assert message.flags == {"\\seen", "$label1"}
    assert not message.expunged
    assert Message.parse(RECORD.replace(b"\\Seen", b"\\Expunged")).expunged


def test_state_of_a_user() -> None:
    state = State.parse(
        [
            SYNTHETIC["3.6"],
            b"LSUB (user.anna.Sent shared.info)",
            b"SEEN %(UNIQUEID u9 LASTREAD 5 LASTUID 2 LASTCHANGE 6 SEENUIDS 1:2)",
            b'SEEN %(UNIQUEID u8 LASTREAD 5 LASTUID 0 LASTCHANGE 6 SEENUIDS "")',
            b"SIEVE %(FILENAME main.siv LAST_UPDATE 4 GUID aa ISACTIVE 1)",
            b"SIEVE %(FILENAME old.siv LAST_UPDATE 4 GUID bb ISACTIVE 0)",
            b"QUOTA %(ROOT user.anna LIMIT 1000 STORAGE 1000 MESSAGE 50 MODSEQ 3)",
            b"ANNOTATION %(MBOXNAME NIL ENTRY /motd USERID NIL VALUE hello MODSEQ 0)",
        ]
    )
    assert list(state.mailboxes) == ["user.anna"]
    assert state.subscriptions == {"user.anna.Sent", "shared.info"}
    assert (state.seen["u9"].seen_uids, state.seen["u8"].seen_uids) == ("1:2", "")
    assert [script.active for script in state.scripts.values()] == [True, False]
    assert state.quotas["user.anna"].limits == (("MESSAGE", "50"), ("STORAGE", "1000"))
    assert state.annotations == (("/motd", "", "hello"),)


def test_storage_limit_by_either_name() -> None:
    old = Quota.of({"ROOT": "user.anna", "LIMIT": "1000"})
    new = Quota.of({"ROOT": "user.anna", "STORAGE": "1000", "MODSEQ": "3"})
    assert old == new


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"MAILBOX", "not a name and a value"),
        (b"%(A b) MAILBOX", "not a name and a value"),
        (b"MAILBOX %(A b) c", "not a name and a value"),
        (b"MAILBOX (a b)", "MAILBOX is no key-value list"),
        (b"LSUB %(A b)", "LSUB is no list of words"),
        (b"LSUB (a (b))", "LSUB is no list of words"),
        (b"FUTURE %(A b)", "'FUTURE' is not known"),
        (SYNTHETIC["3.6"].replace(b"MBOXNAME user.anna ", b""), "MBOXNAME is missing"),
        (SYNTHETIC["3.6"].replace(b"MBOXNAME user.anna", b"MBOXNAME (a)"), "MBOXNAME is missing"),
        (SYNTHETIC["3.6"].replace(b"LAST_UID 3", b"LAST_UID -3"), "LAST_UID is no number: '-3'"),
        (SYNTHETIC["3.6"].replace(b"LAST_UID 3", "LAST_UID ²".encode()), "LAST_UID is no number"),
        (SYNTHETIC["3.6"].replace(b"LAST_UID 3", b"LAST_UID " + b"3" * 5000), "is no number"),
        (SYNTHETIC["3.6"][:-1] + b" ANNOTATIONS x)", "ANNOTATIONS is no list"),
        (SYNTHETIC["3.6"][:-1] + b" ANNOTATIONS (x))", "an annotation is no key-value list"),
        (SYNTHETIC["3.12"].replace(b"(\\$Label1", b"(()").replace(b"Junk", b"()"), "USERFLAGS"),
        (SYNTHETIC["3.6"][:-1], "cut off"),
    ],
)
def test_not_understood(line: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        State.parse([line])


@pytest.mark.parametrize(
    "record",
    [
        b"(UID 3)",
        b"%(UID 3) x",
        b"x",
        b"",
        RECORD.replace(b"UID 3", b"UID NIL"),
        RECORD.replace(b"(\\Seen $Label1)", b"\\Seen"),
        RECORD.replace(b"MODSEQ 8", "MODSEQ ²".encode()),
    ],
)
def test_record_that_is_not_understood(record: bytes) -> None:
    with pytest.raises(FormatError):
        Message.parse(record)


def test_intermediate_mailbox() -> None:
    """A name with mailboxes below it and none itself: no CRC of annotations, and no records."""
    found = mailbox("3.6 intermediate")
    assert found.is_intermediate
    assert not mailbox("3.6").is_intermediate
    assert (found.sync_crc, found.sync_crc_annot, found.partition, found.acl) == (0, None, "", "")


fields = st.dictionaries(
    st.sampled_from(["UID", "MODSEQ", "FLAGS", "ANNOTATIONS", "MBOXNAME", "LAST_UID", "ROOT"]),
    st.recursive(
        st.one_of(st.none(), st.text("a1²\udcff", max_size=3)),
        lambda inner: st.one_of(
            st.lists(inner, max_size=2),
            st.dictionaries(st.sampled_from(["ENTRY", "VALUE"]), inner, max_size=2),
        ),
        max_leaves=4,
    ),
)


@given(st.sampled_from([b"MAILBOX", b"SEEN", b"SIEVE", b"QUOTA", b"ANNOTATION", b"LSUB"]), fields)
def test_any_fields_are_understood_or_refused(kind: bytes, value: dict[str, _dlist.Value]) -> None:
    with contextlib.suppress(FormatError):
        State.parse([kind + b" " + _dlist.serialise(value)])
    with contextlib.suppress(FormatError):
        Message.parse(_dlist.serialise(value))


WORDS = [b"\\Seen", b"$Label1", b"\\Expunged", b"Junk", b"a\xff"]
ENTRY = b'%(ENTRY /vendor/cmu/cyrus-imapd/savedate USERID "" MODSEQ 0 VALUE 1795441587)'
OTHER = b'%(ENTRY /comment USERID "" MODSEQ 3 VALUE 7)'
ODD = b'%(ENTRY /comment USERID anna MODSEQ 3 VALUE "a b")'


@given(
    st.lists(st.sampled_from(WORDS), max_size=3),
    st.lists(st.sampled_from([ENTRY, OTHER, ODD]), max_size=3),
    st.booleans(),
)
def test_the_quick_way_and_the_slow_one_find_the_same(
    flags: list[bytes], annotations: list[bytes], listed: bool
) -> None:
    more = b" ANNOTATIONS (" + b" ".join(annotations) + b")" if listed or annotations else b""
    record = RECORD.replace(b"(\\Seen $Label1)", b"(" + b" ".join(flags) + b")")[:-1] + more + b")"
    assert Message.parse(record) == Message.parse_any(record)
