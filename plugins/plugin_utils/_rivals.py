# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether somebody else is changing the master of a store, by what its hosts say. Pure.

Of two failovers at a time each fences its own candidate and then looks for the other one's fence.
So one of them sees the other at least, whichever was first.
"""

from __future__ import annotations

from collections.abc import Iterator

from ._eligibility import Answer
from ._stores import HostVars, message_of, of_host

BY = "failover"


def rivals(hostvars: HostVars, plan: Answer) -> list[str]:
    """A sentence for each host that says so, or says nothing any more, when the candidate is
    fenced."""
    found: list[str] = []
    for host in plan["hosts"]:
        found += _of(host, of_host(hostvars, host).get("cyrus_again") or {}, plan)
    if plan["way"] == "fence":
        said = of_host(hostvars, plan["from"]).get("cyrus_again") or {}
        found += _of(plan["from"], said, plan) or _unfenced(plan["from"], said)
    return found


def _of(host: str, said: Answer, plan: Answer) -> Iterator[str] | list[str]:
    if "record" not in said:
        return [f"{host} does not say whether somebody else changes the master: {message_of(said)}"]
    record = said["record"] or {}
    if record.get("epoch", 0) > plan["was"] and record["master"] != plan["to"]:
        return [
            f"{host} says that {record['master']} is master in epoch {record['epoch']}: another "
            "change of master was faster"
        ]
    return [] if host in (plan["from"], plan["to"]) else fenced(host, said.get("fence"))


def fenced(host: str, fence: Answer | None) -> list[str]:
    """That a failover has fenced a host to make that one the master."""
    if (fence or {}).get("by") != BY or fence is None:
        return []
    return [
        f"{host} is fenced by a failover since {fence['since']} ({fence['reason']}): wait for it, "
        f"or undo what it has begun, -e cyrus_candidate={host} -e cyrus_failover_state=undone"
    ]


def _unfenced(host: str, said: Answer) -> list[str]:
    return [] if said.get("fence") else [f"{host} is not fenced any more: run failover again"]
