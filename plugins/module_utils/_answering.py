# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The guard's answer to its peers, given by a thread: who connects gets one line and is hung up on.

The link's end connects by a unix socket and has verified who asks. Without it, the host's own
address is listened on, and nobody but the store's hosts is answered.
"""

from __future__ import annotations

import contextlib
import grp
import ipaddress
import os
import socket
import threading

from . import _clearance, _fence, _peers, _role
from ._errors import ReplicationError
from ._install import GROUP
from ._store import GUARD_SOCKET, Store
from ._terms import Terms

_SECONDS = 1.0
# Python names it from version 3.13 on. The address may come later than the guard.
_IP_FREEBIND = 15


def start(store: Store, me: str, terms: Terms) -> None:
    """Answer from now on."""
    try:
        listener = _over_plain(store, me) if store.link == "plain" else _behind_link()
    except OSError as error:
        raise ReplicationError(f"the guard can't listen: {error.strerror}") from error
    allowed = (
        {str(ipaddress.ip_address(host.address)) for host in store.hosts}
        if (store.link == "plain")
        else None
    )
    threading.Thread(target=_serve, args=(listener, allowed, terms), daemon=True).start()


def _behind_link() -> socket.socket:
    os.makedirs(os.path.dirname(GUARD_SOCKET), exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(GUARD_SOCKET)
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(GUARD_SOCKET)
    os.chown(GUARD_SOCKET, 0, grp.getgrnam(GROUP).gr_gid)
    os.chmod(GUARD_SOCKET, 0o660)
    listener.listen()
    return listener


def _over_plain(store: Store, me: str) -> socket.socket:
    address = ipaddress.ip_address(store.host(me).address)
    listener = socket.socket(socket.AF_INET6 if address.version == 6 else socket.AF_INET)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.setsockopt(socket.IPPROTO_IP, _IP_FREEBIND, 1)
    listener.bind((str(address), store.guard_port))
    listener.listen()
    return listener


def _serve(listener: socket.socket, allowed: set[str] | None, terms: Terms) -> None:
    while True:
        with contextlib.suppress(OSError):
            connection, asker = listener.accept()
            with connection:
                if allowed is None or asker[0] in allowed:
                    connection.settimeout(_SECONDS)
                    connection.sendall(own(terms))


def own(terms: Terms) -> bytes:
    """What this host answers now."""
    try:
        record = _role.read()
        uncleared = (
            record is not None and record.role == "master" and not _clearance.valid(record.epoch)
        )
        return _peers.line(record, uncleared or _fence.read() is not None, terms)
    except (OSError, ReplicationError) as error:
        return _peers.failure(str(error))
