# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether what an event is about has arrived, between two servers that are tables."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _names
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Target
from ansible_collections.mailops.cyrus.plugins.module_utils._proof import Proof
from ansible_collections.mailops.cyrus.plugins.module_utils._session import Session
from ansible_collections.mailops.cyrus.tests.unit.plugins.module_utils.tables import (
    Server,
    record,
)

INBOX = Target("mailbox", "user.anna")
ANNA = Target("user", "anna")
META = Target("meta", "anna")
SEEN = b"SEEN %%(UNIQUEID id LASTREAD 1 LASTUID 2 LASTCHANGE %d SEENUIDS 1:2)"
SCRIPT = b"SIEVE %(FILENAME away.script LAST_UPDATE 1 GUID abc ISACTIVE 0)"


class Pair:
    def __init__(self) -> None:
        self.master, self.replica = Server(), Server()
        self.ticks = 0

    def both(self, name: str, **fields: str | int) -> None:
        self.master.add(name, record(1), record(2), **fields)
        self.replica.add(name, record(1), record(2), **fields)

    def proof(self) -> Proof:
        sessions = cast(Session, self.master), cast(Session, self.replica)
        return Proof(*sessions, self._live, self._tick)

    def _live(self, users: Collection[str]) -> dict[str, list[str]]:
        return {
            user: [n for n in self.master.mailboxes if _names.owner(n) == user] for user in users
        }

    def _tick(self) -> None:
        self.ticks += 1

    def unproven(
        self,
        *targets: Target,
        run: Callable[[], object] = lambda: None,
        meanwhile: Callable[[], object] = lambda: None,
    ) -> dict[Target, str]:
        """What is left after both looks; `run` is what sync_client does, `meanwhile` what users
        do until the second look."""
        proof = self.proof()
        before = proof.before(targets)
        run()
        behind = proof.behind(targets, before)
        meanwhile()
        return proof.unproven(behind, before) if behind else {}


@pytest.fixture
def pair() -> Pair:
    pair = Pair()
    pair.both("user.anna")
    pair.both("user.anna.Sent")
    return pair


def test_what_is_equal_has_arrived(pair: Pair) -> None:
    everything = [INBOX, ANNA, META, Target("quota", "user.anna"), Target("server", "")]
    assert pair.unproven(*everything) == {}
    assert pair.ticks


@pytest.mark.parametrize(
    "field", ["UIDVALIDITY", "LAST_UID", "HIGHESTMODSEQ", "SYNC_CRC", "SYNC_CRC_ANNOT"]
)
def test_any_counter_that_differs_is_missing_work(pair: Pair, field: str) -> None:
    pair.replica.mailboxes["user.anna"][field] = "5"
    assert list(pair.unproven(INBOX, ANNA)) == [INBOX, ANNA]


def test_what_the_client_brings_has_arrived(pair: Pair) -> None:
    pair.master.mailboxes["user.anna"].update(LAST_UID="3", HIGHESTMODSEQ="10", SYNC_CRC="77")

    def run() -> None:
        pair.replica.mailboxes["user.anna"] = dict(pair.master.mailboxes["user.anna"])

    assert pair.unproven(INBOX, run=run) == {}


def test_a_master_that_goes_on_does_not_hide_what_has_arrived(pair: Pair) -> None:
    def newer() -> None:
        pair.master.mailboxes["user.anna"].update(LAST_UID="4", HIGHESTMODSEQ="12", SYNC_CRC="78")

    def arrives_and_goes_on() -> None:
        newer()
        pair.replica.mailboxes["user.anna"] = dict(pair.master.mailboxes["user.anna"])
        pair.master.mailboxes["user.anna"].update(LAST_UID="5", HIGHESTMODSEQ="13", SYNC_CRC="79")

    assert pair.unproven(INBOX, ANNA, run=arrives_and_goes_on) == {}


def test_a_replica_that_is_ahead_of_its_master_proves_nothing(pair: Pair) -> None:
    pair.replica.mailboxes["user.anna"].update(LAST_UID="9", HIGHESTMODSEQ="99", SYNC_CRC="78")
    assert list(pair.unproven(INBOX)) == [INBOX]


def test_a_replica_that_stays_behind_while_the_master_goes_on_is_not_proven(pair: Pair) -> None:
    pair.master.mailboxes["user.anna"].update(LAST_UID="3", HIGHESTMODSEQ="10", SYNC_CRC="77")

    def goes_on() -> None:
        pair.master.mailboxes["user.anna"].update(LAST_UID="4", HIGHESTMODSEQ="11", SYNC_CRC="78")

    assert list(pair.unproven(INBOX, meanwhile=goes_on)) == [INBOX]


def test_another_mailbox_of_that_name_is_told(pair: Pair) -> None:
    pair.replica.mailboxes["user.anna"]["UNIQUEID"] = "other"
    assert "another mailbox" in pair.unproven(INBOX)[INBOX]


def test_a_mailbox_that_cannot_be_opened_has_not_arrived(pair: Pair) -> None:
    pair.replica.hidden["user.anna"] = "IMAP_MAILBOX_BADFORMAT damaged"
    assert pair.unproven(INBOX)[INBOX] == "IMAP_MAILBOX_BADFORMAT damaged"


def test_nor_one_that_the_master_cannot_open(pair: Pair) -> None:
    pair.master.hidden["user.anna"] = "IMAP_IOERROR broken"
    assert pair.unproven(INBOX)[INBOX] == "IMAP_IOERROR broken"


def test_a_mailbox_that_is_gone_has_to_be_gone_on_the_replica(pair: Pair) -> None:
    gone, kept = Target("mailbox", "user.anna.Gone"), Target("mailbox", "user.anna.Old")
    pair.replica.add("user.anna.Old", record(1))
    assert list(pair.unproven(gone, kept)) == [kept]


def test_what_expired_on_the_master_may_stay_on_the_replica(pair: Pair) -> None:
    name = "DELETED.user.anna.Old.5F3A9C12"
    pair.replica.add(name, record(1))
    assert pair.unproven(Target("mailbox", name)) == {}


def test_a_name_only_on_the_master_needs_no_mailbox_on_the_replica(pair: Pair) -> None:
    pair.master.add("user.anna.above", MBOXTYPE="i")
    assert pair.unproven(Target("mailbox", "user.anna.above")) == {}


def test_a_mailbox_only_on_the_master_has_not_arrived(pair: Pair) -> None:
    pair.master.add("user.anna.New", record(1))
    assert "user.anna.New" in pair.unproven(ANNA)[ANNA]


def test_a_user_who_is_gone_has_to_be_gone_there(pair: Pair) -> None:
    zoe = Target("user", "zoe")
    assert pair.unproven(zoe) == {}
    pair.replica.add("user.zoe")
    pair.replica.meta["zoe"] = [pair.replica._mailbox("user.zoe")]
    assert "gone" in pair.unproven(zoe)[zoe]


@pytest.mark.parametrize(
    ("mine", "copy", "arrived"),
    [
        ([b"LSUB (user.anna)"], [], False),
        ([], [b"LSUB (user.anna)"], False),
        ([SEEN % 5], [], False),
        ([SEEN % 5], [SEEN % 4], False),
        ([SEEN % 5], [SEEN % 6], True),
        ([], [SEEN % 6], True),
        # Between two of 3.5 and newer a mailbox carries them.
        ([SCRIPT], [], True),
    ],
)
def test_what_is_a_users_own(
    pair: Pair, mine: list[bytes], copy: list[bytes], arrived: bool
) -> None:
    pair.master.meta["anna"], pair.replica.meta["anna"] = mine, copy
    assert (pair.unproven(META) == {}) is arrived


def test_scripts_of_older_versions_have_to_be_equal(pair: Pair) -> None:
    pair.replica.version = (3, 2)
    pair.master.meta["anna"] = [SCRIPT]
    assert "away" in pair.unproven(META)[META]


def test_a_user_whom_both_refuse_is_nobodys_failure(pair: Pair) -> None:
    pair.master.refuses["META"] = pair.replica.refuses["META"] = "IMAP_INVALID_USER no such user"
    assert pair.unproven(META) == {}
    del pair.master.refuses["META"]
    assert list(pair.unproven(META)) == [META]


def test_quota_limits_and_server_annotations(pair: Pair) -> None:
    quota, server = Target("quota", "user.anna"), Target("server", "")
    pair.master.quotas["user.anna"] = b"QUOTA %(ROOT user.anna LIMIT 10 STORAGE 10)"
    pair.master.annotations = [b'ANNOTATION %(ENTRY /motd USERID "" VALUE hello)']
    assert list(pair.unproven(quota, server)) == [quota, server]


def test_a_scripts_mailbox_is_read_although_it_is_passed_over(pair: Pair) -> None:
    pair.both("user.anna.#sieve")
    scripts = Target("mailbox", "user.anna.#sieve")
    assert pair.unproven(scripts) == {}
    assert "FULLMAILBOX user.anna.#sieve" in pair.replica.asked


def test_an_answer_without_sense_is_of_one_target_alone(pair: Pair) -> None:
    pair.replica.mailboxes["user.anna"]["LAST_UID"] = "many"
    pair.replica.meta["anna"] = [b"NONSENSE"]
    assert list(pair.unproven(INBOX, META, Target("mailbox", "user.anna.Sent"))) == [INBOX, META]
