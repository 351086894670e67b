# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One bridge in a namespace of its own; a namespace and a veth for each host; no way out."""

from __future__ import annotations

from ipaddress import IPv4Network
from pathlib import Path

from .command import run, succeeds
from .errors import LabError
from .plan import CONTROLLER, HOSTS, address_of, hardware_address

NAMESPACES = Path("/run/netns")
_BRIDGE = "br0"
_HOST_END = "eth0"


def namespace_of(lab_id: str, name: str) -> str:
    return f"{lab_id}-{name}"


def _switch(lab_id: str) -> str:
    return namespace_of(lab_id, "net")


def _controller_end(lab_id: str) -> str:
    return f"{lab_id}-ctl"


def _make_namespace(name: str) -> None:
    # A name without a namespace behind it is left when `ip netns add` is interrupted.
    if (NAMESPACES / name).exists() and not succeeds(["ip", "-n", name, "link", "show", "lo"]):
        _delete_namespace(name)
    if not (NAMESPACES / name).exists():
        run(["ip", "netns", "add", name])


def _delete_namespace(name: str) -> None:
    path = NAMESPACES / name
    if path.exists() and not succeeds(["ip", "netns", "del", name]):
        path.unlink(missing_ok=True)


def _has_link(namespace: str, link: str) -> bool:
    return succeeds(["ip", "-n", namespace, "link", "show", link])


def make(lab_id: str, network: IPv4Network) -> None:
    """Make the bridge and the controller's veth, or what of them is missing."""
    switch, controller = _switch(lab_id), _controller_end(lab_id)
    _make_namespace(switch)
    if not _has_link(switch, _BRIDGE):
        run(["ip", "-n", switch, "link", "add", _BRIDGE, "type", "bridge"])
    run(["ip", "-n", switch, "link", "set", _BRIDGE, "up"])
    if not succeeds(["ip", "link", "show", controller]):
        peer = ["peer", "name", "ctl", "netns", switch]
        run(["ip", "link", "add", controller, "type", "veth", *peer])
    run(["ip", "-n", switch, "link", "set", "ctl", "master", _BRIDGE, "up"])
    # The machine gives up the hosts' addresses and no more: the rest of a documentation range
    # may be in use around it.
    address = str(network[CONTROLLER])
    run(["ip", "addr", "replace", f"{address}/32", "dev", controller])
    run(["ip", "link", "set", controller, "up"])
    for host in HOSTS:
        target = f"{address_of(network, host)}/32"
        run(["ip", "route", "replace", target, "dev", controller, "src", address])


def attach(lab_id: str, network: IPv4Network, host: str) -> None:
    """Give a host its namespace and its address."""
    switch, namespace = _switch(lab_id), namespace_of(lab_id, host)
    _make_namespace(namespace)
    if not _has_link(namespace, _HOST_END):
        if _has_link(switch, host):
            run(["ip", "-n", switch, "link", "del", host])
        # The same card after every boot: its neighbours remember the address.
        card = hardware_address(address_of(network, host))
        peer = ["peer", "name", _HOST_END, "address", card, "netns", namespace]
        run(["ip", "-n", switch, "link", "add", host, "type", "veth", *peer])
    run(["ip", "-n", switch, "link", "set", host, "master", _BRIDGE, "up"])
    address = f"{address_of(network, host)}/{network.prefixlen}"
    run(["ip", "-n", namespace, "addr", "replace", address, "dev", _HOST_END])
    run(["ip", "-n", namespace, "link", "set", "lo", "up"])
    run(["ip", "-n", namespace, "link", "set", _HOST_END, "up"])


def detach(lab_id: str, host: str) -> None:
    """Take a host's whole network away: its peers hear nothing more, not even a reset."""
    switch = _switch(lab_id)
    if (NAMESPACES / switch).exists() and _has_link(switch, host):
        run(["ip", "-n", switch, "link", "del", host])
    _delete_namespace(namespace_of(lab_id, host))


def set_link(lab_id: str, host: str, state: str) -> None:
    """Plug a host's cable in (up) or out (down), at the bridge's end."""
    switch = _switch(lab_id)
    if not _has_link(switch, host):
        raise LabError(f"{host} has no link: boot it first")
    run(["ip", "-n", switch, "link", "set", host, state])


def link_is_up(lab_id: str, host: str) -> bool:
    show = ["ip", "-n", _switch(lab_id), "link", "show", "up", "dev", host]
    return succeeds(show) and bool(run(show).strip())


def remove(lab_id: str) -> None:
    for host in HOSTS:
        detach(lab_id, host)
    if succeeds(["ip", "link", "show", _controller_end(lab_id)]):
        run(["ip", "link", "del", _controller_end(lab_id)])
    _delete_namespace(_switch(lab_id))
