# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a failover has to do, by what the hosts that are left answered, and all reasons against it.

How far it is follows from the hosts alone. Until the new master's record is written nothing is
settled; from then on it goes forward.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from . import _eligibility, _ranking, _rivals, _switchover
from ._eligibility import Answer
from ._stores import (
    Host,
    HostVars,
    Store,
    as_names,
    message_of,
    of_host,
    stores,
    two_masters,
)

BY = "failover"
# The next epoch may be that of a switchover that nobody but the old master has on record.
_AHEAD = 2
# In which the guard of a host whose lease is over notices that (4 s) and ends what serves (10 s),
# or kills it.
MARGIN = 25.0
_CLIENT_PORTS = (24, 110, 143, 993, 995, 4190)
_CONTROLLER = "the controller"
_NAMED = 5


@dataclass(frozen=True)
class Options:
    """What the administrator said, and what the site allows."""

    candidate: str
    confirm: str
    absent: tuple[str, ...]
    loss: str
    powered_off: str
    hook: bool
    free_percent: float
    mtas: tuple[str, ...]
    holds: bool
    traffic: tuple[str, ...]
    points: tuple[str, ...]

    @classmethod
    def of(cls, given: Answer) -> Options:
        return cls(
            str(given["candidate"]),
            str(given["confirm"]),
            as_names(given["absent"]),
            str(given["loss"]),
            str(given["powered_off"]),
            bool(given["hook"]),
            float(given["free_percent"]),
            tuple(given["mtas"]),
            bool(given["holds"]),
            tuple(given["traffic"]),
            tuple(given["points"]),
        )


def plan(hostvars: HostVars, hosts: Iterable[str], options: Answer) -> Answer:
    """Who takes over from whom, how far that is, how the old master is kept from serving, and all
    reasons against it."""
    return _Case(hostvars, stores(hostvars, hosts)[0], Options.of(options)).document()


class _Case:
    """One store, and what its hosts said."""

    def __init__(self, hostvars: HostVars, store: Store, options: Options) -> None:
        self.hostvars, self.store, self.options = hostvars, store, options
        records = [host.record for host in store.hosts if host.record]
        self.epoch = max((record.epoch for record in records), default=0)
        self.masters = sorted({r.master for r in records if r.epoch == self.epoch})
        self.master = self.masters[0] if len(self.masters) == 1 else ""
        self.stage = self._stage()
        self.old = self._old()
        self.others = [host for host in store.hosts if host.name != self.old]
        self.names = [host.name for host in self.others]
        self.alive = [name for name in self.names if not self._unreachable(name)]
        self.mtas = [mta for mta in options.mtas if not self._unreachable(mta)]
        self.watchers = [*self.alive, *self.mtas]
        self.standings = [
            _ranking.Standing.of(host.name, self._said(host.name, "readiness"))
            for host in self.others
            if self._is_replica(host)
        ]

    def document(self) -> Answer:
        candidate = self.options.candidate
        held = self.mtas if self.options.holds else []
        everybody = [self.old, *self.names, *self.options.mtas]
        return {
            "store": self.store.name,
            "stage": self.stage,
            "from": self.old,
            "to": candidate,
            "was": self.epoch,
            "epoch": self.epoch + (_AHEAD if self.stage == "start" else 0),
            "hosts": self.alive,
            "probed": [name for name in self.alive if name == candidate],
            "others": [host.name for host in self.others if self._may_follow(host)],
            "awaited": [n for n in self.names if n != candidate and not self._is_home(n)],
            "home": [n for n in self.names if self._is_home(n)],
            "absent": [name for name in everybody[1:] if self._gone(name)],
            "gone": [name for name in everybody if self._unreachable(name)],
            "mtas": held,
            "client": next(iter([*held, *self.alive]), candidate),
            "yields": candidate if self._unreachable(self.old) else self.old,
            "channels": {host.name: channel_name(host.name) for host in self.store.hosts},
            "held": [mta for mta in held if self._said(mta, "delivery").get("by") == BY],
            "fences": [n for n in (self.old, candidate) if self._fenced(n)],
            "superseded": self.stage == "start" and self._is_superseded(candidate),
            "way": self.way() if self.stage == "start" else "settled",
            "wait": self._lease() + MARGIN,
            "addresses": self._addresses(),
            "ports": self._ports(),
            "points": list(self.options.points),
            "watchers": self.watchers,
            "silent": self._is_silent(),
            "standings": [s.lines() for s in _ranking.ranked(self.standings)],
            "backlog": list(self._backlog()),
            "reasons": list(dict.fromkeys(self._reasons())),
        }

    # -- how far it is

    def _stage(self) -> str:
        """`start`: the candidate is no master yet. `moved`: its record says that it is, by a
        failover that has not come to its end. `done`: there is nothing to do."""
        candidate = self.options.candidate
        if not candidate or self.master != candidate or not self._is_master(candidate):
            return "start"
        noted = [
            entry
            for entry in self._history()
            if (entry.get("what"), entry.get("epoch")) == (BY, self.epoch)
        ]
        ended = any("seconds" in entry and entry["outcome"] == "done" for entry in noted)
        held = any(self._said(m, "delivery").get("by") == BY for m in self.options.mtas)
        if self._fenced(candidate) or held or (noted and not ended):
            return "moved"
        return "done"

    def _old(self) -> str:
        if self.stage == "start":
            return self.master
        noted = (
            str(entry["from"])
            for entry in self._history()
            if entry.get("epoch") == self.epoch
            and entry.get("what") not in _switchover.NO_CHANGE
            and entry.get("from") not in (None, self.options.candidate)
        )
        others = [h for h in self.store.hosts if h.name != self.options.candidate]
        gone = [host.name for host in others if host.trouble]
        return next(noted, (gone or [host.name for host in others])[0])

    def _history(self) -> Iterator[Answer]:
        for host in self.store.hosts:
            yield from self._said(host.name, "server").get("history") or ()

    # -- the old master

    def way(self) -> str:
        """How it is made sure that the old master serves nobody: `fence` over ssh, the site's
        `hook`, `off` by the administrator's word, the guard's `lease`, or `none`."""
        if not self._unreachable(self.old):
            return "fence"
        # An administrator who was there knows more than a site's own tasks, which may not work.
        if self.options.powered_off == self.old:
            return "off"
        if self.options.hook:
            return "hook"
        return "none" if any(self._no_lease()) else "lease"

    def _no_lease(self) -> Iterator[str]:
        """Why silence for the time of the lease would not prove that it has fenced itself."""
        terms = self._terms()
        known = {self._address(mta) for mta in self.options.mtas}
        seen = {address for told in terms for address in told["delivery_hosts"]}
        if not terms:
            yield "nobody has heard from its guard whether that has a lease"
        elif any(told["lease"] <= 0 or not told["delivery_hosts"] for told in terms):
            yield "its guard has no lease"
        elif any(told["alone"] == "serve" for told in terms):
            yield "its guard lets it serve alone after a boot (cyrus_guard_alone)"
        for name in [n for n in [*self.names, *self.options.mtas] if self._gone(n)]:
            yield f"it may see {name}, which can't be asked, and go on serving"
        for address in sorted(seen - known):
            yield f"it may see the delivery host {address}, which can't be asked"

    def _lease(self) -> float:
        return max((float(told["lease"]) for told in self._terms()), default=0.0)

    def _terms(self) -> list[Answer]:
        """What those who are left have heard last from the old master's guard; the inventory may
        say what nobody has set up."""
        heard = (self._said(name, "server").get("guards") or {} for name in self.alive)
        return [guards[self.old] for guards in heard if self.old in guards]

    def _serves(self) -> bool:
        """Whether the old master takes clients, as anybody has seen, itself included."""
        signs = self._said(self.old, "liveness").get("signs") or []
        ports = set(_CLIENT_PORTS)
        if "cyrus_client_port" in of_host(self.hostvars, self.old):
            ports.add(int(self.hostvars[self.old]["cyrus_client_port"]))
        return not self._unreachable(self.old) and any(
            sign["sign"] == "accepts" and sign["port"] in ports for sign in signs
        )

    def _addresses(self) -> list[str]:
        variables = of_host(self.hostvars, self.old)
        found = [self._address(self.old), variables.get("cyrus_link_address")]
        found += list(variables.get("cyrus_service_addresses") or ())
        return list(dict.fromkeys(str(address) for address in found if address))

    def _ports(self) -> list[int]:
        variables = of_host(self.hostvars, self.old)
        numbers = {
            int(variables.get(name, default))
            for name, default in (
                ("ansible_port", 22),
                ("cyrus_client_port", 143),
                ("cyrus_link_port", 2015),
                ("cyrus_link_admin_port", 2016),
                ("cyrus_guard_port", 2017),
            )
        }
        return sorted(numbers | set(_CLIENT_PORTS))

    def _backlog(self) -> Iterator[str]:
        """What the old master itself says has not been sent, where it can be asked."""
        for channel in self._said(self.old, "channels").get("channels") or ():
            waiting = (channel.get("backlog") or {}).get("entries")
            count = "an unknown number of" if waiting is None else str(waiting)
            yield f"{self.old}: {count} events wait for {channel['replica']}"
            for entry in channel.get("quarantine") or ():
                yield (
                    f"{self.old}: {entry['scope']} {entry['name']} is in quarantine of channel "
                    f"{channel['name']}"
                )

    # -- reasons

    def _reasons(self) -> Iterator[str]:
        if self.stage == "done":
            return
        if self.options.confirm != self.store.name:
            named = f"cyrus_confirm names {self.options.confirm}; " if self.options.confirm else ""
            yield (
                f"{named}say that you mean store {self.store.name}: "
                f"-e cyrus_confirm={self.store.name}"
            )
        if not self.master:
            yield self._no_master()
            return
        if self.stage == "start" and self.master == self.options.candidate:
            yield (
                f"{self.master} is to be master of epoch {self.epoch} and is not yet: run "
                f"switchover again, -e cyrus_candidate={self.master}, which goes on from there"
            )
            return
        yield from self._candidate()
        yield from self._absent()
        if self.stage == "start":
            yield from self._old_master()
            for name in [name for name in self.names if name != self.options.candidate]:
                yield from _rivals.fenced(name, self._said(name, "server").get("fence"))
        if self.options.holds:
            said = {mta: self._said(mta, "delivery", failed=True) for mta in self.mtas}
            yield from _eligibility.deliveries(said, (None, "switchover", BY))
        yield from self.options.traffic

    def _no_master(self) -> str:
        if self.masters:
            return two_masters(self.store.name, self.masters, self.epoch)
        said = "; ".join(host.trouble or f"{host.name} has no role record" for host in self.others)
        return f"nobody says who is master of store {self.store.name}: {said}"

    def _candidate(self) -> Iterator[str]:
        name = self.options.candidate
        names = [s.host for s in _ranking.ranked(self.standings)]
        if not name:
            first = f", the first has most: {', '.join(names)}" if names else ""
            yield f"name the host that is to become master, -e cyrus_candidate=HOST{first}"
            return
        host = next((host for host in self.store.hosts if host.name == name), None)
        if host is None or host.trouble or host.record is None:
            yield (host.trouble if host else None) or f"{name} has no role record: run setup"
            return
        readiness = self._said(name, "readiness")
        fence = readiness.get("fence")
        if fence and fence["by"] != BY:
            yield f"{name} is fenced by {fence['by']} since {fence['since']}: {fence['reason']}"
        if self.stage != "start":
            return
        superseded = self._is_superseded(name)
        if superseded and self.options.loss != name:
            yield (
                f"{name} was superseded by {host.record.master} in epoch {host.record.epoch}, and "
                "has nothing of what that one got since: take another one, or accept that with "
                f"-e cyrus_accept_loss={name}"
            )
        if not superseded and not self._is_replica(host):
            yield (
                f"{name} is {host.record.role} in epoch {host.record.epoch}, and the store is in "
                f"epoch {self.epoch}: it has missed a change of master, take another one"
            )
            return
        if not readiness:
            yield f"{name} did not say whether it is ready"
            return
        if self._comes_back(name) and self.options.loss != name:
            yield (
                f"{name} has not come back to its end, so it may have only part of the mail: take "
                f"another one, or accept that with -e cyrus_accept_loss={name}"
            )
        less = None if superseded else _ranking.behind(self.standings, name)
        if less and self.options.loss != name:
            yield f"{less}: take the better one, or accept that with -e cyrus_accept_loss={name}"
        yield from _eligibility.room(name, readiness, self.options.free_percent)
        yield from _eligibility.activities({name: readiness})

    def _absent(self) -> Iterator[str]:
        for name in [*self.names, *self.options.mtas]:
            if self._unreachable(name) and not self._gone(name) and name != self.options.candidate:
                yield (
                    f"{name} can't be reached, so it can't say whether it sees {self.old}: bring "
                    f"it back, or go on without it, -e '{{cyrus_accept_absent: [{name}]}}'"
                )
        for host in self.others:
            if host.trouble and not self._unreachable(host.name):
                yield host.trouble

    def _old_master(self) -> Iterator[str]:
        if self._serves():
            yield (
                f"{self.old} is alive and serves clients: use switchover; where that is not "
                f"possible, stop Cyrus on {self.old} and run failover again"
            )
        elif not self._unreachable(self.old):
            yield from _unsure(self.old, self._said(self.old, "liveness", failed=True))
        if not of_host(self.hostvars, self.old):
            hosts = (host for host in self.store.hosts if host.name == self.old)
            yield from (host.trouble for host in hosts if host.trouble)
        if not self._unreachable(self.old) or self.way() == "hook":
            return
        yield from seen(self.hostvars, self.old, self.watchers)
        if self.way() == "none":
            yield (
                f"{self.old} can't be reached, and nothing proves that it is off "
                f"({'; '.join(self._no_lease())}): let cyrus_fence_hook switch it off, or do that "
                f"yourself and say so with -e cyrus_powered_off={self.old}"
            )

    # -- what they said

    def _is_silent(self) -> bool:
        """Whether everybody who was asked gets no answer from the old master."""
        if self.stage != "start" or not self._unreachable(self.old):
            return False
        return not seen(self.hostvars, self.old, self.watchers)

    def _is_master(self, name: str) -> bool:
        return any(
            (host.record.role, host.record.epoch) == ("master", self.epoch)
            for host in self.store.hosts
            if host.name == name and host.record
        )

    def _is_replica(self, host: Host) -> bool:
        record = host.record
        return record is not None and (record.role, record.epoch) == ("replica", self.epoch)

    def _is_superseded(self, name: str) -> bool:
        """Whether a host waits to come back to the master that is gone now."""
        return any(
            (host.record.role, host.record.epoch) == ("fenced", self.epoch)
            for host in self.others
            if host.name == name and host.record
        )

    def _may_follow(self, host: Host) -> bool:
        """Whether a host is a replica, or one that this failover has not compared to its end."""
        record = host.record
        if record is None or host.name == self.options.candidate or self._is_home(host.name):
            return False
        if self._comes_back(host.name):
            return False
        begun = (record.role, record.epoch) == ("fenced", self.epoch)
        return record.role == "replica" or (self.stage == "moved" and begun)

    def _is_home(self, name: str) -> bool:
        """Whether a host follows the new master already, and has nothing that is not shown to be
        there as well."""
        if self.stage == "start" or self._comes_back(name):
            return False
        return any(self._is_replica(host) for host in self.store.hosts if host.name == name)

    def _comes_back(self, name: str) -> bool:
        """Whether a rejoin of a host has not come to its end."""
        told = self._said(name, "server").get("history") or ()
        noted = [e for e in told if (e.get("what"), e.get("epoch")) == ("rejoin", self.epoch)]
        return bool(noted) and not any(
            "seconds" in entry and entry["outcome"] == "done" for entry in noted
        )

    def _said(self, host: str, what: str, failed: bool = False) -> Answer:
        found: Answer = of_host(self.hostvars, host).get(f"cyrus_{what}") or {}
        bad = found.get("unreachable") or found.get("failed") or found.get("skipped")
        return {} if bad and not failed else found

    def _unreachable(self, host: str) -> bool:
        asked = ("server", "delivery", "liveness")
        return any(self._said(host, what, failed=True).get("unreachable") for what in asked)

    def _gone(self, host: str) -> bool:
        """Whether a host can't be reached and the administrator goes on without it."""
        return host in self.options.absent and self._unreachable(host)

    def _fenced(self, host: str) -> bool:
        return (self._said(host, "server").get("fence") or {}).get("by") == BY

    def _address(self, host: str) -> str:
        return str(of_host(self.hostvars, host).get("ansible_host", host))


def seen(hostvars: HostVars, old: str, watchers: Iterable[str]) -> list[str]:
    """Who gets an answer from the old master, or can't say; none where nobody does."""
    found = []
    watchers = list(watchers)
    for name in watchers:
        found += _seen(name, old, of_host(hostvars, name).get("cyrus_liveness") or {})
    here = next((of_host(hostvars, n).get("cyrus_liveness_here") for n in watchers), None)
    return found + _seen(_CONTROLLER, old, here or {})


def _unsure(old: str, said: Answer) -> Iterator[str]:
    """Why it is not known whether an old master that can be asked serves clients."""
    if "signs" not in said:
        yield f"{old} does not say whether it serves clients: {message_of(said)}"
    yield from (f"{old}: {reason}" for reason in said.get("unknown") or ())


def _seen(watcher: str, old: str, said: Answer) -> list[str]:
    if "alive" not in said:
        return [f"{watcher} does not say whether it sees {old}: {message_of(said)}"]
    if said["alive"]:
        ports = sorted({f"port {s['port']} {s['sign']}" for s in said["signs"]})
        return [
            f"{old} is alive, {watcher} sees it ({', '.join(ports)}): switch it off, or let "
            "cyrus_fence_hook do that"
        ]
    return [f"{watcher}: {reason}" for reason in said["unknown"]]


_WAYS = {
    "fence": "it is fenced over ssh",
    "hook": "cyrus_fence_hook switches it off",
    "off": "it is off, as you say",
    "none": "nothing proves that it is off",
    "settled": "it has lost the role",
}


def lines(plan_: Answer, check: bool = False, undo: bool = False) -> list[str]:
    """What is going to be done, or in check mode would be, and how much may be missing; `undo` is
    whether what was begun is to be taken back."""
    if undo and plan_["stage"] == "start":
        return [_switchover.taken_back(plan_, "failover", check)]
    if plan_["stage"] == "done":
        return [_switchover.already(plan_)]
    # What is refused does not begin.
    check = check or bool(plan_["reasons"])
    goes, given = ("would go", "would be given") if check else ("goes", "is given")
    begun = plan_["stage"] == "moved" or plan_["fences"]
    verb = f"{goes} on" if begun else "would begin" if check else "begins"
    to = plan_["to"] or "nobody yet"
    found = [
        f"store {plan_['store']}: {plan_['from'] or 'nobody'} {given} up and the role of master "
        f"{goes} to {to}, epoch {plan_['epoch']}; the failover {verb}"
    ]
    lease = f"nobody may see it for {plan_['wait']:g} s, in which its guard fences it"
    found.append(f"  {plan_['from']}: {_WAYS.get(plan_['way'], lease)}")
    if plan_["silent"]:
        watchers = ", ".join([*plan_["watchers"], _CONTROLLER])
        found.append(f"  {plan_['from']} answers nobody: {watchers}")
    found += [f"  {line}" for standing in plan_["standings"] for line in standing]
    found += [f"  {line}" for line in plan_["backlog"]]
    if plan_["others"]:
        names = ", ".join(plan_["others"])
        lacking = plan_["to"] or "the new master"
        found.append(f"  follows then, where it has nothing that {lacking} lacks: {names}")
    if plan_["absent"]:
        found.append(f"  goes without: {', '.join(plan_['absent'])}")
    if plan_["mtas"]:
        found.append(f"  deliveries wait on {', '.join(plan_['mtas'])}")
    found += [f"  then {point}" for point in plan_["points"]]
    return found + [f"  ! {reason}" for reason in plan_["reasons"]]


def compared(hostvars: HostVars, plan_: Answer) -> Answer:
    """Which of the other replicas are shown to have nothing that the new master lacks, and where
    that could not be looked at; what can't be read on one leaves it as it is."""
    told = _compared(hostvars, plan_)
    failed = {n: r for n, r in told.items() if r.get("failed") and not r.get("unknown")}
    parted = _switchover.troubles(hostvars, "cyrus_parted", plan_["others"])
    return {
        "equal": [
            name
            for name, result in told.items()
            if not result.get("failed") and result.get("touched_on_old") == []
        ],
        "troubles": parted or [f"{plan_['to']}: {r['msg']}" for r in failed.values()],
    }


def _compared(hostvars: HostVars, plan_: Answer) -> dict[str, Answer]:
    """What the new master has found on each host."""
    found = of_host(hostvars, plan_["to"]).get("cyrus_compared") or {}
    return {result["item"]: result for result in found.get("results") or ()}


def followed(hostvars: HostVars, plan_: Answer) -> list[str]:
    """Those of the other replicas that follow the new master now."""
    answers = {n: of_host(hostvars, n).get("cyrus_follows") or {} for n in plan_["others"]}
    return [n for n, a in answers.items() if (a.get("record") or {}).get("role") == "replica"]


def report(
    hostvars: HostVars, plan_: Answer, marks: Sequence[Answer], troubled: Sequence[str]
) -> list[str]:
    """What was done, for people, and what comes next."""
    took = ", ".join(f"{p} {spent:g} s" for p, spent in _switchover.seconds(marks).items())
    if troubled:
        return [f"store {plan_['store']}: the failover is not done ({took})"]
    found = [f"store {plan_['store']}: {plan_['to']} is master, epoch {plan_['epoch']} ({took})"]
    base = of_host(hostvars, plan_["to"]).get("cyrus_base") or {}
    if base.get("path"):
        found.append(
            f"  {plan_['to']} keeps what it had then, {base['users']} users and "
            f"{base['messages']} messages, in {base['path']}"
        )
    found += [
        f"  ! not in there: {reason}; where that is a mailbox no UIDs are left out in it: mend it, "
        "and let clients read it anew"
        for reason in base.get("unknown") or ()
    ]
    found.append(
        f"  {plan_['from']} may hold mail that nobody else has: bring it back with rejoin, and "
        "change nothing on its disk before"
    )
    return found + [
        f"  {name} does not follow: {why}; bring it back with rejoin, -e cyrus_old={name}, and "
        "change nothing on its disk before"
        for name, why in _apart(hostvars, plan_)
    ]


def _apart(hostvars: HostVars, plan_: Answer) -> Iterator[tuple[str, str]]:
    """The other hosts that are awaited, each with the reason."""
    told = _compared(hostvars, plan_)
    for name in plan_["awaited"]:
        result = told.get(name, {})
        touched = result.get("touched_on_old")
        if touched:
            whose = ", ".join(str(owner or "what is shared") for owner in touched[:_NAMED])
            more = f" and {len(touched) - _NAMED} more" if len(touched) > _NAMED else ""
            yield name, f"it has something that {plan_['to']} has not got, of {whose}{more}"
        elif result.get("unknown"):
            yield name, f"what it has can't be compared ({result['msg']})"
        elif name not in told:
            yield name, "it could not be asked what it has"
