# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where clients and mail find the master: what is asked for, who does it, what went wrong. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ._stores import as_names

Entry = Mapping[str, Any]
Groups = Mapping[str, Sequence[str]]

# Each driver's fields: those that it needs, and others.
DRIVERS: Mapping[str, tuple[set[str], set[str]]] = {
    "hosts_file": ({"name", "hosts"}, set()),
    "dns": (
        {"zone", "name", "server", "key_name", "key_secret"},
        {"key_algorithm", "port", "ttl", "ttl_low", "verify", "timeout"},
    ),
    "vip": ({"address"}, {"interface"}),
    "postfix_transport": ({"hosts", "keys", "nexthop"}, {"table"}),
    "hook": ({"tasks"}, set()),
}
# These work from the controller, and have something to do before and after as well.
_AROUND = ("dns", "hook")
_NEED_ADDRESSES = ("hosts_file", "dns", "postfix_transport")


def numbers(entries: Sequence[Entry], action: str, groups: Groups) -> list[int]:
    """Which of the entries have something to do; what is wrong in itself is left out."""
    return [
        number
        for number, entry in enumerate(entries)
        if not any(_wrong(entry, groups))
        and (action in ("preflight", "point") or entry["driver"] in _AROUND)
    ]


def problems(
    entries: Sequence[Entry], addresses: Sequence[str], target: str, groups: Groups
) -> list[str]:
    """What is wrong with the entries in themselves, a sentence each."""
    found = []
    for number, entry in enumerate(entries):
        where = f"cyrus_traffic, entry {number + 1}"
        found += [f"{where}: {wrong}" for wrong in _wrong(entry, groups)]
    if any(entry.get("driver") in _NEED_ADDRESSES for entry in entries):
        found += [
            f"{address} is no IP address: name those at which clients reach {target} "
            "in cyrus_service_addresses"
            for address in addresses
            if not _is_address(address)
        ]
    return found


def _wrong(entry: Entry, groups: Groups) -> Iterator[str]:
    driver = str(entry.get("driver"))
    if driver not in DRIVERS:
        yield f"there is no driver {driver}, use one of {', '.join(DRIVERS)}"
        return
    needed, others = DRIVERS[driver]
    given = {name for name, value in entry.items() if value not in (None, "", [])}
    for name in sorted(needed - given):
        yield f"the driver {driver} needs {name}"
    for name in sorted(given - needed - others - {"driver"}):
        yield f"the driver {driver} has no {name}"
    everybody = groups.get("all", [])
    for name in as_names(entry.get("hosts", [])):
        if name not in groups and name not in everybody:
            yield f"hosts names {name}, which is no host and no group of the inventory"


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def hosts(given: str | Iterable[str], groups: Groups) -> list[str]:
    """The hosts that names of hosts and of groups stand for, each once."""
    return list(
        dict.fromkeys(host for name in as_names(given) for host in groups.get(name, [name]))
    )


def share(given: str | Iterable[str], groups: Groups, play: Sequence[str], host: str) -> list[str]:
    """Those that one host of the play takes care of: itself, and the first one also the others.

    So the hosts of the play work side by side, and those outside it are not forgotten.
    """
    named = hosts(given, groups)
    outside = [name for name in named if name not in play] if [host] == list(play[:1]) else []
    return [name for name in named if name == host] + outside


def nexthop(template: str, host: str, addresses: Sequence[str]) -> str:
    """A next hop of Postfix; {address} and {host} stand for the new master."""
    address = addresses[0]
    if ":" in address:
        address = f"ipv6:{address}"
    return template.replace("{address}", address).replace("{host}", host)


def lines(
    entries: Sequence[Entry], addresses: Sequence[str], target: str, groups: Groups
) -> list[str]:
    """What is pointed where, an entry a line; what is wrong in itself is left out."""
    return [
        f"{entry['driver']}: {_what(entry, addresses, target, groups)}"
        for entry in entries
        if not any(_wrong(entry, groups))
    ]


def _what(entry: Entry, addresses: Sequence[str], target: str, groups: Groups) -> str:
    driver, there = entry["driver"], ", ".join(hosts(entry.get("hosts", []), groups))
    if driver == "hosts_file":
        return f"{entry['name']} is {', '.join(addresses)} on {there}"
    if driver == "dns":
        return f"{entry['name']} is {', '.join(addresses)} at {entry['server']}"
    if driver == "vip":
        return f"{entry['address']} is on {target}"
    if driver == "postfix_transport":
        hop = nexthop(entry["nexthop"], target, addresses)
        return f"{', '.join(as_names(entry['keys']))} leads to {hop} on {there}"
    return str(entry["tasks"])


def failures(
    hostvars: Mapping[str, Mapping[str, Any]], play: Iterable[str], driver: str
) -> list[str]:
    """What went wrong in the last step, a sentence each.

    The role lets no task fail the play, so it is the message that tells.
    """
    found: list[str] = []
    for host in play:
        result = hostvars[host].get("cyrus_traffic_result") or {}
        for one in result.get("results") or [result]:
            said = " ".join(str(one.get("msg") or "").split())
            where = "" if driver in _AROUND else str(one.get("item", host))
            if one.get("unreachable"):
                found.append(f"{driver}: {where} can't be reached: {said}")
            elif said and "skipped" not in one:
                found.append(": ".join(part for part in (driver, where, said) if part))
    return list(dict.fromkeys(found))
