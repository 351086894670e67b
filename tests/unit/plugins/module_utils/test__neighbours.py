# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress

from ansible_collections.mailops.cyrus.plugins.module_utils import _neighbours

V4 = ipaddress.ip_address("192.0.2.50")
V6 = ipaddress.ip_address("2001:db8::50")
MAC = bytes.fromhex("0200c0000232")


def test_probe_claims_nothing() -> None:
    frame = _neighbours.probe(V4, MAC)
    assert frame[:6] == b"\xff" * 6
    assert frame[12:14] == b"\x08\x06"
    assert frame[28:32] == bytes(4)
    assert frame[38:42] == V4.packed
    assert _neighbours.claimed_by(frame, V4) is None


def test_both_kinds_of_gratuitous_arp_claim_the_address() -> None:
    frames = _neighbours.announcements(V4, MAC)
    assert [frame[20:22] for frame in frames] == [b"\x00\x01", b"\x00\x02"]
    for frame in frames:
        assert _neighbours.claimed_by(frame, V4) == MAC
        assert frame[28:32] == frame[38:42] == V4.packed
        assert _neighbours.claimed_by(frame, ipaddress.ip_address("192.0.2.51")) is None


def test_solicitation_goes_to_the_address_s_own_group() -> None:
    frame = _neighbours.probe(V6, MAC)
    assert frame[:6].hex() == "3333ff000050"
    assert frame[22:38] == bytes(16)
    assert frame[38:54] == ipaddress.ip_address("ff02::1:ff00:50").packed
    assert frame[62:78] == V6.packed
    assert _neighbours.claimed_by(frame, V6) is None


def test_advertisement_overrides_what_neighbours_know() -> None:
    (frame,) = _neighbours.announcements(V6, MAC)
    assert frame[:6].hex() == "333300000001"
    assert frame[21] == 255
    assert frame[58] & 0x20
    assert frame[78:] == b"\x02\x01" + MAC
    assert _neighbours.claimed_by(frame, V6) == MAC


def test_checksum_fits() -> None:
    (frame,) = _neighbours.announcements(V6, MAC)
    size = int.from_bytes(frame[18:20], "big")
    pseudo = frame[22:54] + size.to_bytes(4, "big") + b"\x00\x00\x00\x3a"
    words = pseudo + frame[54:]
    total = sum(int.from_bytes(words[n : n + 2], "big") for n in range(0, len(words), 2))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    assert total == 0xFFFF


def test_what_is_cut_off_claims_nothing() -> None:
    for address in (V4, V6):
        for frame in _neighbours.announcements(address, MAC):
            for length in range(len(frame) if address is V4 else 78):
                if not (address is V4 and length >= 42):
                    assert _neighbours.claimed_by(frame[:length], address) is None


def test_written() -> None:
    assert _neighbours.written(MAC) == "02:00:c0:00:02:32"
