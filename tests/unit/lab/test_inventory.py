# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

import yaml

from tests.lab.inventory import inventory, known_hosts, owner, ssh_arguments
from tests.lab.plan import HOSTS

NETWORK = IPv4Network("198.51.100.0/24")
LAB = {
    "lab_id": "lab2",
    "lab_user_password": "p: #w",
    "cyrus_admin_password": "{x}",
    "lab_dns_secret": "c2VjcmV0",
}


def test_inventory() -> None:
    text = inventory(list(HOSTS), NETWORK, Path("/k"), "-o A=b", LAB)
    assert owner(text) == "lab2"
    everything = yaml.safe_load(text)["all"]
    store = everything["children"]["cyrus"]["children"]["store1"]
    assert store["vars"]["cyrus_store"] == "store1"
    assert store["vars"]["cyrus_master"] == "imap1"
    assert store["hosts"] == {
        f"imap{n}": {"ansible_host": f"198.51.100.1{n}"} for n in (1, 2, 3, 4)
    }
    assert list(everything["children"]["cyrus_mta"]["hosts"]) == ["mx1"]
    assert store["vars"]["cyrus_mta_transports"] == ["store1"]
    assert store["vars"]["cyrus_probe_recipient"] == "probe@lab.test"
    assert list(everything["children"]["lab_dns"]["hosts"]) == ["ns1"]
    assert everything["vars"]["lab_user_password"] == "p: #w"
    assert everything["vars"]["cyrus_admin_password"] == "{x}"
    assert everything["vars"]["lab_users"][0] == "anna"
    (dns,) = store["vars"]["cyrus_traffic"]
    assert dns["server"] == "198.51.100.31"
    assert dns["key_secret"] == "{{ lab_dns_secret }}"


def test_only_the_hosts_there_are() -> None:
    text = inventory(["imap1"], NETWORK, Path("/k"), "", LAB)
    groups = yaml.safe_load(text)["all"]["children"]
    assert list(groups["cyrus"]["children"]["store1"]["hosts"]) == ["imap1"]
    assert groups["cyrus_mta"]["hosts"] == {}
    # Without a name server the delivery hosts are told in their own files.
    (traffic,) = groups["cyrus"]["children"]["store1"]["vars"]["cyrus_traffic"]
    assert traffic == {"driver": "hosts_file", "name": "store1.lab.test", "hosts": ["cyrus_mta"]}


def test_an_inventory_of_somebody_else_has_no_owner() -> None:
    assert owner("all:\n  hosts: {}\n") is None


def test_known_hosts() -> None:
    text = known_hosts({"imap1": "ssh-ed25519 AAAA imap1\n"}, NETWORK)
    assert text == "198.51.100.11,imap1,imap1.lab.test ssh-ed25519 AAAA\n"


def test_ssh_knows_its_hosts_and_shares_connections() -> None:
    options = ssh_arguments(Path("/x/known_hosts"), Path("/run/x"))
    assert "-o UserKnownHostsFile=/x/known_hosts" in options
    assert "-o StrictHostKeyChecking=yes" in options
    assert "-o ControlPath=/run/x/%h" in options
