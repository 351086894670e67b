# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _transport
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

TEXT = """\
# example.com old:
example.com\tlmtp:inet:[192.0.2.11]:24
.example.com
    lmtp:inet:[192.0.2.11]:24
other.test discard:
"""


def test_only_the_keys_change() -> None:
    text = _transport.with_nexthop(TEXT, ["example.com", ".example.com"], "lmtp:inet:[b]:24")
    assert text.splitlines() == [
        "# example.com old:",
        "example.com\tlmtp:inet:[b]:24",
        ".example.com lmtp:inet:[b]:24",
        "other.test discard:",
    ]
    assert _transport.with_nexthop(text, ["example.com"], "lmtp:inet:[b]:24") == text


def test_key_that_is_missing_is_refused() -> None:
    with pytest.raises(ReplicationError, match=r"no line for example.org, x: see keys"):
        _transport.with_nexthop(TEXT, ["example.com", "example.org", "x"], "b:")


@pytest.mark.parametrize(
    "configuration",
    ["transport_maps = hash:/etc/postfix/transport", "x = pcre:/a, hash:/etc/postfix/transport, b"],
)
def test_type_of_the_table(configuration: str) -> None:
    assert _transport.table_type(configuration, "/etc/postfix/transport") == "hash"


def test_table_that_postfix_does_not_read_is_refused() -> None:
    with pytest.raises(ReplicationError, match="Postfix does not read /etc/postfix/t"):
        _transport.table_type("transport_maps = hash:/etc/postfix/transport", "/etc/postfix/t")
