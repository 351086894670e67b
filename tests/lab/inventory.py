# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as Ansible sees it. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from ipaddress import IPv4Network
from pathlib import Path

from .plan import (
    DNS_ALGORITHM,
    DNS_KEY,
    DOMAIN,
    MTA_TRANSPORT,
    PROBE_USER,
    SERVICE,
    address_of,
)

USERS = ("anna", "anna.meier", "ben", "carla", "dieter", "eva", "o.hara", "zoe")
_STORE = ("imap1", "imap2", "imap3", "imap4")
# lmtpd takes mail over TCP from an administrator who logged in, never from anybody else.
_SERVICES = {"lmtp": 'cmd="lmtpd" listen="24" prefork=0 maxchild=20'}

Tree = Mapping[str, object]


def ssh_arguments(known_hosts: Path, sockets: Path) -> str:
    """Return ssh's options: known keys only, shared connections, dead hosts noticed soon."""
    options = {
        "UserKnownHostsFile": known_hosts,
        "StrictHostKeyChecking": "yes",
        "IdentitiesOnly": "yes",
        "ControlMaster": "auto",
        "ControlPersist": "60s",
        "ControlPath": f"{sockets}/%h",
        "ConnectTimeout": 10,
        "ServerAliveInterval": 5,
        "ServerAliveCountMax": 3,
    }
    return " ".join(f"-o {name}={value}" for name, value in options.items())


def inventory(
    hosts: Sequence[str],
    network: IPv4Network,
    key: Path,
    ssh_options: str,
    lab: Mapping[str, str],
) -> str:
    """Return the inventory of the hosts, as YAML; `lab` is its ID and its passwords."""

    def members(names: Sequence[str]) -> Tree:
        return {
            name: {"ansible_host": str(address_of(network, name))}
            for name in names
            if name in hosts
        }

    store = {
        "hosts": members(_STORE),
        "vars": {
            "cyrus_store": "store1",
            "cyrus_master": _STORE[0],
            # Without it a user's name has no dots.
            "cyrus_imapd_settings": {"unixhierarchysep": "yes"},
            "cyrus_services": _SERVICES,
            "cyrus_traffic": _traffic(hosts, network),
            **_deliveries(hosts),
        },
    }
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(key),
        "ansible_ssh_common_args": ssh_options,
        "ansible_python_interpreter": "/usr/bin/python3",
        "lab_id": lab["lab_id"],
        "lab_users": list(USERS),
        "lab_user_password": lab["lab_user_password"],
        "cyrus_admin_user": "cyrus",
        "cyrus_admin_password": lab["cyrus_admin_password"],
        "lab_dns_secret": lab["lab_dns_secret"],
    }
    groups = {
        "cyrus": {"children": {"store1": store}},
        "cyrus_mta": {"hosts": members(("mx1",))},
        "lab_dns": {"hosts": members(("ns1",))},
    }
    return "---\n" + "\n".join(_yaml({"all": {"vars": variables, "children": groups}})) + "\n"


def _traffic(hosts: Sequence[str], network: IPv4Network) -> list[Tree]:
    """Return how the store's name is pointed at its master."""
    if "ns1" not in hosts:
        return [{"driver": "hosts_file", "name": SERVICE, "hosts": ["cyrus_mta"]}]
    dns = {
        "driver": "dns",
        "zone": DOMAIN,
        "name": SERVICE,
        "server": str(address_of(network, "ns1")),
        "key_name": DNS_KEY,
        "key_algorithm": DNS_ALGORITHM,
        "key_secret": "{{ lab_dns_secret }}",
        "ttl": 300,
        "ttl_low": 5,
    }
    return [dns]


def _deliveries(hosts: Sequence[str]) -> Tree:
    """Return how mail comes to the store."""
    if "mx1" not in hosts:
        return {"cyrus_mta_driver": "none"}
    return {
        "cyrus_mta_driver": "postfix",
        "cyrus_mta_transports": [MTA_TRANSPORT],
        "cyrus_probe_recipient": f"{PROBE_USER}@{DOMAIN}",
    }


def owner(text: str) -> str | None:
    """Return the ID of the lab that an inventory of ours belongs to."""
    found = re.search(r'^ *lab_id: "([a-z0-9]+)"$', text, re.MULTILINE)
    return found[1] if found else None


def _yaml(tree: Tree, depth: int = 0) -> list[str]:
    lines = []
    for name, value in tree.items():
        key = f"{'  ' * depth}{name}:"
        if isinstance(value, Mapping) and value:
            lines += [key, *_yaml(value, depth + 1)]
        else:
            # JSON's scalars and lists are YAML's.
            lines.append(f"{key} {json.dumps(value)}")
    return lines


def known_hosts(public_keys: Mapping[str, str], network: IPv4Network) -> str:
    """Return ssh's known_hosts from each host's public key."""
    lines = []
    for name, key in public_keys.items():
        kind, body = key.split()[:2]
        lines.append(f"{address_of(network, name)},{name},{name}.{DOMAIN} {kind} {body}")
    return "\n".join(lines) + "\n"
