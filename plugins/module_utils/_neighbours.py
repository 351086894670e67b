# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Who has an address on the wire: asked for and announced, by ARP and by neighbour discovery."""

from __future__ import annotations

import ipaddress
import select
import socket
import struct
import time
from typing import Union

from ._errors import ReplicationError

IP = Union[ipaddress.IPv4Address, ipaddress.IPv6Address]

_ARP = 0x0806
_IPV6 = 0x86DD
_EVERYBODY = b"\xff" * 6
_NOBODY = bytes(6)
_SOLICITATION = 135
_ADVERTISEMENT = 136
_ICMPV6 = 58
_OVERRIDE = 0x20000000
_PROBES = 3
_PROBE_SECONDS = 0.2
_ANNOUNCEMENTS = 4
_ANNOUNCE_EVERY = 0.05


def _ethernet(destination: bytes, source: bytes, protocol: int, payload: bytes) -> bytes:
    return destination + source + struct.pack("!H", protocol) + payload


def _arp(operation: int, mac: bytes, sender: bytes, target_mac: bytes, target: bytes) -> bytes:
    kind = struct.pack("!HHBBH", 1, 0x0800, 6, 4, operation)
    return _ethernet(_EVERYBODY, mac, _ARP, kind + mac + sender + target_mac + target)


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def _icmpv6(mac: bytes, group: bytes, source: bytes, kind: int, rest: bytes) -> bytes:
    """A message to a multicast group; hop limit 255 says that it comes from this link."""
    size = 4 + len(rest)
    pseudo = source + group + struct.pack("!IHBB", size, 0, 0, _ICMPV6)
    checksum = _checksum(pseudo + struct.pack("!BBH", kind, 0, 0) + rest)
    header = struct.pack("!IHBB", 6 << 28, size, _ICMPV6, 255) + source + group
    message = struct.pack("!BBH", kind, 0, checksum) + rest
    return _ethernet(b"\x33\x33" + group[-4:], mac, _IPV6, header + message)


def probe(address: IP, mac: bytes) -> bytes:
    """The frame that asks who has an address, without claiming it."""
    if isinstance(address, ipaddress.IPv4Address):
        return _arp(1, mac, bytes(4), _NOBODY, address.packed)
    group = ipaddress.IPv6Address("ff02::1:ff00:0").packed[:13] + address.packed[13:]
    return _icmpv6(mac, group, bytes(16), _SOLICITATION, bytes(4) + address.packed)


def announcements(address: IP, mac: bytes) -> list[bytes]:
    """The frames that tell everybody who has an address: some listen to questions alone."""
    if isinstance(address, ipaddress.IPv4Address):
        own = address.packed
        return [_arp(1, mac, own, _NOBODY, own), _arp(2, mac, own, mac, own)]
    everybody = ipaddress.IPv6Address("ff02::1").packed
    rest = struct.pack("!I", _OVERRIDE) + address.packed + b"\x02\x01" + mac
    return [_icmpv6(mac, everybody, address.packed, _ADVERTISEMENT, rest)]


def claimed_by(frame: bytes, address: IP) -> bytes | None:
    """The hardware address that a frame says an address has, None if it says nothing of it."""
    protocol = struct.unpack("!H", frame[12:14])[0] if len(frame) >= 14 else 0
    if isinstance(address, ipaddress.IPv4Address):
        whole = protocol == _ARP and len(frame) >= 42
        return frame[22:28] if whole and frame[28:32] == address.packed else None
    whole = protocol == _IPV6 and len(frame) >= 78
    if whole and frame[20] == _ICMPV6 and frame[54] == _ADVERTISEMENT:
        return frame[6:12] if frame[62:78] == address.packed else None
    return None


def written(mac: bytes) -> str:
    return ":".join(f"{byte:02x}" for byte in mac)


def _wire(interface: str, address: IP) -> socket.socket:
    protocol = _ARP if address.version == 4 else _IPV6
    try:
        wire = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(protocol))
        wire.bind((interface, protocol))
    except OSError as error:
        raise ReplicationError(
            f"can't send on interface {interface} ({error.strerror}): name another one"
        ) from error
    return wire


def other_owner(interface: str, address: IP) -> str | None:
    """The hardware address of another host that has an address, None where nobody answers."""
    with _wire(interface, address) as wire:
        mac = wire.getsockname()[4]
        for _turn in range(_PROBES):
            wire.send(probe(address, mac))
            end = time.monotonic() + _PROBE_SECONDS
            while (left := end - time.monotonic()) > 0:
                if not select.select([wire], [], [], left)[0]:
                    continue
                owner = claimed_by(wire.recv(2048), address)
                if owner not in (None, mac):
                    return written(owner or b"")
    return None


def announce(interface: str, address: IP) -> None:
    """Tell the neighbours, more than once, because a frame may get lost."""
    with _wire(interface, address) as wire:
        mac = wire.getsockname()[4]
        for turn in range(_ANNOUNCEMENTS):
            if turn:
                time.sleep(_ANNOUNCE_EVERY)
            for frame in announcements(address, mac):
                wire.send(frame)
