# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts whose passwords can't be read back."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _accounts
from ansible_collections.mailops.cyrus.plugins.module_utils._accounts import Account


def test_users_from_the_database() -> None:
    listed = "cyrus@imap1: userPassword\no.hara@imap1: userPassword\nlisting failed\n"
    assert _accounts.parse_users(listed) == {"cyrus@imap1", "o.hara@imap1"}


def test_a_password_is_kept_as_a_hash() -> None:
    kept = _accounts.remember("secret")
    assert "secret" not in kept
    assert _accounts.is_same("secret", kept)
    assert not _accounts.is_same("other", kept)
    assert not _accounts.is_same("secret", "")


def test_a_password_does_not_show() -> None:
    assert "secret" not in repr(Account("u", "secret", "/db", "r", "mail"))


def test_only_what_differs_is_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    users: set[str] = set()
    database = tmp_path / "db"

    def set_(account: Account) -> None:
        users.add(f"{account.user}@r")
        database.touch(0o640)

    monkeypatch.setattr(_accounts, "_users", lambda database: users)
    monkeypatch.setattr(_accounts, "_set", set_)
    kept = tmp_path / "accounts.json"

    def ensure(password: str, check: bool = False) -> bool:
        account = Account("u", password, str(database), "r", "mail")
        found = _accounts.ensure([account], check, str(kept))
        assert found in ([], [f"{database} u@r"])
        return bool(found)

    assert ensure("one", check=True)
    assert not users
    assert ensure("one")
    assert not ensure("one")
    assert ensure("two")
    assert not ensure("two")
    users.clear()
    assert ensure("two")
    # Somebody else has written to it, or made it unreadable.
    later = kept.stat().st_mtime + 1
    os.utime(database, (later, later))
    assert ensure("two", check=True)
    os.utime(database, (later - 9, later - 9))
    assert not ensure("two")
    database.chmod(0o600)
    assert ensure("two", check=True)


def test_a_database_that_others_write_to_is_theirs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = tmp_path / "accounts.json"
    account = Account("u", "one", "/etc/sasldb2", "r", "mail")
    monkeypatch.setattr(_accounts, "_users", lambda database: {"u@r"})
    monkeypatch.setattr(_accounts, "_set", lambda account: None)
    assert _accounts.ensure([account], False, str(kept))
    assert not _accounts.ensure([account], False, str(kept))
