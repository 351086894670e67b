# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done to bring a superseded master back, by what all hosts of a store answered.

Where it stands follows from the hosts alone, so a run that died is gone on with by the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from ._eligibility import Answer, Facts, Limits, chained, of_a_pair, uncleared
from ._stores import Host, HostVars, Store, message_of, of_host, stores, two_masters

# In the counts of a copy-back; what else there is in them are steps that were carried out.
_NO_STEPS = {
    *("owners", "conflicts", "saves", "steps", "messages"),
    *("archived", "archived_bytes", "archived_scripts"),
}


def plan(hostvars: HostVars, hosts: Iterable[str], old: str, options: Answer) -> Answer:
    """Who comes back to whom, how far that is, and all reasons against it.

    `old` is the host that comes back, or empty where there is only one. `options`:
    certificate_days, free_percent, without_base, spool (whether the old master is read from its
    disk).
    """
    store = _by_newest(stores(hostvars, hosts)[0])
    master = str(store.master)
    named, trouble = _old(store, hostvars, master, old)
    trouble = _two_masters(store) or trouble
    aside = _aside(hostvars, named, store.epoch)
    mark = _mark(hostvars, master, named, store.epoch)
    stage = _stage(store, named, mark, aside)
    reasons = (
        [trouble] if trouble else list(_reasons(store, hostvars, master, named, stage, options))
    )
    return {
        "store": store.name,
        "stage": stage,
        "old": named,
        "to": master,
        "epoch": store.epoch,
        "hosts": [host.name for host in store.hosts],
        "channel": channel_name(named) if named else None,
        # Where no failover has made it, the channel was there before anything was dropped.
        "everything": options["without_base"] or mark is None,
        "missed": stage == "start" and _has_missed(store, named),
        "users": list(aside.get("users") or ()),
        "shared": bool(aside.get("shared")),
        "reasons": list(dict.fromkeys(reasons)),
    }


def _by_newest(store: Store) -> Store:
    """The master is whom the highest epoch names: a failover leaves two records of one."""
    records = [host.record for host in store.hosts if host.record is not None]
    newest = max(records, key=lambda record: record.epoch, default=None)
    if newest is None:
        return store
    return replace(store, master=newest.master, epoch=newest.epoch)


def _two_masters(store: Store) -> str | None:
    records = [host.record for host in store.hosts if host.record is not None]
    found = sorted({record.master for record in records if record.epoch == store.epoch})
    if len(found) < 2:
        return None
    return two_masters(store.name, found, store.epoch)


def _old(store: Store, hostvars: HostVars, master: str, old: str) -> tuple[str, str | None]:
    """The host that is to come back; else why it is not known."""
    names = [host.name for host in store.hosts]
    if old:
        if old not in names:
            return "", f"cyrus_old names {old}, which is no host of store {store.name}"
        if old == master:
            return "", f"cyrus_old names {old}, which is the master of store {store.name}"
        return old, None
    waiting = _awaited(hostvars, master)
    found = [
        host.name
        for host in store.hosts
        if host.name in waiting
        or _is_back(host, master)
        or _is_unproven(_aside(hostvars, host.name, store.epoch))
    ]
    if len(found) > 1:
        return "", (
            f"{' and '.join(found)} have to come back: name one of them in cyrus_old, the old "
            "master first where it can be asked"
        )
    return (found[0], None) if found else ("", None)


def _is_back(host: Host, master: str) -> bool:
    if host.record is None or host.name == master:
        return False
    return host.record.role in ("fenced", "master")


def _registered(hostvars: HostVars, host: str, what: str) -> Answer:
    return of_host(hostvars, host).get(f"cyrus_{what}") or {}


def _awaited(hostvars: HostVars, master: str) -> set[str]:
    marks = _registered(hostvars, master, "pending").get("marks") or ()
    return {str(mark["old"]) for mark in marks}


def _mark(hostvars: HostVars, master: str, old: str, epoch: int | None) -> Answer | None:
    """What the master has noted of the failover; None where it waits for nobody of that name."""
    marks = _registered(hostvars, master, "pending").get("marks") or ()
    return next((m for m in marks if (m["old"], m["epoch"]) == (old, epoch)), None)


def _aside(hostvars: HostVars, old: str, epoch: int | None) -> Answer:
    asides = _registered(hostvars, old, "pending").get("asides") or ()
    return next((one for one in asides if one["complete"] and one["epoch"] == epoch), {})


def _is_unproven(aside: Answer) -> bool:
    """Whether things were dropped and the host was not shown to be equal since."""
    return bool(aside) and not aside["proven"]


def _stage(store: Store, old: str, mark: Answer | None, aside: Answer) -> str:
    """`start`: nothing is dropped yet. `saved`: what only the old master had is saved, and dropping
    it has begun. `joined`: it is a replica. `done`: and shown to be equal."""
    record = store.host(old).record if old else None
    is_home = record is not None and record.role == "replica" and not _has_missed(store, old)
    if not old or (is_home and mark is None and not _is_unproven(aside)):
        return "done"
    if is_home:
        return "joined"
    return "saved" if aside else "start"


def _has_missed(store: Store, old: str) -> bool:
    """Whether a host does not know of the last change of master, and can be told."""
    record = store.host(old).record if old else None
    return (
        record is not None
        and record.role in ("replica", "fenced")
        and record.epoch < int(store.epoch or 0)
    )


def _reasons(
    store: Store, hostvars: HostVars, master: str, old: str, stage: str, options: Answer
) -> Iterator[str]:
    if stage == "done":
        yield from _is_known(store, hostvars, master)
        return
    if options["spool"]:
        yield from _from_disk(store, hostvars, master, old, options)
        return
    pair = tuple(host for host in store.hosts if host.name in (master, old))
    yield from (host.trouble for host in pair if host.trouble)
    if any(host.trouble for host in pair):
        return
    yield from _serves(hostvars, master)
    yield from chained(store, old)
    yield from _comes_back(store.host(old), hostvars, master, store.epoch)
    if stage == "start" and not options["without_base"]:
        yield from _has_base(hostvars, master, old, store.epoch)
    readiness = {host.name: _answered(hostvars, host.name) for host in pair}
    yield from (
        f"{name} did not say whether it is ready" for name, told in readiness.items() if not told
    )
    limits = Limits(0.0, int(options["certificate_days"]), float(options["free_percent"]))
    told = {name: answer for name, answer in readiness.items() if answer}
    yield from of_a_pair(Facts(replace(store, hosts=pair), master, old, told, (), {}, (), limits))


def _from_disk(
    store: Store, hostvars: HostVars, master: str, old: str, options: Answer
) -> Iterator[str]:
    """Whoever is there is asked himself; a disk may be an old copy."""
    trouble = store.host(master).trouble
    if trouble:
        yield trouble
        return
    yield from _serves(hostvars, master)
    if not store.host(old).trouble:
        yield f"{old} answers: leave cyrus_rejoin_spool out, so that it is asked itself"
    if not options["without_base"]:
        yield from _has_base(hostvars, master, old, store.epoch)


def _answered(hostvars: HostVars, host: str) -> Answer:
    found = _registered(hostvars, host, "readiness")
    return {} if found.get("unreachable") or found.get("failed") else found


def _serves(hostvars: HostVars, master: str) -> Iterator[str]:
    told = _answered(hostvars, master)
    record = told.get("record") or {}
    if record.get("role") != "master":
        yield f"{master} is named as master and is not: run failover again, which completes it"
    elif told.get("fence"):
        fence = told["fence"]
        yield f"{master} is fenced by {fence['by']} since {fence['since']}: {fence['reason']}"
    else:
        yield from uncleared(master, told)


def _comes_back(old: Host, hostvars: HostVars, master: str, epoch: int | None) -> Iterator[str]:
    """A host whose own record says that it serves nobody."""
    record = old.record
    if record is None:
        yield (
            f"{old.name} has no role record: restore it, or give it one with the module role, "
            f"role=fenced master={master} epoch={epoch}"
        )
        return
    guard = (_registered(hostvars, old.name, "server").get("guard") or {}).get("state")
    if record.role == "master":
        yield (
            f"{old.name} does not know yet that {master} is master (its guard is "
            f"{guard or 'not there'}): see that cyrus-guard.service runs there, and wait for it"
        )
    elif record.role == "fenced" and record.master in _awaited(hostvars, master):
        yield (
            f"{old.name} was superseded by {record.master} in epoch {record.epoch}, and {master} "
            f"is master in epoch {epoch}: bring {record.master} back first, "
            f"-e cyrus_old={record.master}"
        )
    elif record.role == "fenced" and guard != "superseded":
        yield (
            f"the guard of {old.name} is {guard or 'not there'}: start cyrus-guard.service there, "
            "so that it is known to serve nobody"
        )


def _is_known(store: Store, hostvars: HostVars, master: str) -> Iterator[str]:
    """That nobody has to come back is what the master says, not that it says nothing."""
    trouble = next((host.trouble for host in store.hosts if host.name == master), None)
    if trouble:
        yield trouble
    else:
        yield from _awaits(hostvars, master)


def _awaits(hostvars: HostVars, master: str) -> Iterator[str]:
    found = _registered(hostvars, master, "pending")
    if found.get("failed") or found.get("unreachable") or "marks" not in found:
        yield f"what {master} waits for is not known: {message_of(found)}"


def _has_base(hostvars: HostVars, master: str, old: str, epoch: int | None) -> Iterator[str]:
    unknown = list(_awaits(hostvars, master))
    if unknown:
        yield from unknown
        return
    mark = _mark(hostvars, master, old, epoch)
    if mark is None:
        yield (
            f"{master} has no merge base of epoch {epoch} for {old}: run failover again, which "
            "completes it, or set cyrus_rejoin_without_base, which archives what only "
            f"{old} has and merges nothing"
        )


def lines(plan_: Answer, check: bool = False) -> list[str]:
    """What is going to be done, or in check mode would be, for people."""
    if plan_["stage"] == "done" and not plan_["reasons"]:
        return [f"store {plan_['store']}: nobody has to come back to {plan_['to']}"]
    comes, begins, goes = (
        ("would come", "would begin", "would go on") if check else ("comes", "begins", "goes on")
    )
    verb = {"start": begins, "saved": goes, "joined": goes}.get(plan_["stage"], "waits")
    old = plan_["old"] or "the old master"
    found = [
        f"store {plan_['store']}: {old} {comes} back to {plan_['to']}, epoch {plan_['epoch']}; the "
        f"rejoin {verb}"
    ]
    return found + [f"  ! {reason}" for reason in plan_["reasons"]]


def report(plan_: Answer, told: Answer, limit: int = 20) -> list[str]:
    """What a copy-back does or did, for people; the master's own report has all of it."""
    found = [f"  {_summary(told.get('counts') or {})}, from {plan_['old']} to {plan_['to']}"]
    parts = (
        ("plan", _step),
        ("conflicts", lambda one: f"{_where(one)}: {one['found']}; {one['done']}; {one['kept']}"),
        ("failures", lambda one: f"not done: {_step(one['step'])}: {one['reason']}"),
        ("unknown", lambda one: f"! {one}"),
    )
    for name, line in parts:
        items = list(told.get(name) or ())
        found += [f"    {line(item)}" for item in items[:limit]]
        if len(items) > limit:
            found.append(f"    and {len(items) - limit} more {name}")
    if told.get("archive"):
        found.append(f"  archive on {plan_['to']}: {told['archive']}")
    return found


def _summary(counts: Answer) -> str:
    """What a copy-back has carried out, or would, in a line."""
    if not counts:
        return "nothing copied back"
    looked = f"{counts['conflicts']} conflict(s), {counts['owners']} owner(s) compared"
    if "archived" not in counts:
        return f"{counts['steps']} change(s), {counts['saves']} thing(s) to archive, {looked}"
    steps = sum(number for name, number in counts.items() if name not in _NO_STEPS)
    return (
        f"{counts.get('messages', 0)} message(s) copied back, {steps} change(s) made, "
        f"{counts['archived']} message(s) and {counts['archived_scripts']} script(s) archived, "
        f"{looked}"
    )


def _step(step: Answer) -> str:
    return f"{step['step'].replace('_', ' ')}: {_where(step)}"


def _where(one: Answer) -> str:
    """Whose thing it is, as near as it says."""
    return str(one.get("mailbox") or one.get("name") or one.get("owner") or "the server")
