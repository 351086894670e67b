# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The reports of `status`, one a store, and the table that an administrator reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._stores import Host, HostVars, Store, message_of, of_host, stores
from ._table import IN_SYNC, table

_MINE = ("switchover", "failover", "reseed")


def reports(hostvars: HostVars, hosts: Iterable[str]) -> list[dict[str, Any]]:
    """One document a store, by name."""
    return [
        {
            "store": store.name,
            "master": store.master,
            "epoch": store.epoch,
            "trouble": store.trouble or _headless(store),
            "hosts": [_host(store, host, hostvars) for host in store.hosts],
            "deliveries": list(_deliveries(store, hostvars)),
        }
        for store in stores(hostvars, hosts)
    ]


def _headless(store: Store) -> str | None:
    """That the master itself has not learned that it is, so that nobody serves."""
    record = next((host.record for host in store.hosts if host.name == store.master), None)
    if record is None or (record.role, record.epoch) == ("master", store.epoch):
        return None
    return (
        f"{store.master} is to be master of epoch {store.epoch}, and is {record.role} in epoch "
        f"{record.epoch}: run the change of master again, -e cyrus_candidate={store.master}, which "
        "goes on from there"
    )


def _deliveries(store: Store, hostvars: HostVars) -> Iterable[dict[str, Any]]:
    """What the delivery hosts say, by that host of the store for which they were asked."""
    for host in store.hosts:
        asked = of_host(hostvars, host.name).get("cyrus_deliveries") or {}
        for answer in asked.get("results") or ():
            if not answer.get("skipped"):
                yield _delivery(store.name, answer)


def _delivery(store: str, answer: Mapping[str, Any]) -> dict[str, Any]:
    """Whether a delivery host keeps mail of the store back."""
    host, trouble = str(answer["item"]), None
    if answer.get("unreachable"):
        trouble = f"{host} of cyrus_mta can't be reached: {message_of(answer)}"
    elif answer.get("failed"):
        trouble = f"{host}: {message_of(answer)}"
    elif answer["by"] is not None:
        again = f"run {answer['by']} again, or " if answer["by"] in _MINE else ""
        trouble = (
            f"{host} holds deliveries to {store} back, by {answer['by']} since {answer['since']}: "
            f"{again}release them with the module delivery_hold, state=released"
        )
    elif answer["held"] is None:
        trouble = f"{host}: {answer['reason']}"
    told = {key: answer.get(key) for key in ("held", "by", "since", "queued")}
    return {"host": host, **told, "trouble": trouble}


def _host(store: Store, host: Host, hostvars: HostVars) -> dict[str, Any]:
    variables = of_host(hostvars, host.name)
    record = host.record
    found = variables.get("cyrus_channels") or {}
    trouble = host.trouble
    if trouble is None and (found.get("failed") or found.get("unreachable")):
        trouble = f"{host.name}: {message_of(found)}"
    trouble = trouble or _closed(host.name, variables.get("cyrus_server") or {})
    answer = variables.get("cyrus_server") or {}
    channels = [
        _doubted(channel, of_host(hostvars, channel["replica"]))
        for channel in found.get("channels") or []
    ]
    return {
        "host": host.name,
        "role": _role(record.role if record else "unknown", answer),
        "epoch": record.epoch if record else None,
        "source": host.source,
        "since": record.since if record else None,
        "version": host.version,
        "channels": channels,
        "quarantine": _held(channels),
        "guard": answer.get("guard"),
        "awaited": list(answer.get("awaited") or []),
        "history": list(answer.get("history") or []),
        "trouble": trouble,
    }


def _held(channels: Iterable[Mapping[str, Any]]) -> list[Any] | None:
    """What is in quarantine; None where a channel does not know."""
    found = [channel.get("quarantine") for channel in channels]
    return None if None in found else [entry for held in found for entry in held or ()]


def _role(recorded: str, answer: Mapping[str, Any]) -> str:
    return "fenced" if answer.get("fence") or answer.get("cleared") is False else recorded


def _closed(host: str, answer: Mapping[str, Any]) -> str | None:
    """Why a host serves no clients that could."""
    fence = answer.get("fence")
    if fence:
        return f"{host} is fenced by {fence['by']} since {fence['since']}: {fence['reason']}"
    if answer.get("cleared") is False:
        return f"{host} has not learned since its boot whether it still is the master"
    return None


def _doubted(channel: dict[str, Any], replica: Mapping[str, Any]) -> dict[str, Any]:
    """A replica that was not stopped in order may have lost what it had, until all has been
    compared; only that host knows."""
    doubt = (replica.get("cyrus_server") or {}).get("doubt")
    last, known = channel["parity"], channel["doubt"]
    compared = last and last["in_sync"] and doubt and last["started"] > doubt["since"]
    if not doubt or compared or (known and known["since"] >= doubt["since"]):
        return channel
    doubt = {**doubt, "reason": f"on {channel['replica']}: {doubt['reason']}"}
    if last and last["in_sync"]:
        last = {**last, "in_sync": None, "reason": doubt["reason"]}
    return {**channel, "doubt": doubt, "parity": last}


def lines(documents: Iterable[Mapping[str, Any]]) -> list[str]:
    """A table a store: its hosts, its channels, and what is wrong."""
    found: list[str] = []
    for document in documents:
        epoch = "no epoch" if document["epoch"] is None else f"epoch {document['epoch']}"
        found.append(f"store {document['store']}: master {_word(document['master'])}, {epoch}")
        if document["trouble"]:
            found.append(f"  ! {document['trouble']}")
        found += [f"  {line}" for line in _hosts(document) + _channels(document)]
        found += [f"  {' -> '.join(chain)}" for chain in _chains(document)]
        found += [f"  ! {trouble}" for trouble in _troubles(document)]
    return found


def _hosts(document: Mapping[str, Any]) -> list[str]:
    rows = [["host", "role", "epoch", "since", "version"]]
    rows += [
        [
            host["host"],
            host["role"],
            _word(host["epoch"]),
            _word(host["since"]),
            _word(host["version"]),
        ]
        for host in document["hosts"]
    ]
    return table(rows)


def _channels(document: Mapping[str, Any]) -> list[str]:
    rows = [["channel", "state", "link", "waiting", "lag", "held", "quarantine", "last parity"]]
    for host in document["hosts"]:
        rows += [_channel(channel, host["epoch"]) for channel in host["channels"]]
    return table(rows) if len(rows) > 1 else []


def _chains(document: Mapping[str, Any]) -> Iterable[list[str]]:
    """From the master to each host that follows another replica."""
    sources = {host["host"]: host["source"] for host in document["hosts"]}
    for name, source in sources.items():
        if source is None or source == document["master"]:
            continue
        way = [name]
        while sources.get(way[0]) is not None and sources[way[0]] not in way:
            way.insert(0, sources[way[0]])
        yield way


def _channel(channel: Mapping[str, Any], epoch: int | None) -> list[str]:
    backlog, held = channel["backlog"] or {}, channel["quarantine"]
    return [
        channel["name"],
        _state(channel),
        "ok" if channel["link"]["ok"] else "BROKEN",
        _word(backlog.get("entries")),
        "unknown" if channel["lag"] is None else f"{channel['lag']:g} s",
        _word(backlog.get("held")),
        "unknown" if held is None else str(len(held)),
        _parity(channel["parity"], epoch),
    ]


def _state(channel: Mapping[str, Any]) -> str:
    """As the replicator names it where it runs, else as systemd does."""
    if channel["state"] != "active":
        return f"{channel['state']}, paused" if channel["paused"] else str(channel["state"])
    replicator = channel["replicator"]
    return str(replicator["state"]) if replicator else "unknown"


def _parity(last: Mapping[str, Any] | None, epoch: int | None) -> str:
    """A comparison counts in its epoch only."""
    none = "none" if epoch is None else f"none in epoch {epoch}"
    if last is None:
        return none
    said = f"{IN_SYNC[last['in_sync']]} ({last['level']}, {last['started']})"
    if last.get("epoch") in (None, epoch):
        return said
    return f"{none}, in epoch {last['epoch']} {said}"


def _troubles(document: Mapping[str, Any]) -> Iterable[str]:
    yield from (one["trouble"] for one in document["deliveries"] if one["trouble"])
    for host in document["hosts"]:
        if host["trouble"]:
            yield host["trouble"]
        yield from _of_guard(host["host"], host["role"], host["guard"])
        yield from _awaiting(host["host"], host["awaited"])
        for channel in host["channels"]:
            yield from (f"channel {channel['name']}: {text}" for text in _of_channel(channel))
        for channel in host["channels"]:
            yield from quarantined(channel.get("quarantine") or ())


def _of_guard(host: str, role: str, guard: Mapping[str, Any] | None) -> Iterable[str]:
    # A fence tells its reason itself, and of a host that is back the guard learns seconds later.
    if role != "fenced" and guard and guard["state"] == "superseded":
        return
    if guard and guard["reason"] and guard["state"] != "fenced":
        since = f" since {guard['since']}" if guard["since"] else ""
        yield f"guard of {host}, {guard['state']}{since}: {guard['reason']}"


def _awaiting(host: str, awaited: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for old in awaited:
        yield (
            f"{host} awaits {old['old']} since {old['since']}, so cyr_expire rests: bring it back "
            "with rejoin"
        )


def _of_channel(channel: Mapping[str, Any]) -> Iterable[str]:
    replicator, doubt = channel["replicator"], channel["doubt"]
    if channel["state"] == "active" and replicator and replicator["reason"]:
        yield f"{replicator['state']} since {replicator['since']}: {replicator['reason']}"
    yield from filter(None, (channel["link"]["reason"], channel["reason"]))
    if doubt:
        yield f"parity is in doubt since {doubt['since']}: {doubt['reason']}"


def quarantined(entries: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """A line for each thing in quarantine: since when, why, and what to do."""
    for entry in entries:
        what = f"{entry['scope']} {entry['name']}".rstrip()
        by = "by an administrator " if entry["by"] == "administrator" else ""
        events = f"{entry['held']} event{'' if entry['held'] == 1 else 's'} held"
        said = " ".join(filter(None, (f"{entry['reason'].rstrip('.')}.", entry["advice"])))
        yield f"quarantine {entry['channel']}: {what}, {by}since {entry['since']}, {events}: {said}"


def _word(value: object) -> str:
    return "-" if value is None else str(value)
