# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Names of mailboxes, in Cyrus's internal form and as an admin's IMAP shows them."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _names
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("mailbox", "user"),
    [
        ("user.anna", "anna"),
        ("user.anna.Sent.2026", "anna"),
        ("user.o^hara.Sent", "o.hara"),
        ("ex.org!user.anna.Sent", "anna@ex.org"),
        ("ex.org!user.o^hara", "o.hara@ex.org"),
        ("DELETED.user.anna.5f3a9c12", "anna"),
        ("DELETED.user.anna.Sent.5f3a9c12", "anna"),
        ("ex.org!DELETED.user.anna.5f3a9c12", "anna@ex.org"),
        ("shared.info", None),
        ("DELETED.shared.info.5f3a9c12", None),
        ("DELETED.shared.5f3a9c12", None),
        ("user", None),
        ("users.anna", None),
        ("ex.org!shared", None),
        ("", None),
    ],
)
def test_owner(mailbox: str, user: str | None) -> None:
    assert _names.owner(mailbox) == user


@pytest.mark.parametrize(
    ("mailbox", "deleted", "sieve"),
    [
        ("user.anna", False, False),
        ("user.anna.#sieve", False, True),
        ("user.anna.#sieves", False, False),
        ("ex.org!user.anna.#sieve", False, True),
        ("DELETED.user.anna.#sieve.5f3a9c12", True, True),
        ("ex.org!DELETED.user.anna.5f3a9c12", True, False),
        ("user.DELETED.x", False, False),
    ],
)
def test_kinds(mailbox: str, deleted: bool, sieve: bool) -> None:
    assert _names.is_deleted(mailbox) == deleted
    assert _names.is_sieve(mailbox) == sieve


@pytest.mark.parametrize(
    ("external", "delimiter", "virtdomains", "internal"),
    [
        ("user/anna/Sent", "/", False, "user.anna.Sent"),
        ("user/o.hara/a.b", "/", False, "user.o^hara.a^b"),
        ("user.anna.Sent", ".", False, "user.anna.Sent"),
        ("user/anna@ex.org", "/", False, "user.anna@ex^org"),
        ("user/anna/Sent@ex.org", "/", True, "ex.org!user.anna.Sent"),
        ("user.anna.Sent@ex.org", ".", True, "ex.org!user.anna.Sent"),
        ("user/anna", "/", True, "user.anna"),
    ],
)
def test_internal(external: str, delimiter: str, virtdomains: bool, internal: str) -> None:
    assert _names.internal(external, delimiter, virtdomains) == internal
    assert _names.external(internal, delimiter, virtdomains) == external


@given(st.text("abz09./^-", min_size=1).filter(lambda text: "^" not in text and "/" not in text))
def test_owner_of_what_imap_lists(userid: str) -> None:
    assert _names.owner(_names.internal(f"user/{userid}/Sent", "/")) == userid
