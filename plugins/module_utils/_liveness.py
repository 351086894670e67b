# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Whether anything of another machine answers: a machine that refuses a connection is alive too."""

from __future__ import annotations

import errno
import socket
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from . import _together

# Nobody has answered: there may be no machine, or no way to it.
_SILENT = {
    *(errno.ETIMEDOUT, errno.EHOSTUNREACH, errno.EHOSTDOWN, errno.ENETUNREACH, errno.EINPROGRESS),
    *(errno.EAGAIN, errno.EALREADY),
}
_PAUSE = 2.0


@dataclass(frozen=True)
class Sign:
    """What a machine did at a port: `accepts` a connection, or `refuses` it."""

    address: str
    port: int
    sign: str


@dataclass
class Look:
    """The signs of life that were seen, and what could not be tried, a sentence each."""

    signs: list[Sign] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)
    seconds: float = 0.0


def watch(
    addresses: Iterable[str], ports: Sequence[int], timeout: float, seconds: float = 0.0
) -> Look:
    """Look again and again for some seconds, until something answers or nothing can be known."""
    started = time.monotonic()
    places = {f"{address} port {port}": (address, port) for address in addresses for port in ports}
    while True:
        found = _look(places, timeout)
        found.seconds = round(time.monotonic() - started, 1)
        if found.signs or found.unknown or found.seconds >= seconds:
            return found
        time.sleep(min(_PAUSE, max(0.0, seconds - found.seconds)))


def _look(places: dict[str, tuple[str, int]], timeout: float) -> Look:
    heard = _together.ask(lambda name: _try(*places[name], timeout), places, timeout)
    found = Look()
    for name in places:
        said = heard.get(name, f"{name} could not be tried within {timeout:g} s")
        if isinstance(said, Sign):
            found.signs.append(said)
        elif said is not None:
            found.unknown.append(said)
    return found


def _try(address: str, port: int, timeout: float) -> Sign | str | None:
    """A sign of life, None for silence, or why it is not known."""
    try:
        socket.create_connection((address, port), timeout).close()
    except (ConnectionRefusedError, ConnectionResetError):
        return Sign(address, port, "refuses")
    except socket.timeout:
        return None
    except OSError as error:
        if error.errno in _SILENT:
            return None
        return f"{address} port {port} can't be tried: {error.strerror or error}"
    return Sign(address, port, "accepts")
