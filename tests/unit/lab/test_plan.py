# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import itertools
from ipaddress import IPv4Network

import pytest

from tests.lab import plan
from tests.lab.errors import LabError

NETWORK = IPv4Network("198.51.100.0/24")


def test_addresses() -> None:
    assert plan.network_of("lab") == NETWORK
    assert [str(plan.address_of(NETWORK, host)) for host in ("imap1", "mx1", "ns1")] == [
        "198.51.100.11",
        "198.51.100.21",
        "198.51.100.31",
    ]
    card = plan.hardware_address(plan.address_of(NETWORK, "imap1"))
    assert card == "02:00:c6:33:64:0b"
    assert "198.51.100.21 mx1.lab.test mx1\n" in plan.hosts_file(NETWORK)


def test_the_named_labs_do_not_overlap() -> None:
    networks = [plan.network_of(lab) for lab in ("lab", "lab2", "lab3")]
    assert not any(one.overlaps(two) for one, two in itertools.combinations(networks, 2))


def test_a_subnet_of_ones_own() -> None:
    assert plan.network_of("other", "198.18.7.0/24") == IPv4Network("198.18.7.0/24")


@pytest.mark.parametrize("wanted", [None, "198.18.7.0/25", "198.18.7.1/24", "nonsense"])
def test_a_lab_needs_a_usable_subnet(wanted: str | None) -> None:
    with pytest.raises(LabError, match="LAB_NET"):
        plan.network_of("other", wanted)


@pytest.mark.parametrize("lab_id", ["", "Lab", "2lab", "lab-2", "a" * 12, "../lab"])
def test_lab_ids_that_make_no_interface_names(lab_id: str) -> None:
    with pytest.raises(LabError, match="LAB_ID"):
        plan.check_lab_id(lab_id)


def test_hosts_come_in_the_plans_order() -> None:
    assert plan.parse_hosts("mx1, imap2,imap1") == ["imap1", "imap2", "mx1"]
    assert plan.parse_hosts(None) == ["imap1", "imap2", "imap3", "mx1", "ns1"]
    with pytest.raises(LabError, match="no host imap9"):
        plan.parse_hosts("imap1,imap9")


def test_a_host_keeps_its_release() -> None:
    hosts = ["imap1", "imap2"]
    asked = plan.parse_releases(["imap2=trixie"])
    assert plan.releases_for(hosts, asked, {}) == {"imap1": "bookworm", "imap2": "trixie"}
    assert plan.releases_for(hosts, {}, {"imap1": "sid"})["imap1"] == "sid"
    with pytest.raises(LabError, match="imap2 exists with sid"):
        plan.releases_for(hosts, asked, {"imap2": "sid"})


@pytest.mark.parametrize("pair", ["imap1", "imap1=jessie", "imap9=sid"])
def test_releases_that_do_not_exist(pair: str) -> None:
    with pytest.raises(LabError):
        plan.parse_releases([pair])
