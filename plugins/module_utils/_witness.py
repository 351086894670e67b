# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Whether delivery hosts can be seen from here: a sign that it is not this host that is cut off."""

from __future__ import annotations

import socket
from collections.abc import Iterable

from . import _together

_SMTP = 25
_SECONDS = 1.5


def seen(addresses: Iterable[str]) -> list[str]:
    """Those of the hosts that answer at the port of SMTP, if only to refuse."""
    found = _together.ask(_answers, addresses, _SECONDS)
    return sorted(address for address, answers in found.items() if answers)


def _answers(address: str) -> bool:
    try:
        socket.create_connection((address, _SMTP), _SECONDS).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        return False
    return True
