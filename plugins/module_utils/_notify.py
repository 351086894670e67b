# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a service tells systemd: that it is ready, what it does, that it lives."""

from __future__ import annotations

import os
import socket

from ._errors import ReplicationError


def notify(*assignments: str) -> None:
    """Send assignments such as `READY=1` or `STATUS=...`; nothing where systemd does not listen."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        # The abstract namespace: no file stands for the socket.
        address = "\0" + address[1:]
    # A line feed begins the next assignment, so none may come from a text.
    text = "\n".join(assignment.replace("\n", " ") for assignment in assignments)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.sendto(text.encode("utf-8", "replace"), address)
        except OSError as error:
            raise ReplicationError(
                f"systemd can't be told {assignments[0]}: {error.strerror}"
            ) from error


def watchdog_interval() -> float | None:
    """Seconds between two `WATCHDOG=1`, half of what systemd allows; None where it does not ask."""
    allowed = os.environ.get("WATCHDOG_USEC", "")
    asked = os.environ.get("WATCHDOG_PID", str(os.getpid()))
    if not allowed.isdigit() or int(allowed) == 0 or asked != str(os.getpid()):
        return None
    return int(allowed) / 2e6
