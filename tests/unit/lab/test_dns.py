# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from tests.lab.dns import configuration, zone


def test_the_key_may_change_the_service_alone() -> None:
    text = configuration("c2VjcmV0")
    assert 'secret "c2VjcmV0";' in text
    assert text.count("update-policy") == 1
    assert "update-policy { grant store1 name store1.lab.test. A AAAA; };" in text


def test_zone() -> None:
    lines = zone({"imap1": "198.51.100.11"}).splitlines()
    assert lines[0] == "$TTL 300"
    assert lines[1].split()[:3] == ["@", "SOA", "ns1.lab.test."]
    assert lines[-1] == "imap1 A 198.51.100.11"
