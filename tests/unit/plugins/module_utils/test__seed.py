# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a new channel begins with."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _seed
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store


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


@pytest.mark.parametrize(
    ("channel", "heartbeats"), [("imap2", ["imap3"]), ("imap3", ["imap2"]), ("imap4", ["imap3"])]
)
def test_the_heartbeat_comes_when_all_has_come(
    channel: str, heartbeats: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    hosts: list[dict[str, Any]] = [{"name": f"imap{n}", "address": f"imap{n}"} for n in (1, 2, 3)]
    hosts.append({"name": "imap4", "address": "imap4", "upstream": "imap2"})
    store = Store.load({"name": "s", "hosts": hosts})
    logged: dict[str, list[str]] = {}
    monkeypatch.setattr(_seed, "log", lambda _install, name, found: logged.update({name: found}))
    names = ["cyrus-heartbeat-imap2", "cyrus-heartbeat-imap3", "user.anna"]
    install: Any = SimpleNamespace(mailboxes=lambda: [SimpleNamespace(name=n) for n in names])
    _seed.seed(install, store, "imap1", [channel])
    wanted = [f"MAILBOX cyrus-heartbeat-{name}" for name in heartbeats]
    assert logged == {channel: [*wanted, "USER anna"]}
