# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an administrator is told, by what Cyrus 3.6.1 said of each failure on real hosts."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._advice import advise
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Target

BAD_PROTOCOL = (
    "IOERROR: zero length response: command=<RESTART> prot_error=<end of file reached> "
    "func=<sync_parse_response>",
    "Error in do_sync(): bailing out! Bad protocol",
)


def told(reason: str = "the checksums differ", **finding: Any) -> tuple[str, str]:
    found = {
        "target": Target("mailbox", "user.anna.Sent"),
        "host": {"master": "imap1", "replica": "imap2"},
        "side": None,
        "refusal": None,
        "differences": [],
        "said": [],
        "crashed": False,
        "stuck": False,
        **finding,
    }
    return advise(reason, found)


def test_damaged_index_on_the_replica() -> None:
    reason, advice = told("Unknown error", side="replica", refusal="Unknown error")
    assert reason == "imap2 can't open user.anna.Sent: its index or header there is damaged"
    assert "On imap2, not on imap1" in advice
    assert "cyrus sync_reset -f anna" in advice


def test_damaged_index_of_one_of_a_users_mailboxes() -> None:
    said = [
        "USER received NO response: Unknown error",
        "Error in do_sync(): bailing out! The remote Server(s) denied the operation",
    ]
    reason, advice = told("user.anna: Unknown error", target=Target("user", "anna"), said=said)
    assert reason == ("imap2 can't open a mailbox of the user anna: its index or header is damaged")
    assert "sync_reset -f anna" in advice


def test_what_a_user_is_subscribed_to_has_no_index() -> None:
    reason, advice = told(
        target=Target("meta", "anna"), said=["SUB received NO response: Unknown error"]
    )
    assert "damaged" not in reason
    assert "sync_reset" not in advice


def test_server_annotations_of_an_old_cyrus() -> None:
    _reason, advice = told("the server annotations differ", target=Target("server", ""))
    assert "by hand" in advice


def test_damaged_shared_mailbox_is_of_no_user() -> None:
    _reason, advice = told(
        target=Target("mailbox", "shared.x"), side="replica", refusal="Unknown error"
    )
    assert "sync_reset" not in advice
    assert "docs/operations.md" in advice


def test_other_mailbox_of_that_name() -> None:
    said = [
        "MAILBOX received NO response: IMAP_MAILBOX_MOVED Mailbox exists with another name or "
        "uniqueid",
        "do_folders(): update failed: user.anna.Sent 'Mailbox has been moved to another server'",
        "Error in do_sync(): bailing out! Mailbox has been moved to another server",
    ]
    for heard in (told(said=said), told("the replica has another mailbox of that name")):
        assert heard[0] == "imap2 has another mailbox under the name user.anna.Sent"
        assert heard[1].startswith("Find out what is in the one on imap2")


def test_message_file_missing_on_the_master() -> None:
    said = [
        "IOERROR: Failed to read file: sval=</var/spool/cyrus/mail/uuid/c/4/x/4.> "
        "syserror=<No such file or directory> func=<printfile>",
        "do_folders(): update failed: user.anna.Sent 'Bad protocol'",
        *BAD_PROTOCOL,
    ]
    reason, advice = told(said=said, crashed=True)
    assert reason == (
        "imap1 can't read /var/spool/cyrus/mail/uuid/c/4/x/4.: No such file or directory"
    )
    assert "from a backup" in advice
    assert "on imap1" in advice


@pytest.mark.parametrize(
    "said",
    [
        [
            "IOERROR: received bad response: command=<MESSAGE> response=<*> errmsg=<> "
            "func=<sync_parse_response>",
            *BAD_PROTOCOL,
        ],
        [
            "MAILBOX received NO response: Unknown error",
            "Error in do_sync(): bailing out! The remote Server(s) denied the operation",
        ],
    ],
    ids=["with a message", "empty"],
)
def test_partition_that_the_replica_does_not_have(said: list[str]) -> None:
    refusal = "IMAP_MAILBOX_NONEXISTENT No Such Mailbox"
    reason, advice = told("no such mailbox", said=said, side="replica", refusal=refusal)
    assert reason == "imap2 does not take user.anna.Sent, as if it did not know its partition"
    assert "imapd.conf of imap2" in advice


def test_script_that_the_replica_does_not_take() -> None:
    script = Target("mailbox", "user.anna.#sieve")
    heard = told(target=script, said=BAD_PROTOCOL, crashed=True)
    assert heard == told(
        "the Sieve script away is not the same on the replica", target=Target("meta", "anna")
    )
    assert heard[0] == "imap2 does not take a Sieve script of anna"
    assert "sieve_extensions" in heard[1]


def test_message_that_is_too_large_for_the_replica() -> None:
    said = [
        "IOERROR: received bad response: command=<MESSAGE> response=<BAD> "
        "errmsg=<IMAP_PROTOCOL_ERROR Failed to parse APPLY line> func=<sync_parse_response>"
    ]
    reason, advice = told(said=said)
    assert reason == "imap2 could not store a message of user.anna.Sent"
    assert "Make room" in advice


def test_damage_on_the_master() -> None:
    reason, advice = told(side="master", refusal="IMAP_IOERROR System I/O error")
    assert (
        reason
        == "imap1 itself can't open user.anna.Sent; Cyrus says: IMAP_IOERROR System I/O error"
    )
    assert "reconstruct it on imap1" in advice


def test_login_refused() -> None:
    reason, advice = told(said=["couldn't authenticate to backend server: no mechanism available"])
    assert reason == "imap2 refuses the channel's login"
    assert advice.startswith("Run setup")


def test_service_that_ends_and_client_that_does_not() -> None:
    for finding in ({"said": BAD_PROTOCOL}, {"crashed": True}):
        assert told(**finding)[0].startswith("the sync service of imap2 ends")
    assert told(stuck=True)[0].startswith("sync_client does not come to an end")


@pytest.mark.parametrize(
    ("target", "what"),
    [
        (Target("mailbox", "shared.x"), "shared.x"),
        (Target("user", "anna"), "the user anna"),
        (Target("meta", "anna"), "the subscriptions, seen state and scripts of anna"),
        (Target("quota", "user.anna"), "the quota of user.anna"),
        (Target("server", ""), "the server annotations"),
    ],
)
def test_what_nobody_knows(target: Target, what: str) -> None:
    reason, advice = told("they differ", target=target)
    assert reason == f"{what} does not replicate: they differ"
    assert "imap1 and imap2" in advice


def test_nothing_is_known_at_all() -> None:
    reason, advice = advise("they differ", {})
    assert "they differ" in reason
    assert "the master and the replica" in advice


@pytest.mark.parametrize(
    "finding",
    [
        {"side": "replica", "refusal": "Unknown error"},
        {"said": ["IMAP_MAILBOX_MOVED"]},
        {"crashed": True},
        {"stuck": True},
        {"target": Target("mailbox", "user.anna.#sieve")},
        {},
    ],
)
def test_a_copy_is_never_to_be_reconstructed(finding: dict[str, Any]) -> None:
    advice = told(**finding)[1]
    assert "econstruct" not in advice.replace("Never reconstruct", "")


def test_a_replica_that_passes_on_is_not_reconstructed() -> None:
    findings: tuple[dict[str, Any], ...] = (
        {"side": "master", "refusal": "System I/O error"},
        {"said": ["Failed to read file: sval=</var/spool/1.> syserror=<No such file>"]},
    )
    for finding in findings:
        reason, advice = told(relayed=True, **finding)
        assert reason.startswith("imap1")
        assert "imap1 is a replica itself, so never reconstruct it there" in advice
        assert "cyrus sync_reset -f anna" in advice
        assert "never" not in told(**finding)[1]
