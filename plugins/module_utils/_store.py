# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A store as the inventory describes it, and what each of its hosts has to run. Pure.

Everything a host's files say follows from the store, the host's role, the name of the master and
the site's own settings; so a change of role is the same call with another role.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from . import _link
from ._errors import ReplicationError
from ._imapd_conf import switch

CONFIG_DIR = "/etc/cyrus-replication"
SECRETS = f"{CONFIG_DIR}/secrets.conf"
SASLDB = f"{CONFIG_DIR}/sasldb2"
PRIVATE_DIR = "/run/cyrus/private"
CSYNC_SOCKET = f"{PRIVATE_DIR}/csync"
IMAP_SOCKET = f"{PRIVATE_DIR}/imap"
GUARD_SOCKET = "/run/cyrus-replication/guard.sock"
# No channel can have this name.
GUARD_LINK = "guard-answer"
SERVER_LINK = "server"
CSYNC_PORT = 2005
FIRST_CHANNEL_ADDRESS = ipaddress.IPv4Address("127.0.0.2")
FIRST_CHANNEL_PORT = 12005
# As Cyrus writes the channel without a name in sync_log_channels.
NAMELESS = '""'
# What nobody replicates: it tells who was touched. It is logged to before the replicas' channels,
# so that nothing is on its way that is not in it.
AUDIT = "audit"

# Cyrus knows these from the development version before its next release.
_READONLY_SINCE = (3, 3)
_MAXWAIT_SINCE = (3, 5)


def channel_name(host: str) -> str:
    """The channel to a replica: Cyrus looks channel options up in lower case."""
    return re.sub(r"[^a-z0-9]", "", host.lower())


@dataclass(frozen=True)
class Host:
    """A host of a store; its name is the name in its certificate. `upstream` is the host that
    feeds it where neither of the two is master, the master itself where it is empty."""

    name: str
    address: str
    upstream: str = ""


@dataclass(frozen=True)
class Store:
    """One master with its replicas."""

    name: str
    hosts: tuple[Host, ...]
    link: str = "tls"
    link_port: int = 2015
    link_admin_port: int = 2016
    guard_port: int = 2017
    admin_user: str = "cyrus"
    replication_user: str = "replication"

    @property
    def readers(self) -> str:
        """Who may read everything over the link: a person, and the software that compares."""
        return f"{self.admin_user} {self.replication_user}"

    @classmethod
    def load(cls, described: Mapping[str, Any]) -> Store:
        """From plain data, as a module gets it or a file keeps it."""
        rest = {k: v for k, v in described.items() if k != "hosts" and v is not None}
        hosts = sorted((Host(**host) for host in described["hosts"]), key=lambda h: h.name)
        store = cls(hosts=tuple(hosts), **rest)
        store.channels()
        store.refuse_circles()
        return store

    def described(self) -> dict[str, Any]:
        """Plain data, from which `load` makes the same."""
        hosts = [{k: v for k, v in asdict(host).items() if v} for host in self.hosts]
        return {**asdict(self), "hosts": hosts}

    def without_chains(self) -> Store:
        """The same with every replica behind the master itself."""
        return replace(self, hosts=tuple(replace(host, upstream="") for host in self.hosts))

    def host(self, name: str) -> Host:
        for host in self.hosts:
            if host.name == name:
                return host
        raise ReplicationError(f"{name} is no host of store {self.name}")

    def refuse_circles(self) -> None:
        """Whoever follows a host leads to one that follows the master."""
        for host in self.hosts:
            if host.upstream and channel_name(host.name) == SERVER_LINK:
                raise ReplicationError(
                    f"the channel of {host.name} has the name of the link by which "
                    f"{host.upstream} is fed: rename it, or let it follow the master"
                )
            way = [host.name]
            while self.host(way[-1]).upstream:
                upstream = self.host(way[-1]).upstream
                if upstream not in {other.name for other in self.hosts}:
                    raise ReplicationError(
                        f"cyrus_upstream of {way[-1]} names {upstream}, which is no host of store "
                        f"{self.name}: correct it"
                    )
                if upstream in way:
                    raise ReplicationError(
                        f"cyrus_upstream leads in a circle ({' -> '.join([*way, upstream])}): "
                        "let one of them follow the master, without cyrus_upstream"
                    )
                way.append(upstream)

    def source(self, name: str, master: str) -> str:
        """Who feeds a replica."""
        return self.host(name).upstream or master

    def first_channel(self, name: str, master: str) -> str:
        """The master's own channel that leads to a host, or to the first one before it."""
        while self.source(name, master) != master:
            name = self.source(name, master)
        return self.channels()[name]

    def fed_by(self, me: str, role: str, master: str) -> dict[str, str]:
        """The channel to each host that a host replicates to in its role."""
        if role not in ("master", "replica"):
            return {}
        return {
            name: channel
            for name, channel in self.channels().items()
            if name not in (me, master) and self.source(name, master) == me
        }

    def channels(self) -> dict[str, str]:
        """The channel to each host; names that fall together are refused."""
        found: dict[str, str] = {}
        for host in self.hosts:
            channel = channel_name(host.name)
            if not channel:
                raise ReplicationError(
                    f"{host.name} has no letter or digit to name a channel after: rename it"
                )
            if channel == AUDIT:
                raise ReplicationError(
                    f"the channel of {host.name} would be {AUDIT}, which is taken: rename the host"
                )
            for other, taken in found.items():
                if taken == channel:
                    raise ReplicationError(
                        f"{other} and {host.name} would share the channel {channel}: rename one"
                    )
            found[host.name] = channel
        return found

    def channel_end(self, name: str) -> tuple[str, int]:
        """The local end of the link to a host, address and port.

        Each has an address of its own: sync_client's lock on a user is named after the address it
        is given, so a replica that hangs would hold up all others behind the same one.
        """
        index = [host.name for host in self.hosts].index(name)
        return str(FIRST_CHANNEL_ADDRESS + index), FIRST_CHANNEL_PORT + index


@dataclass(frozen=True)
class Plan:
    """What one host has in its files."""

    settings: dict[str, str]
    absent: set[str]
    services: dict[str, str]
    channels: list[str]
    links: dict[str, str] = field(default_factory=dict)
    hosts_allow: list[str] = field(default_factory=list)
    taken_over: bool = False  # a site's own replication to a host of the store


def secrets(store: Store, me: str, password: str) -> str:
    """The part of imapd.conf that only Cyrus may read; the same in every role."""
    if not password or password != password.strip() or "\n" in password or password.endswith("\\"):
        raise ReplicationError(
            "cyrus_replication_password must be one line that neither begins nor ends with a "
            "blank or ends with a backslash"
        )
    return "# Written by mailops.cyrus.\n" + "".join(
        f"{channel}_sync_password: {password}\n"
        for name, channel in store.channels().items()
        if name != me
    )


def _words(value: str, *added: str) -> str:
    words = value.split()
    return " ".join([*words, *(word for word in added if word not in words)])


def _accounts(service: str, admin: str) -> dict[str, str]:
    # Under the service's name, so that the site's own authentication stays as it is.
    return {
        f"{service}_admins": admin,
        f"{service}_allowplaintext": "yes",
        f"{service}_sasl_auxprop_plugin": "sasldb",
        f"{service}_sasl_mech_list": "PLAIN",
        f"{service}_sasl_minimum_layer": "0",
        f"{service}_sasl_pwcheck_method": "auxprop",
        f"{service}_sasl_sasldb_path": SASLDB,
    }


def _sending(store: Store, me: str, site: Mapping[str, str], version: tuple[int, ...]) -> Plan:
    channels = store.fed_by(me, "master", me)
    ways, links = _ways(store, channels, version)
    own = site.get("sync_log_channels", "")
    taken_over = site.get("sync_host") in {
        word for h in store.hosts for word in (h.name, h.address)
    }
    if taken_over:
        # What the site replicated on the channel without a name goes to one of ours now.
        own = " ".join(word for word in own.split() if word != NAMELESS)
    elif not own and switch(site.get("sync_log", "no")):
        # Naming channels would silence the one without a name, which the site uses.
        own = NAMELESS
    if AUDIT in own.split():
        raise ReplicationError(
            f"sync_log_channels in imapd.conf names {AUDIT}, which is taken: "
            "give the site's own channel another name"
        )
    logged = _words(f"{AUDIT} {own}", *channels.values())
    settings = {"sync_log": "1", "sync_log_channels": logged, **ways}
    return Plan(settings, set(), {}, list(channels.values()), links, taken_over=taken_over)


def _ways(
    store: Store, channels: Mapping[str, str], version: tuple[int, ...]
) -> tuple[dict[str, str], dict[str, str]]:
    """How each channel gets to its replica: options of imapd.conf, and ends of the link."""
    settings, links = {}, {}
    if channels and version >= _MAXWAIT_SINCE:
        settings["sync_reconnect_maxwait"] = "5s"
    for name, channel in channels.items():
        host = store.host(name)
        if store.link == "plain":
            where, port = host.address, store.link_port
        else:
            where, port = store.channel_end(name)
            links[channel] = _link.client(where, port, host.address, store.link_port, name)
        settings.update(
            {
                f"{channel}_sync_host": where,
                f"{channel}_sync_port": str(port),
                f"{channel}_sync_authname": store.replication_user,
                f"{channel}_sync_try_imap": "0",
                f"{channel}_sync_repeat_interval": "1",
            }
        )
    return settings, links


def _receiving(
    store: Store, me: str, master: str, site: Mapping[str, str], version: tuple[int, ...]
) -> Plan:
    source = store.source(me, master)
    channels = store.fed_by(me, "replica", master)
    onward, links = _ways(store, channels, version)
    settings = {**_quiet(site, version), **onward}
    settings.update(_accounts("replcsync", store.replication_user))
    absent = {"sync_rightnow_channel"}
    if channels:
        # What comes from the master is logged for those behind.
        settings.update(
            sync_log="1", sync_log_chain="1", sync_log_channels=" ".join(channels.values())
        )
    else:
        absent |= {"sync_log_channels", "sync_log_chain"}
    if store.link != "plain":
        services = {"replcsync": f'cmd="sync_server" listen="127.0.0.1:{CSYNC_PORT}"'}
        ports = {store.link_port: f"127.0.0.1:{CSYNC_PORT}", store.link_admin_port: IMAP_SOCKET}
        links[SERVER_LINK] = _link.server(store.host(me).address, [source], ports)
        return Plan(settings, absent, services, list(channels.values()), links)
    settings.update(_accounts("replimap", store.readers))
    mine = _literal(store.host(me))
    services = {
        "replcsync": f'cmd="sync_server" listen="{mine}:{store.link_port}"',
        "replimap": f'cmd="imapd" listen="{mine}:{store.link_admin_port}"',
    }
    allowed = _only_for(store, source, services)
    return Plan(settings, absent, services, list(channels.values()), links, allowed)


def _readable(
    store: Store, me: str, master: str, site: Mapping[str, str], version: tuple[int, ...]
) -> Plan:
    """A host that was superseded: whoever has taken its place reads what it has, and no more."""
    settings = _quiet(site, version)
    absent = {"sync_log_channels"}
    if store.link != "plain":
        ports = {store.link_admin_port: IMAP_SOCKET}
        link = _link.server(store.host(me).address, [master], ports)
        return Plan(settings, absent, {}, [], {SERVER_LINK: link})
    settings.update(_accounts("replimap", store.readers))
    mine = _literal(store.host(me))
    services = {"replimap": f'cmd="imapd" listen="{mine}:{store.link_admin_port}"'}
    return Plan(settings, absent, services, [], {}, _only_for(store, master, services))


def _only_for(store: Store, master: str, services: Iterable[str]) -> list[str]:
    upstream = _literal(store.host(master))
    return [f"{name}: {upstream} : ALLOW\n{name}: ALL : DENY\n" for name in services]


def _literal(host: Host) -> str:
    try:
        address = ipaddress.ip_address(host.address)
    except ValueError:
        raise ReplicationError(
            f"cyrus_link: plain needs an IP address in cyrus_link_address of {host.name}, "
            f"not {host.address}"
        ) from None
    return f"[{address}]" if address.version == 6 else str(address)


def _quiet(site: Mapping[str, str], version: tuple[int, ...]) -> dict[str, str]:
    """Settings of a host whose mailboxes nobody but the link may change."""
    settings = {"sync_log": "0"}
    if version >= _READONLY_SINCE:
        settings["readonly"] = "yes"
    if "autocreate_quota" in site:
        settings["autocreate_quota"] = "-1"
    if "autocreate_post" in site:
        settings["autocreate_post"] = "0"
    return settings


def _answering(store: Store, me: str) -> dict[str, str]:
    """The end at which a host of any role tells the others what it is."""
    if store.link == "plain":
        return {}
    others = [host.name for host in store.hosts if host.name != me]
    ports = {store.guard_port: GUARD_SOCKET}
    # Somebody asks every second or so, which is no news.
    link = _link.server(store.host(me).address, others, ports, "warning")
    return {GUARD_LINK: link}


def plan(
    store: Store,
    me: str,
    role: str,
    master: str,
    site: Mapping[str, str],
    version: tuple[int, ...],
) -> Plan:
    """What a host has to have in a role; `site` is the site's own imapd.conf."""
    if role == "master":
        part = _sending(store, me, site, version)
    elif role == "replica":
        part = _receiving(store, me, master, site, version)
    else:
        part = _readable(store, me, master, site, version)
    settings = {
        "admins": _words(site.get("admins", ""), store.admin_user),
        **_accounts("privimap", store.readers),
        **part.settings,
    }
    services = {
        "privcsync": f'cmd="sync_server" listen="{CSYNC_SOCKET}"',
        "privimap": f'cmd="imapd" listen="{IMAP_SOCKET}"',
        **part.services,
    }
    links = {**part.links, **_answering(store, me)}
    return replace(part, settings=settings, services=services, links=links)
