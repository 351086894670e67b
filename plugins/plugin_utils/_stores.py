# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Stores as all of their hosts together describe them: who is master, and what can be asked.

A host's answer is what the module server_info returned for it; a host that could not be reached or
read has no record, and the reason why is kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils import _role
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

HostVars = Mapping[str, Mapping[str, Any]]

# What Ansible says before ssh's own words.
_AROUND = re.compile(r"^(Task failed: )?Data could not be sent to remote host .* over ssh: (?=.)")
# What ssh says of a connection that it had kept, before it says what is wrong.
_KEPT = re.compile(r"(?:mux_client_\w+: |ControlSocket ).*\n(?=.)")


@dataclass(frozen=True)
class Host:
    """One host's answer; `trouble` is why there is none."""

    name: str
    record: _role.Record | None
    version: str | None
    trouble: str | None
    store_hosts: tuple[str, ...] = ()
    source: str | None = None


@dataclass(frozen=True)
class Store:
    """A store; `trouble` is why nobody can be said to be its master."""

    name: str
    hosts: tuple[Host, ...]
    master: str | None
    epoch: int | None
    trouble: str | None

    @property
    def replicas(self) -> list[Host]:
        return [host for host in self.hosts if host.name != self.master]

    def feeder(self, replica: Host) -> str | None:
        """Who feeds a replica, as far as that is known: the master, or another one in a chain."""
        return replica.source or self.master

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)


def of_host(hostvars: HostVars, host: str) -> Mapping[str, Any]:
    """A host's variables; none of one that the inventory does not name, where Ansible's own mapping
    fails."""
    if host in hostvars:
        return hostvars[host]
    return {}


def as_names(given: str | Iterable[str]) -> tuple[str, ...]:
    """The names of a variable that an administrator gives; a single one need not be a list."""
    return (given,) if isinstance(given, str) else tuple(given)


def stores(hostvars: HostVars, hosts: Iterable[str]) -> list[Store]:
    """The stores of some hosts, by name."""
    by_store: dict[str, list[str]] = {}
    for host in hosts:
        store = hostvars[host].get("cyrus_store")
        if not store:
            raise ReplicationError(
                f"{host} has no cyrus_store: set it, or name another group in cyrus_hosts"
            )
        by_store.setdefault(str(store), []).append(host)
    return [_store(name, hostvars, sorted(own)) for name, own in sorted(by_store.items())]


def _store(name: str, hostvars: HostVars, names: list[str]) -> Store:
    hosts = tuple(_host(host, hostvars[host].get("cyrus_server") or {}) for host in names)
    hosts += _forgotten(name, hosts)
    first = next(
        (str(hostvars[h]["cyrus_master"]) for h in names if "cyrus_master" in hostvars[h]), ""
    )
    records = {host.name: host.record for host in hosts}
    claims = [h.name for h in hosts if h.record is not None and h.record.role == "master"]
    if len(claims) > 1:
        trouble = (
            f"{' and '.join(claims)} both have the role of master of store {name}: find out which "
            "of them takes mail, give that one a higher epoch with the module role where that is "
            "the same, and bring the other one back with rejoin"
        )
        return Store(name, hosts, first or None, None, trouble)
    try:
        decision = _role.decide(name, records, first)
    except ReplicationError as error:
        return Store(name, hosts, first or None, None, str(error))
    epoch = decision.epoch if any(records.values()) else None
    if len(hosts) == 1:
        trouble = f"store {name} has one host only, {names[0]}: a store needs a replica"
        return Store(name, hosts, decision.master, epoch, trouble)
    return Store(name, hosts, decision.master, epoch, None)


def _forgotten(store: str, hosts: tuple[Host, ...]) -> tuple[Host, ...]:
    """Hosts that the store's own hosts know and the inventory does not; nobody can ask them."""
    known = {name for host in hosts for name in host.store_hosts}
    return tuple(
        Host(
            name,
            None,
            None,
            f"{name} is a host of store {store}, and the inventory does not name it there: add it, "
            "or run setup without it",
        )
        for name in sorted(known - {host.name for host in hosts})
    )


def _host(name: str, answer: Mapping[str, Any]) -> Host:
    if answer.get("unreachable"):
        return Host(name, None, None, f"{name} can't be reached: {message_of(answer)}")
    if answer.get("failed") or "installed" not in answer:
        return Host(name, None, None, f"{name} can't be read: {message_of(answer)}")
    record = _role.Record(**dict(answer["record"])) if answer["record"] else None
    known = tuple(answer.get("store_hosts") or ())
    return Host(name, record, answer["version"], None, known, answer.get("source"))


def message_of(answer: Mapping[str, Any]) -> str:
    """What a module that failed said, or Ansible of a host that can't be reached, on one line."""
    said = " ".join(_KEPT.sub("", str(answer.get("msg") or "no answer")).split())
    return _AROUND.sub("", said)


def two_masters(store: str, masters: Iterable[str], epoch: int | None) -> str:
    """What there is to say where the hosts name several masters of one epoch."""
    return (
        f"the hosts of store {store} name {' and '.join(masters)} as master of epoch {epoch}: see "
        "which of them is right, and give that one a higher epoch with the module role"
    )


def pair_trouble(store: Store, replica: Host) -> str | None:
    """Why a replica can't be compared with who feeds it; None where it can."""
    if store.trouble is not None or store.master is None:
        return store.trouble or f"store {store.name} has no master: set cyrus_master"
    master = store.host(str(store.feeder(replica)))
    for host in (master, replica):
        if host.trouble is not None:
            return host.trouble
        if host.version is None:
            return f"Cyrus IMAP is not installed on {host.name}: run setup first"
    if master.record is not None and replica.record is None:
        return f"{replica.name} has no role record, {master.name} has one: run setup"
    if master.record is None and replica.record is not None:
        return f"{master.name} has no role record, {replica.name} has one: run setup"
    for host in (master, replica):
        if host.record is not None and host.record.epoch != store.epoch:
            return (
                f"{host.name} is in epoch {host.record.epoch} and {store.master} in epoch "
                f"{store.epoch}: bring {host.name} back with rejoin"
            )
    return None
