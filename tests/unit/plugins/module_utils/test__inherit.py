# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What another channel keeps in quarantine has to be sent as well."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _inherit
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import Entry


def entry(scope: str, name: str, *events: str) -> Entry:
    told: dict[str, Any] = {"user": None, "mailbox": None, "reason": "x", "advice": None}
    return Entry(scope, name, **told, since="2026-11-01T10:00:00Z", by="replicator", events=events)


@pytest.mark.parametrize(
    ("held", "expected"),
    [
        (entry("user", "anna"), ["USER anna"]),
        (entry("meta", "anna", "META anna"), ["USER anna", "META anna"]),
        (entry("mailbox", "team.a b", "APPEND team"), ['MAILBOX "team.a b"', "APPEND team"]),
        (entry("quota", "user.anna", "QUOTA user.anna"), ["QUOTA user.anna"]),
        (entry("server", "", "ANNOTATION x"), ["ANNOTATION x"]),
    ],
)
def test_the_events_and_one_of_its_own(held: Entry, expected: list[str]) -> None:
    assert _inherit.lines(held) == expected
