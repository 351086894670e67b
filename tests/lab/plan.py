# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which hosts a lab has, and where they are. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Address, IPv4Network

from .errors import LabError

DOMAIN = "lab.test"
# Where clients and delivery hosts find the store's master.
SERVICE = f"store1.{DOMAIN}"
# The way of the store's mail on the mail exchanger, and a domain whose mail goes elsewhere.
MTA_TRANSPORT = "store1"
OTHER_DOMAIN = "other.test"
PROBE_USER = "probe"
DNS_KEY = "store1"
DNS_ALGORITHM = "hmac-sha256"
RELEASES = ("bullseye", "bookworm", "trixie", "sid")
DEFAULT_RELEASE = "bookworm"
CONTROLLER = 254
HOSTS = {"imap1": 11, "imap2": 12, "imap3": 13, "imap4": 14, "mx1": 21, "ns1": 31}
# Booted where they are asked for by name.
_SPARE = {"imap4"}

# Documentation ranges (RFC 5737): nothing outside the lab can be meant by them.
_NETWORKS = {"lab": "198.51.100.0/24", "lab2": "203.0.113.0/24", "lab3": "192.0.2.0/24"}


def check_lab_id(lab_id: str) -> str:
    # Interface names hold 15 characters, "-ctl" among them.
    if not re.fullmatch(r"[a-z][a-z0-9]{0,10}", lab_id):
        raise LabError(
            f"LAB_ID is {lab_id!r}: use up to 11 lower-case letters and digits, a letter first"
        )
    return lab_id


def network_of(lab_id: str, wanted: str | None = None) -> IPv4Network:
    """Return the lab's subnet: the one asked for, else the one that belongs to its ID."""
    text = wanted or _NETWORKS.get(lab_id)
    if text is None:
        raise LabError(f"lab {lab_id!r} has no subnet of its own: set LAB_NET to an unused /24")
    try:
        network = IPv4Network(text)
    except ValueError as error:
        raise LabError(f"LAB_NET is {text!r}: {error}") from error
    if network.prefixlen != 24:
        raise LabError(f"LAB_NET is {text!r}: give a /24")
    return network


def address_of(network: IPv4Network, host: str) -> IPv4Address:
    return network[HOSTS[host]]


def hardware_address(address: IPv4Address) -> str:
    """Return a locally administered Ethernet address."""
    return ":".join(f"{byte:02x}" for byte in (0x02, 0x00, *address.packed))


def parse_hosts(text: str | None) -> list[str]:
    """Return the hosts named in a comma-separated list, in the plan's order; all but spare ones
    without one."""
    if text is None:
        return [name for name in HOSTS if name not in _SPARE]
    names = {name.strip() for name in text.split(",") if name.strip()}
    return [name for name in HOSTS if name in set(check_hosts(sorted(names)))]


def check_hosts(names: Sequence[str]) -> list[str]:
    unknown = [name for name in names if name not in HOSTS]
    if unknown:
        raise LabError(f"no host {', '.join(unknown)} in the lab: it has {', '.join(HOSTS)}")
    return list(names)


def parse_releases(pairs: Sequence[str]) -> dict[str, str]:
    """Read ``host=release`` pairs."""
    releases = {}
    for pair in pairs:
        host, release = pair.partition("=")[::2]
        check_hosts([host])
        if release not in RELEASES:
            raise LabError(f"--release {pair}: the releases are {', '.join(RELEASES)}")
        releases[host] = release
    return releases


def releases_for(
    hosts: Sequence[str], asked: Mapping[str, str], existing: Mapping[str, str]
) -> dict[str, str]:
    """Decide each host's release; a host that exists keeps its own."""
    decided = {}
    for host in hosts:
        current = existing.get(host)
        wanted = asked.get(host, current or DEFAULT_RELEASE)
        if current is not None and wanted != current:
            raise LabError(f"{host} exists with {current}, not {wanted}: run `down` first")
        decided[host] = wanted
    return decided


def hosts_file(network: IPv4Network) -> str:
    """Return /etc/hosts for every host of the lab."""
    lines = ["127.0.0.1 localhost", "::1 localhost ip6-localhost ip6-loopback"]
    lines += [f"{address_of(network, name)} {name}.{DOMAIN} {name}" for name in HOSTS]
    return "\n".join(lines) + "\n"
