# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Postfix's files while mail is held, and the site's own back again."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _postfix_conf
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._holds import Hold

MAIN = """\
# of the site
myhostname = mx1.example.com
transport_maps = hash:/etc/postfix/transport,
# in between
  ldap:/etc/postfix/people.cf

maximal_queue_lifetime=1d"""
MASTER = """\
smtp      inet  n       -       y       -       -       smtpd
store1    unix  -       -       n       -       -       lmtp
  -o lmtp_sasl_auth_enable=yes
store10   unix  -       -       n       -       -       lmtp
"""
TABLE = "/etc/postfix/cyrus-held.regexp"
ONE = Hold("one", "postfix", transports=("store1",))
TWO = Hold("two", "postfix", domains=("b.example.com",))


@pytest.mark.parametrize("holds", [[ONE], [TWO], [ONE, TWO]])
@pytest.mark.parametrize("end", ["", "\n"])
def test_the_sites_text_comes_back_to_the_byte(holds: list[Hold], end: str) -> None:
    held = _postfix_conf.main_cf(MAIN + end, holds, TABLE)
    assert _postfix_conf.main_cf(held, holds, TABLE) == held
    assert _postfix_conf.main_cf(held, [], TABLE) == MAIN + end
    held = _postfix_conf.master_cf(MASTER + end, holds)
    assert _postfix_conf.master_cf(held, holds) == held
    assert _postfix_conf.master_cf(held, []) == MASTER + end


def test_our_table_stands_before_the_sites() -> None:
    found = {}
    for entry in _postfix_conf.entries(_postfix_conf.main_cf(MAIN, [TWO], TABLE)):
        name, _equals, value = entry.text.partition("=")
        assert name.strip() not in found
        found[name.strip()] = value.strip()
    assert found["transport_maps"] == (
        f"regexp:{TABLE} hash:/etc/postfix/transport, ldap:/etc/postfix/people.cf"
    )
    assert found["maximal_queue_lifetime"] == "100d"
    assert found["delay_warning_time"] == "0h"


def test_without_domains_the_sites_table_stays() -> None:
    assert f"\n{_postfix_conf.MARK}transport" not in _postfix_conf.main_cf(MAIN, [ONE], TABLE)
    assert _postfix_conf.table([ONE]) is None


def test_a_held_transport_defers() -> None:
    entries = _postfix_conf.entries(_postfix_conf.master_cf(MASTER, [ONE]))
    mine = [entry.text for entry in entries if entry.text.startswith("store1 ")]
    assert len(mine) == 1
    assert mine[0].endswith(
        "pipe flags= user=nobody"
        " argv=/bin/sh -c {printf '4.3.2 deliveries to the store one are held'; exit 75}"
    )
    assert any(entry.text.startswith("store10 ") for entry in entries)


@pytest.mark.parametrize(
    ("address", "held"),
    [("anna@b.example.com", True), ("a@x.b.example.com", False), ("a@bxexample.com", False)],
)
def test_the_table_means_the_domain_alone(address: str, held: bool) -> None:
    text = _postfix_conf.table([TWO])
    assert text is not None
    pattern, target = text.split()
    assert bool(re.search(pattern.strip("/"), address)) is held
    assert target == "cyrus-held:two"


def test_services() -> None:
    assert _postfix_conf.services(MASTER) == {"store1", "store10"}


def test_a_block_without_its_end_is_refused() -> None:
    with pytest.raises(ReplicationError, match=r"main\.cf begins a block"):
        _postfix_conf.main_cf(_postfix_conf.BEGIN + MAIN, [], TABLE)
