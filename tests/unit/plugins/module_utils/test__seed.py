# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new channel begins with."""

from __future__ import annotations

from ansible_collections.mailops.cyrus.plugins.module_utils import _seed


def test_each_user_once_and_each_shared_mailbox() -> None:
    names = [
        "DELETED.user.anna.Alt.65A1B2C3",
        "shared.Old Mail",
        "user.anna",
        "user.anna.Sent",
        "user.o^hara",
        "example.org!user.ben",
        "example.org!shared",
    ]
    assert list(_seed.lines(names)) == [
        "USER anna",
        'MAILBOX "shared.Old Mail"',
        "USER o.hara",
        "USER ben@example.org",
        "MAILBOX example.org!shared",
    ]
