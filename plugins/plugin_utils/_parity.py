# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of parity checks, one a replica, and the table that an administrator reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils import _report
from ansible_collections.mailops.cyrus.plugins.module_utils._check import Findings
from ansible_collections.mailops.cyrus.plugins.module_utils._look import Unknown
from ansible_collections.mailops.cyrus.plugins.module_utils._report import Subject
from ansible_collections.mailops.cyrus.plugins.module_utils._state import timestamp
from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from ._stores import Host, HostVars, pair_trouble, stores
from ._table import IN_SYNC, table

SHOWN = 20


def pairs(hostvars: HostVars, hosts: Iterable[str]) -> list[dict[str, Any]]:
    """What to compare: each replica with who feeds it, the master but for chains, or the reason
    why it can't be."""
    return [
        {
            "store": store.name,
            "master": store.feeder(replica),
            "replica": replica.name,
            "channel": channel_name(replica.name),
            "epoch": store.epoch,
            "set_up": replica.record is not None,
            "trouble": pair_trouble(store, replica),
        }
        for store in stores(hostvars, hosts)
        for replica in store.replicas or [Host("", None, None, store.trouble)]
    ]


def endpoint(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """How to reach a server that setup never touched, from the variables `cyrus_parity_*`."""
    tls = str(variables.get("cyrus_parity_tls") or "starttls")
    found = {
        "name": host,
        "transport": "imap",
        "host": variables.get("cyrus_parity_host") or variables.get("ansible_host") or host,
        "port": int(variables.get("cyrus_parity_port") or (993 if tls == "implicit" else 143)),
        "user": variables.get("cyrus_parity_user") or variables.get("cyrus_admin_user"),
        "password": variables.get("cyrus_parity_password") or variables.get("cyrus_admin_password"),
        "tls": tls,
        "ca_file": variables.get("cyrus_parity_ca_file"),
        "tls_name": variables.get("cyrus_parity_tls_name"),
        "virtdomains": variables.get("cyrus_parity_virtdomains"),
    }
    return {key: value for key, value in found.items() if value is not None}


def reports(
    results: Iterable[Mapping[str, Any]], wanted: Iterable[Mapping[str, Any]], level: str
) -> list[dict[str, Any]]:
    """One document a pair, by store and replica; of what was not compared, one that says why."""
    found = {
        (result["report"]["store"], result["report"]["replica"]): dict(result["report"])
        for result in results
        if "report" in result
    }
    failed = {
        (result["item"]["store"], result["item"]["replica"]): str(result.get("msg"))
        for result in results
        if "report" not in result and isinstance(result.get("item"), Mapping)
    }
    documents = []
    for pair in wanted:
        key = pair["store"], pair["replica"]
        trouble = pair["trouble"] or failed.get(key) or "the comparison did not take place"
        documents.append(found.get(key) or _not_compared(pair, level, trouble))
    return sorted(documents, key=lambda document: (document["store"], document["replica"]))


def _not_compared(pair: Mapping[str, Any], level: str, trouble: str) -> dict[str, Any]:
    subject = Subject(pair["store"], pair["master"] or "", pair["replica"], level, pair["epoch"])
    findings = Findings(unknown=[Unknown("store", trouble)])
    return _report.document(subject, findings, timestamp(), 0.0)


def summary(document: Mapping[str, Any]) -> dict[str, Any]:
    """What is kept of a report for `status`."""
    kept = ("level", "epoch", "in_sync", "started", "seconds", "compared")
    lists = ("differences", "lagging", "unknown", "skipped")
    return {
        **{key: document[key] for key in kept},
        **{key: len(document[key]) for key in lists},
    }


def lines(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """The table, and below it the first of what is not equal."""
    rows = [
        [
            "store",
            "master",
            "replica",
            "in sync",
            "users",
            "mailboxes",
            "differ",
            "lagging",
            "unknown",
        ]
    ]
    details = []
    for document in documents:
        counts = [len(document[key]) for key in ("differences", "lagging", "unknown")]
        compared = document["compared"]
        rows.append(
            [
                document["store"],
                document["master"],
                document["replica"],
                IN_SYNC[document["in_sync"]],
                str(compared["users"]),
                str(compared["mailboxes"]),
                *map(str, counts),
            ]
        )
        details += _details(document)
    return table(rows) + details


def _details(document: Mapping[str, Any]) -> list[str]:
    found = [f"{document['store']}, replica {document['replica']}:"]
    for title in ("differences", "lagging"):
        entries = document[title]
        if entries:
            kinds = Counter(entry["kind"] for entry in entries)
            counted = ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items()))
            found.append(f"  {title}: {counted}")
        found += [f"    {_sentence(entry)}" for entry in entries[:SHOWN]]
        if len(entries) > SHOWN:
            found.append(f"    and {len(entries) - SHOWN} more, see cyrus_parity_report")
    for title in ("unknown", "skipped"):
        entries = document[title]
        found += [f"  {title}: {entry['scope']}: {entry['reason']}" for entry in entries[:SHOWN]]
        if len(entries) > SHOWN:
            found.append(f"    and {len(entries) - SHOWN} more, see cyrus_parity_report")
    return found if len(found) > 1 else []


def _sentence(entry: Mapping[str, Any]) -> str:
    where = " ".join(
        part
        for part in (
            entry["mailbox"] or entry["user"] or "server",
            f"UID {entry['uid']}" if entry["uid"] is not None else "",
        )
        if part
    )
    return (
        f"{entry['kind']} {where}: {entry['field']} is {_value(entry['master'])} on the master, "
        f"{_value(entry['replica'])} on the replica"
    )


def _value(value: object) -> str:
    return "absent" if value is None else " ".join(str(value).split("\t"))
