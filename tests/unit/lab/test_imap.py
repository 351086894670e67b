# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import io

import pytest

from tests.lab.errors import LabError
from tests.lab.imap import Imap, Literal, mailbox


@pytest.mark.parametrize(
    ("name", "wire"),
    [
        ("INBOX/a b  c", '"INBOX/a b  c"'),
        ("Übung", '"&ANw-bung"'),
        ("日本語", '"&ZeVnLIqe-"'),
        ("a&b", '"a&-b"'),
        ('say "x\\"', '"say \\"x\\\\\\""'),
    ],
)
def test_mailbox(name: str, wire: str) -> None:
    assert mailbox(name) == wire


class Kept(io.BytesIO):
    """Keeps what was written when it is closed."""

    def close(self) -> None:
        self.kept = self.getvalue()
        super().close()


def test_literals_both_ways() -> None:
    writer = Kept()
    answers = b"* OK hello\r\n* 1 FETCH (X {4}\r\na\r\nb)\r\nA1 OK done\r\n* BYE\r\nA2 OK\r\n"
    with Imap(io.BytesIO(answers), writer) as session:
        assert session.run("APPEND x", Literal(b"hi")) == [b"* 1 FETCH (X {4}\r\na\r\nb)"]
    assert writer.kept == b"A1 APPEND x {2+}\r\nhi\r\nA2 LOGOUT\r\n"


def test_a_refusal_says_what_was_refused() -> None:
    session = Imap(io.BytesIO(b"* OK\r\nA1 NO Permission denied\r\n"), io.BytesIO())
    with pytest.raises(LabError, match="CREATE x: NO Permission denied"):
        session.run("CREATE x")
