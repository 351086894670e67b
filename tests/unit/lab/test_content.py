# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from email import message_from_bytes

from tests.lab import content


def test_the_same_seed_gives_the_same_messages() -> None:
    first = list(content.messages(1, "anna", "Sent", 9))
    assert first == list(content.messages(1, "anna", "Sent", 9))
    assert first != list(content.messages(2, "anna", "Sent", 9))
    assert first != list(content.messages(1, "ben", "Sent", 9))
    assert len({message.body for message in first}) == 9


def test_messages_have_crlf_alone_and_some_attachments() -> None:
    bodies = [message.body for message in content.messages(1, "anna", "Sent", 9)]
    assert all(body.count(b"\n") == body.count(b"\r\n") for body in bodies)
    assert any(message_from_bytes(body).is_multipart() for body in bodies)


def test_large_is_a_megabyte() -> None:
    assert 1 << 20 < len(content.large(1, "anna").body) < 1.1 * (1 << 20)


def test_scripts_name_their_user() -> None:
    assert "anna is away" in content.scripts("anna")["away"]
