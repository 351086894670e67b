# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The encrypted link: configuration of stunnel at either end, both ends verified. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping, Sequence

DIR = "/etc/cyrus-replication"

_COMMON = """\
; Written by mailops.cyrus.
foreground = yes
pid =
syslog = no
debug = {level}
sslVersionMin = TLSv1.2
CAfile = {dir}/ca.pem
cert = {dir}/cert.pem
key = {dir}/key.pem
verifyChain = yes
; Notice within a minute that the other end has lost its power.
socket = r:SO_KEEPALIVE=1
socket = r:TCP_KEEPIDLE=30
socket = r:TCP_KEEPINTVL=10
socket = r:TCP_KEEPCNT=3
TIMEOUTconnect = 10
"""


def _common(level: str = "notice") -> str:
    return _COMMON.format(dir=DIR, level=level)


def _is_ipv6(address: str) -> bool:
    try:
        return ipaddress.ip_address(address).version == 6
    except ValueError:
        return False


def client(local: str, port: int, address: str, remote_port: int, peer: str) -> str:
    """A master's end: a local port that leads to the replica named `peer` and nobody else."""
    host = f"[{address}]" if _is_ipv6(address) else address
    return (
        f"{_common()}client = yes\n\n[replication]\naccept = {local}:{port}\n"
        f"connect = {host}:{remote_port}\ndelay = yes\ncheckHost = {peer}\n"
    )


def server(
    address: str, peers: Sequence[str], ports: Mapping[int, str], level: str = "notice"
) -> str:
    """An end that answers: TLS ports that let only the hosts named `peers` through."""
    any_address = ":::" if _is_ipv6(address) else ""
    allowed = "".join(f"checkHost = {peer}\n" for peer in peers)
    return _common(level) + "".join(
        f"\n[port{port}]\naccept = {any_address}{port}\nconnect = {target}\n{allowed}"
        for port, target in ports.items()
    )
