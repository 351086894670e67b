# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Accounts whose passwords can't be read back."""

from __future__ import annotations

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
    monkeypatch.setattr(_accounts, "_users", lambda database: users)
    monkeypatch.setattr(_accounts, "_set", lambda account: users.add(f"{account.user}@r"))
    kept = str(tmp_path / "accounts.json")

    def ensure(password: str, check: bool = False) -> list[str]:
        return _accounts.ensure([Account("u", password, "/db", "r", "mail")], check, kept)

    assert ensure("one", check=True) == ["/db u@r"]
    assert not users
    assert ensure("one") == ["/db u@r"]
    assert ensure("one") == []
    assert ensure("two") == ["/db u@r"]
    assert ensure("two") == []
    users.clear()
    assert ensure("two") == ["/db u@r"]
