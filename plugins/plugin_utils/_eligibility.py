# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Why a host must not become master. Each check yields reasons, a sentence each, or nothing.

What could not be found out is a reason as well. The real run and the check ask the same.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils import _layout
from ansible_collections.mailops.cyrus.plugins.module_utils._install import parse_version

from ._stores import Store, message_of

Answer = Mapping[str, Any]


@dataclass(frozen=True)
class Limits:
    """What a site allows: seconds of lag, days of certificates, percent of free space."""

    max_lag: float
    certificate_days: int
    free_percent: float
    accepted: tuple[str, ...] = ()


@dataclass(frozen=True)
class Facts:
    """A store, the change that is wanted, and what its hosts answered; `channels` are those of all
    hosts."""

    store: Store
    master: str
    candidate: str
    readiness: Mapping[str, Answer]
    channels: tuple[Answer, ...]
    deliveries: Mapping[str, Answer]
    traffic: tuple[str, ...]
    limits: Limits

    @property
    def under_way(self) -> bool:
        """Whether a switchover has fenced the master already."""
        fence = self.readiness.get(self.master, {}).get("fence") or {}
        return fence.get("by") == "switchover"


def reasons(facts: Facts) -> list[str]:
    """All of them, each once."""
    return _all(_CHECKS, facts)


def of_a_pair(facts: Facts) -> list[str]:
    """Those that keep the candidate from getting everything from its master."""
    return _all((_versions, _peers, _activities, _layouts, _space, _certificates), facts)


def _all(checks: Iterable[Callable[[Facts], Iterator[str]]], facts: Facts) -> list[str]:
    found: dict[str, None] = {}
    for check in checks:
        found.update(dict.fromkeys(check(facts)))
    return list(found)


def _answered(facts: Facts) -> Iterator[str]:
    """What is to be said of a host that has not answered; the other checks pass it over."""
    names = [host.name for host in facts.store.hosts]
    for name in (facts.master, facts.candidate):
        if name not in names:
            yield f"{name} is no host of store {facts.store.name}"
    for host in facts.store.hosts:
        if host.trouble:
            dead = "; if it is dead, see failover" if host.name == facts.master else ""
            yield f"{host.trouble}{dead}"
        elif host.record is None:
            yield f"{host.name} has no role record: run setup"
        elif host.name not in facts.readiness:
            yield f"{host.name} did not say whether it is ready"


def _same_epoch(facts: Facts) -> Iterator[str]:
    for host in facts.store.hosts:
        if host.record and host.record.epoch != facts.store.epoch:
            yield (
                f"{host.name} is in epoch {host.record.epoch} and the store in epoch "
                f"{facts.store.epoch}: run setup, so that it follows, or rejoin if it has missed a "
                "failover"
            )


def _roles(facts: Facts) -> Iterator[str]:
    for host in facts.store.hosts:
        if host.record and host.record.role == "fenced":
            yield (
                f"{host.name} was superseded and is fenced since {host.record.since}: "
                "bring it back with rejoin, or take it out of the inventory and run setup"
            )
        fence = facts.readiness.get(host.name, {}).get("fence")
        if fence and not (host.name == facts.master and fence["by"] == "switchover"):
            yield (
                f"{host.name} is fenced by {fence['by']} since {fence['since']}: {fence['reason']}"
            )
    master = facts.readiness.get(facts.master, {})
    if master and not master.get("fence"):
        yield from uncleared(facts.master, master)


def uncleared(master: str, readiness: Answer) -> Iterator[str]:
    """Why a master that is not fenced serves nobody."""
    if not readiness.get("cleared"):
        yield f"{master} does not serve: its guard has not heard yet that nobody else is master"


def _versions(facts: Facts) -> Iterator[str]:
    found = {}
    if not {facts.master, facts.candidate} <= set(facts.readiness):
        return
    for name in (facts.master, facts.candidate):
        text = facts.readiness.get(name, {}).get("version")
        if not text:
            why = _why(facts.readiness.get(name, {}), "version")
            yield f"the version of Cyrus on {name} is not known: {why}"
            return
        found[name] = parse_version(text)
    if found[facts.candidate][:2] < found[facts.master][:2]:
        yield (
            f"{facts.candidate} runs Cyrus {_dotted(found[facts.candidate])}, which is older than "
            f"{_dotted(found[facts.master])} on {facts.master}: upgrade {facts.candidate} first"
        )


def _why(answer: Answer, what: str) -> str:
    return str((answer.get("unknown") or {}).get(what) or "no reason given")


def _dotted(version: Iterable[int]) -> str:
    return ".".join(map(str, version))


def _chained(facts: Facts) -> Iterator[str]:
    yield from chained(facts.store, facts.candidate)


def chained(store: Store, name: str) -> Iterator[str]:
    """Why a host gets nothing from the master itself. One that has missed a change of master tells
    whom it followed before."""
    host = next((host for host in store.hosts if host.name == name), None)
    if host is None or host.record is None or host.record.epoch != store.epoch:
        return
    if host.source and host.source != store.master:
        yield (
            f"{name} follows {host.source}, not {store.master}: take cyrus_upstream of {name} out "
            "of the inventory and run setup first"
        )


def _replication(facts: Facts) -> Iterator[str]:
    told = {channel["replica"]: channel for channel in facts.channels}
    for replica in facts.store.replicas:
        feeder = str(facts.store.feeder(replica))
        if not {feeder, replica.name} <= set(facts.readiness):
            continue
        channel = told.get(replica.name)
        if channel is None:
            yield f"{feeder} says nothing of a channel to {replica.name}"
            continue
        yield from _channel(channel, facts)


def _channel(channel: Answer, facts: Facts) -> Iterator[str]:
    name = channel["name"]
    if not channel["link"]["ok"]:
        yield f"channel {name}: {channel['link']['reason']}"
    if channel["paused"] or channel["state"] != "active":
        state = "paused" if channel["paused"] else channel["state"]
        yield (
            f"channel {name} is {state}: start it (module channel, name={name} state=started), "
            "or finish what paused it"
        )
    elif channel["lag"] is None and not facts.under_way:
        yield f"the lag of channel {name} is not known: {channel['reason'] or 'no reason given'}"
    elif (
        channel["lag"] is not None and channel["lag"] > facts.limits.max_lag and not facts.under_way
    ):
        yield (
            f"channel {name} is {channel['lag']:g} s behind, cyrus_max_lag allows "
            f"{facts.limits.max_lag:g}: wait, or look at status"
        )
    if channel["quarantine"] is None:
        yield f"the quarantine of channel {name} is not known: {channel['reason']}"
    for entry in channel["quarantine"] or ():
        if entry["name"] not in facts.limits.accepted:
            yield (
                f"{entry['scope']} {entry['name']} is in quarantine of channel {name}: mend it, or "
                "accept it by name in cyrus_accept_quarantine"
            )


def _peers(facts: Facts) -> Iterator[str]:
    names = [host.name for host in facts.store.hosts if host.name != facts.candidate]
    for name, other in [(facts.master, facts.candidate), *((facts.candidate, o) for o in names)]:
        if not {name, other} <= set(facts.readiness):
            continue
        peers = facts.readiness[name].get("peers") or {}
        peer = peers.get(other)
        if peer is None or not peer["reached"]:
            reason = (peer or {}).get("reason") or _why(facts.readiness[name], "peers")
            yield f"{name} can't reach {other}: {reason}"


def _activities(facts: Facts) -> Iterator[str]:
    yield from activities(facts.readiness)


def activities(readiness: Mapping[str, Answer]) -> Iterator[str]:
    """What is under way on some hosts."""
    for name, answer in sorted(readiness.items()):
        if answer.get("activities") is None:
            yield f"what is under way on {name} is not known: {_why(answer, 'activities')}"
        yield from (f"{name}: {activity}" for activity in answer.get("activities") or ())


def _layouts(facts: Facts) -> Iterator[str]:
    layouts = {
        name: answer["layout"]
        for name, answer in sorted(facts.readiness.items())
        if answer.get("layout") is not None
    }
    for name in sorted(set(facts.readiness) - set(layouts)):
        yield f"how {name} keeps mail is not known: {_why(facts.readiness[name], 'layout')}"
    yield from _layout.differences(layouts)
    if not {facts.master, facts.candidate} <= set(facts.readiness):
        return
    master, candidate = (
        set(facts.readiness[name].get("partitions") or ())
        for name in (facts.master, facts.candidate)
    )
    for partition in sorted(master - candidate):
        yield f"{facts.candidate} has no partition {partition}, {facts.master} has: add it"


def _space(facts: Facts) -> Iterator[str]:
    for name in (facts.candidate, facts.master):
        if name in facts.readiness:
            yield from room(name, facts.readiness[name], facts.limits.free_percent)


def room(name: str, answer: Answer, free_percent: float) -> Iterator[str]:
    """Whether there is room on a host."""
    places = {f"partition {key}": value for key, value in (answer.get("partitions") or {}).items()}
    places["the configuration directory"] = answer.get("config_directory")
    for what, place in places.items():
        if not place or place.get("free_bytes") is None or not place.get("total_bytes"):
            yield f"how much room {what} of {name} has is not known"
            continue
        percent = 100 * place["free_bytes"] / place["total_bytes"]
        if percent < free_percent:
            yield (
                f"{what} of {name} has {percent:.1f} % left, cyrus_min_free asks for "
                f"{free_percent:g} %: make room"
            )
    if answer.get("read_only") is not False:
        yield f"{name} can't write to its state directory: mount it writable, make room"


def _certificates(facts: Facts) -> Iterator[str]:
    for name, answer in sorted(facts.readiness.items()):
        found = answer.get("certificate")
        if found is None and "certificate" in (answer.get("unknown") or {}):
            yield f"the certificate of {name} is not known: {_why(answer, 'certificate')}"
        elif found is not None and found["days_left"] < facts.limits.certificate_days:
            yield (
                f"the certificate of {name} is valid for {found['days_left']:g} days: run setup, "
                "which renews it"
            )


def _deliveries(facts: Facts) -> Iterator[str]:
    yield from deliveries(facts.deliveries, (None, "switchover"))


def deliveries(answers: Mapping[str, Answer], holders: Collection[str | None]) -> Iterator[str]:
    """Why deliveries can't be held on some hosts; `holders` are those who may hold them already."""
    for host, answer in sorted(answers.items()):
        if answer.get("unreachable"):
            yield f"{host} of cyrus_mta can't be reached: {message_of(answer)}"
        elif answer.get("failed") or answer.get("reason"):
            yield f"{host}: {answer.get('reason') or message_of(answer)}"
        elif not answer.get("running"):
            yield f"{host}: its mail server does not run: start it"
        if answer.get("by") not in holders:
            yield (
                f"{host}: deliveries are held by {answer['by']} since {answer['since']}: "
                "release them first"
            )


def _traffic(facts: Facts) -> Iterator[str]:
    yield from facts.traffic


_CHECKS = (
    _answered,
    _same_epoch,
    _roles,
    _versions,
    _chained,
    _replication,
    _peers,
    _activities,
    _layouts,
    _space,
    _certificates,
    _deliveries,
    _traffic,
)
