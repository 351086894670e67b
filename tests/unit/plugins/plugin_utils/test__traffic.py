# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _traffic

Entry = dict[str, Any]

GROUPS = {"all": ["imap1", "imap2", "mx1", "mx2"], "cyrus_mta": ["mx1", "mx2"]}
HOSTS_FILE: Entry = {"driver": "hosts_file", "name": "s.test", "hosts": ["cyrus_mta"]}
DNS: Entry = {
    "driver": "dns",
    "zone": "test",
    "name": "s.test",
    "server": "192.0.2.53",
    "key_name": "k",
    "key_secret": "c2VjcmV0",
}
VIP: Entry = {"driver": "vip", "address": "192.0.2.50/24"}
HOOK: Entry = {"driver": "hook", "tasks": "/x.yml"}
ALL = [HOSTS_FILE, DNS, VIP, HOOK]


def problems(*entries: Any, addresses: tuple[str, ...] = ("192.0.2.12",)) -> list[str]:
    return _traffic.problems(entries, addresses, "imap2", GROUPS)


def test_nothing_is_wrong() -> None:
    assert problems(*ALL) == []
    assert problems() == []


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ({"driver": "carrier"}, "entry 1: there is no driver carrier, use one of hosts_file, dns"),
        ({}, "there is no driver None"),
        ({**VIP, "address": ""}, "the driver vip needs address"),
        ({**VIP, "hosts": ["mx1"]}, "the driver vip has no hosts"),
        ({**HOSTS_FILE, "hosts": ["mx1", "mx9"]}, "hosts names mx9, which is no host"),
    ],
)
def test_what_is_wrong_is_told_and_left_out(entry: Entry, said: str) -> None:
    (found,) = problems(entry)
    assert said in found
    assert _traffic.numbers([entry, VIP], "point", GROUPS) == [1]


def test_secret_is_in_no_sentence() -> None:
    assert "c2VjcmV0" not in " ".join(problems({**DNS, "zone": "", "x": 1}))


def test_target_needs_addresses() -> None:
    assert "imap2.test is no IP address" in problems(DNS, addresses=("imap2.test",))[0]
    assert problems(VIP, HOOK, addresses=("imap2.test",)) == []


def test_who_works_when() -> None:
    for action in ("preflight", "point"):
        assert _traffic.numbers(ALL, action, GROUPS) == [0, 1, 2, 3]
    for action in ("prepare", "settle"):
        assert _traffic.numbers(ALL, action, GROUPS) == [1, 3]


def test_hosts_of_the_play_work_side_by_side_and_none_is_forgotten() -> None:
    play = ["imap1", "imap2", "mx1"]
    shares = {host: _traffic.share(["cyrus_mta", "imap2"], GROUPS, play, host) for host in play}
    assert shares == {"imap1": ["mx2"], "imap2": ["imap2"], "mx1": ["mx1"]}
    assert _traffic.share("mx2", GROUPS, play, "imap1") == ["mx2"]


def test_next_hop() -> None:
    template = "lmtp:inet:[{address}]:24"
    assert _traffic.nexthop(template, "b", ["192.0.2.12"]) == "lmtp:inet:[192.0.2.12]:24"
    assert _traffic.nexthop(template, "b", ["2001:db8::1"]) == "lmtp:inet:[ipv6:2001:db8::1]:24"
    assert _traffic.nexthop("lmtp:inet:{host}:24", "b", ["192.0.2.12"]) == "lmtp:inet:b:24"


def test_failures_are_sentences() -> None:
    loop = {
        "results": [
            {"item": "mx1", "changed": True},
            {"item": "mx2", "msg": "no\nroute", "unreachable": True},
        ]
    }
    hostvars: dict[str, Entry] = {
        "imap1": {"cyrus_traffic_result": loop},
        "imap2": {"cyrus_traffic_result": {"results": [], "skipped": True, "msg": "nothing"}},
        "mx1": {"cyrus_traffic_result": {"results": [{"item": "mx1", "msg": "no table"}]}},
        "mx2": {},
    }
    assert _traffic.failures(hostvars, hostvars, "hosts_file") == [
        "hosts_file: mx2 can't be reached: no route",
        "hosts_file: mx1: no table",
    ]


def test_what_ran_once_is_told_once() -> None:
    result = {"cyrus_traffic_result": {"msg": "it is refused"}}
    hostvars: dict[str, Entry] = {"imap1": result, "imap2": result}
    assert _traffic.failures(hostvars, hostvars, "dns") == ["dns: it is refused"]


def test_what_is_pointed_where() -> None:
    transport = {
        "driver": "postfix_transport",
        "hosts": "mx1",
        "keys": ["example.org"],
        "nexthop": "lmtp:inet:{host}:24",
    }
    wrong = {"driver": "carrier"}
    assert _traffic.lines([*ALL, wrong, transport], ["192.0.2.12"], "imap2", GROUPS) == [
        "hosts_file: s.test is 192.0.2.12 on mx1, mx2",
        "dns: s.test is 192.0.2.12 at 192.0.2.53",
        "vip: 192.0.2.50/24 is on imap2",
        "hook: /x.yml",
        "postfix_transport: example.org leads to lmtp:inet:imap2:24 on mx1",
    ]
