# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A name in /etc/hosts: lines of ours, marked, which no other line speaks against."""

from __future__ import annotations

import ipaddress
import os
import socket
import stat
from collections.abc import Iterable, Sequence

from . import _files
from ._errors import ReplicationError

FILE = "/etc/hosts"
_MARK = "# mailops.cyrus"


def _names(line: str) -> list[str]:
    return [word.lower() for word in line.partition("#")[0].split()[1:]]


def normal(addresses: Iterable[str]) -> list[str]:
    """The addresses in one way of writing; what is none is refused."""
    try:
        return [str(ipaddress.ip_address(address)) for address in addresses]
    except ValueError as error:
        raise ReplicationError(f"addresses: {error}, give IP addresses") from error


def with_entry(text: str, name: str, addresses: Sequence[str]) -> str:
    """The text of the file in which a name has these addresses. Pure."""
    ours = [f"{address}\t{name} {_MARK}" for address in addresses]
    lines: list[str] = []
    place = None
    for line in text.splitlines():
        if name.lower() not in _names(line):
            lines.append(line)
        elif line.rstrip().endswith(_MARK):
            place = len(lines) if place is None else place
        else:
            raise ReplicationError(
                f"{FILE} has a line of its own for {name} ({line.strip()}): remove it"
            )
    place = len(lines) if place is None else place
    return "\n".join([*lines[:place], *ours, *lines[place:]]) + "\n"


def _resolved(name: str, family: int) -> set[str]:
    try:
        found = socket.getaddrinfo(name, None, family, socket.SOCK_STREAM)
    except OSError:
        return set()
    return {str(entry[4][0]) for entry in found}


def _verify(name: str, addresses: Sequence[str]) -> None:
    for family, version in ((socket.AF_INET, 4), (socket.AF_INET6, 6)):
        wanted = {a for a in addresses if ipaddress.ip_address(a).version == version}
        # Of a kind that the file does not have, another source may be asked, and may be slow.
        if wanted and (found := _resolved(name, family)) != wanted:
            raise ReplicationError(
                f"{name} is in {FILE} but resolves to {', '.join(sorted(found)) or 'nothing'} "
                "here: let /etc/nsswitch.conf ask `files` first"
            )


def ensure(name: str, addresses: Sequence[str], check: bool, path: str = FILE) -> tuple[str, str]:
    """Let a name have these addresses on this host; returns the text before and after."""
    wanted = normal(addresses)
    before = _files.read(path)
    after = with_entry(before, name, wanted)
    if check:
        return before, after
    if after != before:
        mode = stat.S_IMODE(os.stat(path).st_mode) if os.path.exists(path) else 0o644
        _files.write(path, after, mode)
    _verify(name, wanted)
    return before, after
