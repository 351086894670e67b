# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a switchover has to do, by what all hosts of a store answered, and what went wrong in it.

Where it stands follows from the hosts alone: a run that died is gone on with, or undone, by the
next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils import _report, _state
from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from ._eligibility import Answer, Facts, Limits, reasons
from ._stores import HostVars, Store, as_names, message_of, of_host, stores

_NAMED = 10
# What is in the history and changes no master.
NO_CHANGE = {"reseed", "backup"}


def plan(hostvars: HostVars, hosts: Iterable[str], candidate: str, options: Answer) -> Answer:
    """Who changes places with whom, how far that is, and all reasons against it.

    `options`: max_lag, parity_max_age, certificate_days, free_percent, accepted, mtas, other_mtas
    (delivery hosts that no driver holds), traffic (reasons of the role traffic), points (what it
    would point where).
    """
    store = _store_of(hostvars, hosts, candidate)
    answers = {host.name: _readiness(hostvars, host.name) for host in store.hosts}
    names = [host.name for host in store.hosts]
    held = [
        mta
        for mta in options["mtas"]
        if _registered(hostvars, mta, "delivery").get("by") == "switchover"
    ]
    stage = _stage(store, candidate, hostvars, bool(held))
    old = _old_master(store, candidate, stage, hostvars)
    fence = answers.get(old, {}).get("fence") or {}
    purpose = f"switchover from {old} to {candidate}"
    # Another run's, dead or not. Whoever names the master takes it back.
    rival = stage == "start" and fence.get("by") == "switchover" and fence["reason"] != purpose
    if fence and (rival or stage == "begun"):
        purpose = fence["reason"]
    if rival:
        stage = "other"
    # They follow another replica, and go on to.
    behind = [
        host.name
        for host in store.hosts
        if stage == "start" and host.name != candidate and host.source not in (None, old)
    ]
    document: dict[str, Any] = {
        "store": store.name,
        "stage": stage,
        "from": old,
        "to": candidate,
        "was": store.epoch or 0,
        "epoch": (store.epoch or 0) + 1 if stage in ("start", "other") else store.epoch,
        "undoable": stage in ("start", "begun") and _is_known_master(store, old),
        "hosts": names,
        "probed": names,
        "client": next(iter(options["mtas"]), old),
        "others": [name for name in names if name not in (old, candidate, *behind)],
        "chained": behind,
        "mtas": list(options["mtas"]),
        "channels": {name: channel_name(name) for name in names},
        "held": sorted(held),
        "fenced": bool(fence),
        "purpose": purpose,
        "accepted": [],
        "compare": [],
        "reasons": [],
        "points": list(options["points"]),
        "databases": list(answers.get(old, {}).get("databases") or []),
    }
    if stage == "other":
        document["reasons"] = [
            f"{old} is fenced since {fence['since']} by another run ({purpose}): wait for it, run "
            f"that change again, or take it back with -e cyrus_candidate={old}"
            if rival
            else f"{old} is named as master in epoch {store.epoch} and is not yet: complete that "
            f"change first, with -e cyrus_candidate={old}"
        ]
        return document
    if stage != "start":
        document["reasons"] = [
            *_hopeless(store, candidate, answers[candidate]),
            *_awaited(store, hostvars, candidate),
        ]
        return document
    told = {name: _registered(hostvars, name, "channels").get("channels") or () for name in names}
    facts = Facts(
        store,
        old,
        candidate,
        {name: answer for name, answer in answers.items() if answer},
        tuple(channel for name in names for channel in told[name]),
        {mta: _registered(hostvars, mta, "delivery") for mta in options["mtas"]},
        tuple(options["traffic"]),
        Limits(
            float(options["max_lag"]),
            int(options["certificate_days"]),
            float(options["free_percent"]),
            as_names(options["accepted"]),
        ),
    )
    first = [store.trouble] if store.trouble else []
    document["reasons"] = list(
        dict.fromkeys(
            [
                *first,
                *reasons(facts),
                *_lost(store, hostvars),
                *_silent(hostvars, options["other_mtas"]),
                *(_locked_out(hostvars, document["client"]) if answers.get(old) else ()),
                *_no_inbox(hostvars, old),
            ]
        )
    )
    document["accepted"] = _accepted(told.get(old, ()), facts.limits)
    compared = {r["item"]: r for r in options.get("compared") or ()}
    for channel in told.get(old, ()):
        if channel["name"] in compared:
            document["reasons"] += _unequal(compared[channel["name"]], facts.limits.accepted)
        elif _too_old(channel["parity"], float(options["parity_max_age"]), answers[old], store):
            document["compare"].append(channel["name"])
    if "compared" in options:
        document["reasons"] += [
            f"channel {name} was not compared: run switchover again" for name in document["compare"]
        ]
    return document


def _is_known_master(store: Store, name: str) -> bool:
    """Whether a host itself says that it is the master, and nobody contradicts."""
    record = next((host.record for host in store.hosts if host.name == name), None)
    if store.trouble or record is None:
        return False
    return (record.role, record.epoch) == ("master", store.epoch)


def _hopeless(store: Store, candidate: str, answer: Answer) -> Iterator[str]:
    """What keeps a change from going forward once the role is recorded: the candidate alone."""
    if store.trouble:
        yield store.trouble
    yield from (host.trouble for host in store.hosts if host.name == candidate and host.trouble)
    fence = answer.get("fence") or {"by": "switchover"}
    if fence["by"] != "switchover":
        yield f"{candidate} is fenced by {fence['by']} since {fence['since']}: {fence['reason']}"


def _lost(store: Store, hostvars: HostVars) -> Iterator[str]:
    """Hosts that have to come back and are not in the inventory any more: a new master would have
    nothing to compare them with."""
    marks = _registered(hostvars, str(store.master), "server").get("awaited") or ()
    for name in sorted({mark["old"] for mark in marks} - {host.name for host in store.hosts}):
        yield (
            f"{store.master} awaits {name} since a failover, and the inventory does not name it: "
            "bring it back with rejoin, or end the waiting with the module merge_base, state=absent"
        )


def _silent(hostvars: HostVars, mtas: Iterable[str]) -> Iterator[str]:
    """Delivery hosts that the site's own tasks have to reach."""
    for mta in mtas:
        found = _registered(hostvars, mta, "mta_ping")
        if found.get("unreachable") or found.get("failed"):
            yield f"{mta} of cyrus_mta can't be reached: {message_of(found)}"


def _locked_out(hostvars: HostVars, client: str) -> Iterator[str]:
    """Why clients can't log in to a master that answers."""
    found = _registered(hostvars, client, "login")
    if found.get("failed"):
        yield (
            f"{client} can't log in as clients do: {message_of(found)} (cyrus_client_name, "
            "cyrus_client_port, cyrus_client_tls and cyrus_client_ca_file say how they do)"
        )


def _no_inbox(hostvars: HostVars, master: str) -> Iterator[str]:
    """Why the probe would not arrive."""
    found = _registered(hostvars, master, "inbox")
    if found.get("failed"):
        yield (
            f"no probe can arrive on {master}: {message_of(found)} (cyrus_probe_recipient and "
            "cyrus_probe_user say where it goes)"
        )


def _awaited(store: Store, hostvars: HostVars, candidate: str) -> Iterator[str]:
    """Hosts that must not follow: they have missed a failover."""
    marks = _registered(hostvars, candidate, "server").get("awaited") or ()
    awaited = {mark["old"] for mark in marks}
    for host in store.hosts:
        if host.name in awaited and host.record and host.record.epoch < (store.epoch or 0):
            yield (
                f"{host.name} has missed a failover, and may have mail that nobody else has: bring "
                "it back with rejoin"
            )


def _accepted(channels: Iterable[Answer], limits: Limits) -> list[Answer]:
    """What is in quarantine and accepted by name, each once."""
    entries = {
        entry["name"]: {"scope": entry["scope"], "name": entry["name"], "user": entry.get("user")}
        for channel in channels
        for entry in channel["quarantine"] or ()
        if entry["name"] in limits.accepted
    }
    return list(entries.values())


def _store_of(hostvars: HostVars, hosts: Iterable[str], candidate: str) -> Store:
    own = hostvars[candidate].get("cyrus_store")
    return stores(hostvars, [h for h in hosts if hostvars[h].get("cyrus_store") == own])[0]


def _registered(hostvars: HostVars, host: str, what: str) -> Answer:
    return of_host(hostvars, host).get(f"cyrus_{what}") or {}


def _readiness(hostvars: HostVars, host: str) -> Answer:
    found = _registered(hostvars, host, "readiness")
    return {} if any(found.get(why) for why in ("unreachable", "failed", "skipped")) else found


def _stage(store: Store, candidate: str, hostvars: HostVars, held: bool) -> str:
    """How far it is, by what the hosts are; the history is no more than a hint.

    `start`: nothing has changed hands. `begun`: the candidate is the master, and a run that wanted
    another one has fenced it or holds its mail. `other`: another run is at it, by its fence or
    because the role of its candidate is recorded, which has not taken it yet. `moved`: the
    candidate's role is recorded. `done`: and all that follows is there.
    """
    if store.master != candidate:
        named = next((host.record for host in store.hosts if host.name == store.master), None)
        return "start" if named is None or named.role == "master" else "other"
    fences = {host.name: _readiness(hostvars, host.name).get("fence") for host in store.hosts}
    if (fences[candidate] or {}).get("by") == "switchover":
        return "begun"
    whole = all(
        host.record is not None and host.record.epoch == store.epoch and not host.trouble
        for host in store.hosts
    )
    serves = any(
        host.record is not None and host.record.role == "master"
        for host in store.hosts
        if host.name == candidate
    )
    changes = _changes(store, candidate, hostvars)
    finished = any("seconds" in entry and entry["outcome"] == "done" for entry in changes)
    if not (whole and serves) or any(fences.values()):
        return "moved"
    if held:
        # After the first master's own setup, or a change that came to its end, that is another's.
        return "begun" if finished or store.epoch == 1 else "moved"
    return "done" if finished or not changes else "moved"


def _changes(store: Store, candidate: str, hostvars: HostVars) -> list[Answer]:
    """What the hosts have noted of how the candidate became master in this epoch."""
    return [
        entry
        for entry in _history(store, hostvars)
        if entry.get("epoch") == store.epoch
        and entry.get("from") not in (None, candidate)
        and entry.get("what") not in NO_CHANGE
    ]


def _old_master(store: Store, candidate: str, stage: str, hostvars: HostVars) -> str:
    if stage in ("start", "other"):
        return str(store.master)
    if stage == "begun":
        return candidate
    noted = next((str(e["from"]) for e in _changes(store, candidate, hostvars)), None)
    # Each other host is a replica then, whichever of them it was.
    return noted or next(host.name for host in store.hosts if host.name != candidate)


def _history(store: Store, hostvars: HostVars) -> Iterator[Answer]:
    for host in store.hosts:
        yield from _registered(hostvars, host.name, "server").get("history") or ()


def _too_old(last: Answer | None, max_age: float, master: Answer, store: Store) -> bool:
    """By the master's own clock, which has stamped the comparison as well."""
    now = master.get("clock")
    if last is None or last["in_sync"] is not True or now is None:
        return True
    if last.get("epoch") != store.epoch:
        return True
    return not 0 <= float(now) - _state.seconds(last["started"]) <= max_age


def _unequal(result: Answer, accepted: Sequence[str]) -> Iterator[str]:
    report = result.get("report") and _report.without(dict(result["report"]), accepted)
    if report is None:
        yield f"channel {result['item']} could not be compared: {message_of(result)}"
    else:
        # What only lags is shown to arrive once nobody writes to it any more.
        counts = ", ".join(
            f"{len(report[key])} {key}"
            for key in ("differences", "unknown", "skipped")
            if report[key]
        )
        if counts:
            yield (
                f"{report['replica']} is not shown to have all that {report['master']} has "
                f"({counts}): look at the playbook parity, then repair"
            )


def troubles(hostvars: HostVars, variable: str, hosts: Sequence[str]) -> list[str]:
    """A sentence for each host whose registered result is no success; unreachable is a result."""
    found = []
    for host in hosts:
        answer = of_host(hostvars, host).get(variable)
        if not answer or (answer.get("skipped") and "results" not in answer):
            found.append(f"{host} was not asked")
        elif answer.get("unreachable"):
            found.append(f"{host} can't be reached: {message_of(answer)}")
        elif answer.get("failed"):
            found += _failed(host, answer)
    return found


def _failed(host: str, answer: Answer) -> list[str]:
    items = [r for r in answer.get("results") or () if r.get("failed") or r.get("unreachable")]
    return [f"{host}: {message_of(item)}" for item in items or [answer]]


def seconds(marks: Sequence[Answer]) -> dict[str, float]:
    """How long each phase took, from the marks at which each ended."""
    return {
        mark["phase"]: round(mark["at"] - before["at"], 1)
        for before, mark in zip(marks, marks[1:], strict=False)
    }


def lines(plan_: Answer, check: bool = False, undo: bool = False) -> list[str]:
    """What is going to be done, or in check mode would be, for people; `undo` is whether what was
    begun is to be taken back."""
    is_undone = "would be undone" if check else "is undone"
    if plan_["stage"] == "begun":
        what = "fenced" if plan_["fenced"] else "its mail is held"
        return [
            f"store {plan_['store']}: {plan_['to']} is master, epoch {plan_['epoch']}, and {what} "
            f"by a switchover that did not end, which {is_undone}",
            *(f"  ! {reason}" for reason in plan_["reasons"]),
        ]
    if undo and plan_["undoable"]:
        return [taken_back(plan_, "switchover", check)]
    if plan_["stage"] == "done":
        return [already(plan_)]
    # What is refused does not begin.
    check = check or bool(plan_["reasons"])
    goes = "would go" if check else "goes"
    begun = plan_["stage"] == "moved" or plan_["fenced"]
    verb = f"{goes} on" if begun else "would begin" if check else "begins"
    found = [
        f"store {plan_['store']}: the role of master {goes} from {plan_['from']} to {plan_['to']}, "
        f"epoch {plan_['epoch']}; the switchover {verb}"
    ]
    if plan_["others"]:
        found.append(f"  follows {plan_['to']} then: {', '.join(plan_['others'])}")
    if plan_["chained"]:
        found.append(f"  {', '.join(plan_['chained'])}: as before behind another replica")
    if plan_["mtas"]:
        found.append(f"  deliveries wait on {', '.join(plan_['mtas'])}")
    found += [f"  then {point}" for point in plan_["points"]]
    if plan_["compare"] and not plan_["reasons"]:
        found.append(f"  compared first: channel {', '.join(plan_['compare'])}")
    return found + [f"  ! {reason}" for reason in plan_["reasons"]]


def taken_back(plan_: Answer, change: str, check: bool) -> str:
    """That what a change of master has begun is undone, or in check mode would be."""
    return (
        f"store {plan_['store']}: {plan_['from'] or 'nobody'} stays master, epoch {plan_['was']}; "
        f"what a {change} to {plan_['to'] or 'another host'} has begun "
        f"{'would be undone' if check else 'is undone'}"
    )


def already(plan_: Answer) -> str:
    """That there is nothing to do."""
    return (
        f"{plan_['to']} is master of store {plan_['store']} already, epoch {plan_['epoch']}: "
        "nothing to do"
    )


def report(
    hostvars: HostVars, plan_: Answer, marks: Sequence[Answer], troubled: Sequence[str]
) -> list[str]:
    """What was done, for people: how long it took, and what replication does not carry."""
    took = ", ".join(f"{phase} {spent:g} s" for phase, spent in seconds(marks).items())
    if troubled:
        return [f"store {plan_['store']}: the switchover is not done ({took})"]
    found = [f"store {plan_['store']}: {plan_['to']} is master, epoch {plan_['epoch']} ({took})"]
    drained = _registered(hostvars, plan_["from"], "drain").get("results") or ()
    found += [f"  {_compared(result)}" for result in drained if result.get("compared")]
    archived = _registered(hostvars, plan_["from"], "archived").get("results") or ()
    found += [
        f"  {result['item']['name']} was archived on {plan_['from']}: {result['where']}, "
        f"{result['count']} messages"
        for result in archived
        if result.get("where")
    ]
    return found + [
        f"  not carried over: {each['name']} ({each['path']}): {each['advice']}"
        + _accounts(each, hostvars, plan_["to"])
        for each in plan_["databases"]
    ]


def _accounts(database: Answer, hostvars: HostVars, candidate: str) -> str:
    """Whether the candidate has the same logins in a database of them."""
    if database["name"] != "sasldb":
        return ""
    told = _readiness(hostvars, candidate).get("databases")
    found = {other["name"]: other.get("accounts") for other in told or ()}
    copy = None if told is None else found.get("sasldb", [])
    if database.get("accounts") is None or copy is None:
        return f"; whether {candidate} has the same accounts is not known"
    lacking = sorted(set(database["accounts"]) - set(copy))
    if lacking:
        more = f" and {len(lacking) - _NAMED} more" if len(lacking) > _NAMED else ""
        return f"; {candidate} lacks {', '.join(lacking[:_NAMED])}{more}"
    return f"; {candidate} has the same accounts, whose passwords were not compared"


def _compared(result: Answer) -> str:
    compared = result["compared"]
    why = f" ({compared['why']})" if compared.get("why") else ""
    return (
        f"{result['item']} had everything: {compared['users']} users and "
        f"{compared['mailboxes']} mailboxes compared, scope {compared['scope']}{why}"
    )
