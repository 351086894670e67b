# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What setup has to work out from all hosts of a store together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.cyrus.plugins.module_utils import _layout, _role, _store
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _certificates
from ansible_collections.mailops.cyrus.plugins.plugin_utils._stores import of_host

HostVars = Mapping[str, Mapping[str, Any]]


def group_with_hosts(name: str, groups: Mapping[str, list[str]]) -> str:
    """The group itself. A play with no hosts would end as if all were well."""
    if not groups.get(name):
        raise AnsibleFilterError(f"cyrus_hosts: there is no group {name} with hosts")
    return name


def hosts_of_store(hosts: list[str], hostvars: HostVars, store: str) -> list[str]:
    """Those of the hosts that belong to a store."""
    return [host for host in hosts if hostvars[host].get("cyrus_store") == store]


def channel_clash(hosts: list[str], hostvars: HostVars | None = None, store: str = "") -> str:
    """Why hosts can't be in one store, or an empty text."""
    try:
        _store.Store.load({"name": store, "hosts": store_addresses(hosts, hostvars or {})})
    except ReplicationError as error:
        return str(error)
    return ""


def store_addresses(hosts: list[str], hostvars: HostVars) -> list[dict[str, str]]:
    """Each host with the address at which the others reach it, and whom it follows."""
    return [_described(host, of_host(hostvars, host)) for host in hosts]


def _described(host: str, variables: Mapping[str, Any]) -> dict[str, str]:
    address = variables.get("cyrus_link_address") or variables.get("ansible_host", host)
    upstream = variables.get("cyrus_upstream") or ""
    return {"name": host, "address": str(address), "upstream": str(upstream)}


def _server(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    # What a host said after its packages were installed, if that was needed.
    later = variables.get("cyrus_server_installed") or {}
    found: Mapping[str, Any] = later if "installed" in later else variables["cyrus_server"]
    return found


def decide_master(
    hosts: list[str], hostvars: HostVars, store: str, first_master: str
) -> dict[str, Any]:
    """Who is master by the records of all hosts, and in what the hosts differ."""
    servers = {host: _server(hostvars[host]) for host in hosts}
    for host, server in servers.items():
        if server.get("failed"):
            raise AnsibleFilterError(f"{host} could not be read: {server.get('msg')}")
    records = {
        host: _role.Record(**dict(server["record"])) if server["record"] else None
        for host, server in servers.items()
    }
    try:
        decision = _role.decide(store, records, first_master)
    except ReplicationError as error:
        raise AnsibleFilterError(str(error)) from error
    fences = {host: server["fence"] for host, server in servers.items() if server.get("fence")}
    marks = servers[decision.master].get("awaited") or ()
    reasons = _role.stale(records, decision, fences, {mark["old"] for mark in marks})
    if reasons:
        raise AnsibleFilterError("; ".join(reasons))
    layouts = {
        host: server["wanted_layout"] for host, server in servers.items() if server["installed"]
    }
    versions = {host: str(server["version"]) for host, server in servers.items()}
    return {
        "master": decision.master,
        "epoch": decision.epoch,
        "layout_differences": _layout.differences(layouts),
        "version_note": _layout.version_note(
            {host: version for host, version in versions.items() if servers[host]["installed"]}
        ),
    }


class FilterModule:
    """Filters of the role setup."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "certificate_fits": _certificates.fits,
            "channel_clash": channel_clash,
            "decide_master": decide_master,
            "group_with_hosts": group_with_hosts,
            "hosts_of_store": hosts_of_store,
            "store_addresses": store_addresses,
        }
