# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new channel begins with."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _seed


@pytest.mark.parametrize(
    ("name", "quoted"),
    [
        ("user.anna", "user.anna"),
        ("", '""'),
        ("Sent Items", '"Sent Items"'),
        ('a"b\\c', '"a\\"b\\\\c"'),
        ("a(b)", '"a(b)"'),
        ("a{b}", '"a\\{b\\}"'),
    ],
)
def test_names_are_quoted_as_cyrus_does(name: str, quoted: str) -> None:
    assert _seed.quote(name) == quoted


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
        "USER anna\n",
        'MAILBOX "shared.Old Mail"\n',
        "USER o.hara\n",
        "USER ben@example.org\n",
        "MAILBOX example.org!shared\n",
    ]


def test_lines_are_added_to_what_waits(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"USER first\n")
    _seed._append(str(path), b"USER anna\n", os.getuid(), os.getgid())
    assert path.read_bytes() == b"USER first\nUSER anna\n"
