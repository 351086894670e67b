# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Addresses that move with the master: on one host, and after its reboot only if it is master."""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from . import _clearance, _command, _fence, _files, _neighbours, _role
from ._errors import ReplicationError

FILE = f"{_role.STATE_DIR}/addresses.json"
UNIT = "cyrus-address.service"
AUTO = "auto"


@dataclass(frozen=True)
class Address:
    """An address with its prefix, and the interface that it is on."""

    address: str
    interface: str

    @property
    def ip(self) -> _neighbours.IP:
        return ipaddress.ip_interface(self.address).ip


def parse(text: str) -> str:
    """An address in one way of writing; without a prefix it stands for itself alone."""
    try:
        return str(ipaddress.ip_interface(text))
    except ValueError as error:
        raise ReplicationError(
            f"address is {text!r}: give an IP address with its prefix, such as 192.0.2.50/24"
        ) from error


def on_host(shown: str) -> list[Address]:
    """All addresses of a host, from what `ip -j addr show` says. Pure."""
    return [
        Address(f"{found['local']}/{found['prefixlen']}", str(interface["ifname"]))
        for interface in json.loads(shown or "[]")
        for found in interface.get("addr_info", [])
        if "local" in found
    ]


def choose_interface(address: str, addresses: Iterable[Address]) -> str:
    """The interface whose network an address is in. Pure."""
    ip = ipaddress.ip_interface(address).ip
    for own in addresses:
        if own.ip != ip and ip in ipaddress.ip_interface(own.address).network:
            return own.interface
    raise ReplicationError(f"no interface here has a network with {ip}: name it in interface")


def hindrance() -> str:
    """Why this host may not have the master's address, or an empty text."""
    record = _role.read()
    if record is None:
        return "this host has no role record: run setup"
    if record.role != "master":
        return f"{record.host} is {record.role}, the master is {record.master}"
    fence = _fence.read()
    if fence is not None:
        return f"{record.host} is fenced since {fence.since} by {fence.by}: {fence.reason}"
    if not _clearance.valid(record.epoch):
        return f"{record.host} is not yet known to be still the master"
    return ""


def configured() -> list[Address]:
    """The addresses that belong to this host as long as it is master."""
    text = _files.read(FILE)
    try:
        return [Address(**entry) for entry in json.loads(text)] if text else []
    except (ValueError, TypeError) as error:
        raise ReplicationError(f"{FILE} is damaged ({error}): remove it") from error


def _configure(addresses: Iterable[Address]) -> None:
    entries = [asdict(address) for address in addresses]
    _files.write(FILE, json.dumps(entries) + "\n", 0o644)


def _ip(*args: str) -> str:
    done = _command.run(["ip", *args], timeout=20)
    if done.rc != 0:
        raise ReplicationError(f"ip {' '.join(args)} failed: {done.stderr.strip()}")
    return done.stdout


def _here() -> list[Address]:
    return on_host(_ip("-j", "addr", "show"))


def _places(ip: _neighbours.IP) -> list[Address]:
    """Where this host has an address."""
    return [own for own in _here() if own.ip == ip]


def _add(address: Address) -> list[str]:
    owner = _neighbours.other_owner(address.interface, address.ip)
    if owner:
        raise ReplicationError(
            f"{address.ip} is still answered for by {owner} on {address.interface}, "
            "it can't be taken: remove it there"
        )
    added = []
    if not _places(address.ip):
        # Linux would look for another owner once more and keep the address back meanwhile.
        options = ["nodad"] if address.ip.version == 6 else []
        _ip("addr", "add", address.address, "dev", address.interface, *options)
        added.append(f"add {address.ip} to {address.interface}")
    # Always: a run that was cut off may have told nobody.
    _neighbours.announce(address.interface, address.ip)
    return added


def _remove(ip: _neighbours.IP) -> list[str]:
    places = _places(ip)
    for place in places:
        _ip("addr", "del", place.address, "dev", place.interface)
    if places and (left := _places(ip)):
        raise ReplicationError(f"{ip} is still on {left[0].interface} here: remove it")
    return [f"remove {ip} from {place.interface}" for place in places]


def up() -> list[str]:
    """Have the host's addresses, if it may, else give them up; returns what was done."""
    wanted = configured()
    try:
        reason = hindrance()
    except ReplicationError:
        down()
        raise
    if reason:
        return [*down(), reason] if wanted else []
    return [done for address in wanted for done in _add(address)]


def down() -> list[str]:
    """Give up the host's addresses, which stay its own for later; returns what was done."""
    return [done for address in configured() for done in _remove(address.ip)]


def _enable(check: bool) -> list[str]:
    """Let the unit bring the addresses back after a reboot."""
    if _command.run(["systemctl", "is-enabled", UNIT], timeout=30).stdout.strip() == "enabled":
        return []
    if not check:
        done = _command.run(["systemctl", "enable", UNIT], timeout=60)
        if done.rc != 0:
            raise ReplicationError(
                f"systemctl enable {UNIT} failed ({done.stderr.strip()}): run setup"
            )
    return [f"enable {UNIT}"]


def present(address: str, interface: str, check: bool) -> list[str]:
    """Have an address here, also after a reboot; returns what was done, or would be."""
    text = parse(address)
    wanted = Address(text, choose_interface(text, _here()) if interface == AUTO else interface)
    known = configured()
    done = [] if wanted in known else [f"keep {wanted.ip} for {wanted.interface}"]
    if check:
        if not _places(wanted.ip):
            done.append(f"add {wanted.ip} to {wanted.interface}")
        return done + _enable(check)
    if reason := hindrance():
        raise ReplicationError(f"{wanted.ip} was not added: {reason}")
    added = _add(wanted)
    if done:
        _configure([*(each for each in known if each.ip != wanted.ip), wanted])
    return done + added + _enable(check)


def absent(address: str, check: bool) -> list[str]:
    """Have an address here no more; returns what was done, or would be."""
    ip = ipaddress.ip_interface(parse(address)).ip
    known = configured()
    left = [each for each in known if each.ip != ip]
    done = [f"forget {ip}"] if left != known else []
    if check:
        return done + [_would_remove(place) for place in _places(ip)]
    if done:
        _configure(left)
    return done + _remove(ip)


def _would_remove(place: Address) -> str:
    owner = _neighbours.other_owner(place.interface, place.ip)
    if owner:
        raise ReplicationError(
            f"{place.ip} is on {place.interface} here and answered for by {owner} as well: "
            "remove it there"
        )
    return f"remove {place.ip} from {place.interface}"
