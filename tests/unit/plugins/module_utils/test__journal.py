# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lost events, from journalctl's output as Debian 12 wrote it."""

from __future__ import annotations

import json

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _command, _journal
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

LOG = "/var/lib/cyrus/sync/imap2/log"
LOST = [
    f"sync_log(): Unable to write to log file {LOG}: Permission denied",
    f"sync_log(): Failed to lock {LOG} for USER anna after 64 attempts",
    f"write() to {LOG} failed: No space left on device",
]
OTHER = [
    "sync_log(): Unable to write to log file /var/lib/cyrus/sync/imap23/log: Permission denied",
    "write() to /var/lib/cyrus/sync/log failed: No space left on device",
    f"Processing sync log file {LOG}-run failed: System I/O error",
    "couldn't authenticate to backend server: authentication failure",
]


def shown(*messages: object) -> str:
    return "".join(
        json.dumps({"__CURSOR": f"s=1;i={n}", "MESSAGE": message, "_BOOT_ID": "b"}) + "\n"
        for n, message in enumerate(messages)
    )


@pytest.mark.parametrize("message", LOST)
def test_lost_event_is_told(message: str) -> None:
    found = [f"Cyrus lost an event ({message}): compare all with parity"]
    assert _journal.parse(shown(OTHER[0], message, message), "s=0", "imap2") == (found, "s=1;i=2")


def test_other_errors_are_none_of_the_channel_s() -> None:
    assert _journal.parse(shown(*OTHER, None), None, "imap2") == ([], "s=1;i=4")


def test_a_process_that_was_killed_is_told_where_it_is_asked_for() -> None:
    death = "process type:SERVICE name:imap pid:7 signaled to death by signal 9 (Killed)"
    assert _journal.parse(shown(death), None, "imap2") == ([], "s=1;i=0")
    found = [f"Cyrus may have lost an event ({death}): compare all with parity"]
    assert _journal.parse(shown(death), None, "imap2", True) == (found, "s=1;i=0")


def test_nothing_new_keeps_the_cursor() -> None:
    assert _journal.parse("", "s=0", "imap2") == ([], "s=0")
    assert _journal.parse("", None, "imap2") == ([], None)


def test_message_that_is_no_text_is_read() -> None:
    (reason,), _cursor = _journal.parse(shown([*LOST[0].encode(), 0xFF]), None, "imap2")
    assert LOST[0] in reason


@pytest.mark.parametrize("line", ["nonsense", "[]", '{"MESSAGE": "x"}'])
def test_output_that_is_not_understood_is_an_error(line: str) -> None:
    with pytest.raises(ReplicationError, match="can't be understood"):
        _journal.parse(line + "\n", None, "imap2")


def test_more_than_can_be_read_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_journal, "_MOST", 2)
    (reason,), _cursor = _journal.parse(shown(*OTHER[:2]), None, "imap2")
    assert "more than 2 errors since the last look" in reason


def test_journal_that_can_not_be_read_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []

    def run(command: list[str], timeout: float) -> _command.Completed:
        asked.append(command)
        return _command.Completed(command, 1, "", "No journal files were opened\n")

    monkeypatch.setattr(_command, "run", run)
    monkeypatch.setattr(_journal, "_uid", lambda: 107)
    for cursor in (None, "s=0"):
        with pytest.raises(ReplicationError, match="can't be read: No journal files were opened"):
            _journal.failed_log_writes(cursor, "imap2")
    assert [word for word in asked[1] if word not in asked[0]] == ["--after-cursor=s=0"]
