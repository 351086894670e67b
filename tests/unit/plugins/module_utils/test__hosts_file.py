# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _hosts_file
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

TEXT = "127.0.0.1 localhost\n192.0.2.11 imap1.test imap1 # the first\n"
OURS = "192.0.2.11\tstore.test # mailops.cyrus\n"


def test_lines_are_added_replaced_in_their_place_and_removed() -> None:
    text = _hosts_file.with_entry(TEXT, "store.test", ["192.0.2.11"])
    assert text == TEXT + OURS
    more = text + "192.0.2.9 other\n"
    both = _hosts_file.with_entry(more, "Store.test", ["192.0.2.12", "2001:db8::12"])
    assert both.splitlines()[2:] == [
        "192.0.2.12\tStore.test # mailops.cyrus",
        "2001:db8::12\tStore.test # mailops.cyrus",
        "192.0.2.9 other",
    ]
    assert _hosts_file.with_entry(both, "store.test", []) == TEXT + "192.0.2.9 other\n"


@pytest.mark.parametrize("line", ["192.0.2.7 store.test", "192.0.2.7 a STORE.test # mine"])
def test_another_line_for_the_name_is_refused(line: str) -> None:
    with pytest.raises(ReplicationError, match=r"line of its own for store.test"):
        _hosts_file.with_entry(f"{TEXT}{line}\n", "store.test", ["192.0.2.11"])


def test_comments_count_for_nothing() -> None:
    text = "# 192.0.2.7 store.test\n"
    assert _hosts_file.with_entry(text, "store.test", ["192.0.2.11"]) == text + OURS


def test_what_is_no_address_is_refused() -> None:
    with pytest.raises(ReplicationError, match="give IP addresses"):
        _hosts_file.normal(["imap2"])


def test_effect_is_looked_at(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "hosts"
    file.write_text(TEXT)
    answer = "192.0.2.11"

    def resolve(name: str, port: None, family: int, kind: int) -> list[Any]:
        return [(family, kind, 6, "", (answer, 0))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    checked = _hosts_file.ensure("store.test", ["192.0.2.11"], check=True, path=str(file))
    assert checked == (TEXT, TEXT + OURS)
    assert file.read_text() == TEXT
    _hosts_file.ensure("store.test", ["192.0.2.11"], check=False, path=str(file))
    assert file.read_text() == TEXT + OURS
    answer = "192.0.2.99"
    with pytest.raises(ReplicationError, match=r"resolves to 192.0.2.99 here"):
        _hosts_file.ensure("store.test", ["192.0.2.11"], check=False, path=str(file))
