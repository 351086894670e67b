# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Where the servers of a store that `setup` has made can be read from its master."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Optional

from . import _files, _link
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._store import CONFIG_DIR, CSYNC_SOCKET, IMAP_SOCKET, Store
from ._wire import Endpoint

DESCRIPTION = f"{CONFIG_DIR}/store.json"

Login = tuple[Optional[str], Optional[str]]

_CONNECT = 10.0


def read_store(path: str = DESCRIPTION) -> Store:
    """The store as `setup` has described it on this host."""
    try:
        return Store.load(json.loads(_files.read(path)))
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReplicationError(
            f"{path} can't be read ({error}): run setup, or say how to reach the servers"
        ) from None


def local(name: str) -> Endpoint:
    """This host itself, by its private socket, which needs no login."""
    return Endpoint(name, path=CSYNC_SOCKET)


def own(store: Store, name: str, settings: Mapping[str, str]) -> Endpoint:
    """This host itself as its administrator, in any role."""
    passwords = [value for key, value in sorted(settings.items()) if key.endswith("_sync_password")]
    if not passwords:
        raise ReplicationError("imapd.conf has no password of the replication: run setup")
    return administered(name, (store.replication_user, passwords[0]), settings)


def administered(name: str, login: Login, settings: Mapping[str, str]) -> Endpoint:
    """This host itself with a login, by its private IMAP, where changes are logged."""
    user, password = login
    return Endpoint(
        name,
        transport="imap",
        path=IMAP_SOCKET,
        user=user,
        password=password,
        virtdomains=switch(settings.get("virtdomains", "off")),
    )


def by_channel(replica: str, channel: str, settings: Mapping[str, str]) -> Endpoint:
    """A replica exactly where and as sync_client reaches it, by the options of its channel."""
    user, password = login(channel, settings)
    try:
        host, port = settings[f"{channel}_sync_host"], int(settings[f"{channel}_sync_port"])
    except (KeyError, ValueError):
        raise ReplicationError(
            f"imapd.conf does not say where channel {channel} leads: run setup on this host"
        ) from None
    return Endpoint(replica, host=host, port=port, user=user, password=password)


def reading(store: Store, replica: str, settings: Mapping[str, str]) -> Endpoint:
    """A replica's private IMAP over the link; `settings` are this host's imapd.conf."""
    return _over_link(store, replica, "imap", store.link_admin_port, settings)


def receiving(store: Store, replica: str, settings: Mapping[str, str]) -> Endpoint:
    """A replica's sync service over the link, without this host's end of it."""
    return _over_link(store, replica, "csync", store.link_port, settings)


def _over_link(
    store: Store, replica: str, transport: str, port: int, settings: Mapping[str, str]
) -> Endpoint:
    address = store.host(replica).address
    user, password = login(store.channels()[replica], settings)
    tls = store.link == "tls"
    return Endpoint(
        replica,
        transport=transport,
        host=address,
        port=port,
        user=user,
        password=password,
        tls="implicit" if tls else "none",
        ca_file=f"{_link.DIR}/ca.pem" if tls else None,
        cert_file=f"{_link.DIR}/cert.pem" if tls else None,
        key_file=f"{_link.DIR}/key.pem" if tls else None,
        tls_name=replica,
        virtdomains=switch(settings.get("virtdomains", "off")),
        connect_timeout=_CONNECT,
    )


def login(channel: str, settings: Mapping[str, str]) -> Login:
    """With what sync_client logs in on a channel: its own options, else those without a name."""

    def option(name: str) -> str | None:
        return settings.get(f"{channel}_{name}" if channel else name, settings.get(name))

    return option("sync_authname"), option("sync_password")
