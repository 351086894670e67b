# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the playbook `quarantine` shows: what is held, what became of an order, what went wrong."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from ._stores import HostVars, message_of
from ._table import table

Entry = Mapping[str, Any]


def summary(
    hostvars: HostVars, hosts: Iterable[str], state: str, channel: str
) -> dict[str, list[str]]:
    """`lines` to show, and `troubles`, a sentence each, for which the play fails."""
    entries: list[Entry] = []
    orders: list[str] = []
    channels: list[str] = []
    troubles: list[str] = []
    for host in hosts:
        before = hostvars[host].get("cyrus_quarantine_before") or {}
        ordered = hostvars[host].get("cyrus_quarantine_ordered") or {}
        channels += before.get("channels") or []
        latest = ordered if "quarantine" in ordered else before
        entries += [e for e in latest.get("quarantine") or [] if channel in ("", e["channel"])]
        orders += _orders(state, ordered)
        troubles += _troubles(host, before, ordered)
    if channel and channel not in channels and not troubles:
        told = ", ".join(channels) or "none"
        troubles.append(f"no host has a channel {channel}, cyrus_quarantine_channel names: {told}")
    elif not channels and not troubles:
        troubles.append("no host of this run replicates to another one: see status")
    if not entries and not troubles:
        orders.append("nothing is in quarantine" + (f" of channel {channel}" if channel else ""))
    return {"lines": orders + _lines(entries), "troubles": troubles}


def _troubles(host: str, before: Entry, ordered: Entry) -> Iterator[str]:
    """The role lets no module fail the play, so it is the message that tells."""
    for answer in (before, ordered):
        said = message_of(answer)
        if answer.get("unreachable"):
            yield f"{host} can't be reached: {said}"
        elif answer.get("msg"):
            yield said if answer.get("results") else f"{host}: {said}"


def _orders(state: str, ordered: Mapping[str, Any]) -> Iterator[str]:
    """What became of each order, or that nothing was there to be ordered."""
    for outcome in ordered.get("results") or []:
        what = f"{_what(outcome)} on {outcome['channel']}"
        if outcome["answered"] is None:
            yield f"{what} would be {'held back' if state == 'present' else 'tried'}"
        elif not outcome["answered"]:
            yield f"{what}: the order was not taken"
        elif outcome["released"]:
            yield f"{what} is released"
        elif outcome["reason"]:
            yield f"{what} is still held"
        else:
            yield f"{what} is held back"
    if ordered.get("note"):
        yield str(ordered["note"])


def _lines(entries: list[Entry]) -> list[str]:
    if not entries:
        return []
    rows = [["channel", "what", "since", "by", "tries", "events held"]]
    rows += [
        [entry["channel"], _what(entry), entry["since"], entry["by"]]
        + [str(entry[key]) for key in ("tries", "held")]
        for entry in entries
    ]
    details = []
    for entry in entries:
        details += ["", f"{_what(entry)} on {entry['channel']}: {entry['reason']}"]
        details += [f"  {entry['advice']}"] if entry["advice"] else []
    return table(rows) + details


def _what(entry: Entry) -> str:
    return f"{entry['scope']} {entry['name']}".rstrip()
