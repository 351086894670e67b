# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done to give a replica a new copy, by what all hosts of a store answered.

Where it stands follows from the hosts alone, so a run that died is gone on with by the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils._install import parse_version
from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from . import _eligibility, _switchover
from ._case import Case
from ._eligibility import Answer, Facts, Limits, of_a_pair
from ._stores import HostVars, Store, stores

# Two hosts' clocks may be so far apart that no change is taken for an old one, in seconds.
_APART = 120.0
_MEGA = 1e6


def plan(hostvars: HostVars, hosts: Iterable[str], target: str, options: Answer) -> Answer:
    """Who is copied from to whom, how far that is, and all reasons against it.

    `options`: source (or empty), method (rsync or replicate), hold_master, single_copy (the store's
    name where that is accepted), over (the target's where its copy may be written over), snapshot
    (whether the last pass is of one), max_lag, certificate_days, free_percent, mtas.
    """
    return _Case(hostvars, stores(hostvars, hosts)[0], target, options).document()


class _Case(Case):
    """One store, and what its hosts said."""

    def __init__(self, hostvars: HostVars, store: Store, target: str, options: Answer) -> None:
        super().__init__(hostvars, store, f"a reseed of {target}", float(options["max_lag"]))
        self.target, self.options = target, options
        self.copies = options["method"] == "rsync"
        self.snapshot = self.copies and bool(options["snapshot"])
        self.resting = "while a snapshot is taken" if self.snapshot else "for the last pass"
        self.begun: Answer = self.readiness.get(target, {}).get("reseed") or {}
        self.source = self._source()

    def document(self) -> Answer:
        stage = self._stage()
        holds = self.copies and self.source == self.master
        return {
            "store": self.store.name,
            "stage": stage,
            "method": self.options["method"],
            "master": self.master,
            "source": self.source,
            "target": self.target,
            # What the role switchover calls them.
            "from": self.source,
            "to": self.target,
            "epoch": self.store.epoch,
            "hosts": [host.name for host in self.store.hosts if not host.trouble],
            "involved": self.involved(self.master, self.source, self.target),
            "channels": {host.name: channel_name(host.name) for host in self.store.hosts},
            "rests": self.source if self.copies and not holds else "",
            # Whoever an earlier run has left at rest, whatever source it had.
            "wakes": [
                host.name
                for host in self.store.replicas
                if host.name != self.target
                and host.name in self.readiness
                and (host.name == self.source or self.is_noted(host.name))
            ],
            "holds": holds,
            "snapshot": self.snapshot,
            "resting": self.resting,
            "mtas": list(self.options["mtas"]) if holds else [],
            # What only a later event brings to who is copied, so the copy lacks it.
            "kept": [e["name"] for e in self.quarantine(self.source)],
            "begun": self.begun.get("phase"),
            "over": self.target == self.options["over"] or self.begun.get("phase") == "over",
            "what": self.what,
            "reasons": list(dict.fromkeys(self._reasons(stage))),
        }

    def _stage(self) -> str:
        """`start`: the target has its old copy in use. `placed`: the new one is there, or is being
        put there, and nothing else may be done before it is in its place."""
        return "placed" if self.begun.get("phase") in ("out", "in", "placed") else "start"

    def _source(self) -> str:
        """The one that is named, or was by a run that is gone on with; else a replica that is well,
        so that nobody notices."""
        if not self.copies:
            return self.master
        named = str(self.options["source"])
        begun = str(self.begun.get("source") or "")
        if begun and (self._stage() == "placed" or not named):
            return begun
        if named:
            return named
        others = [host.name for host in self.store.replicas if host.name != self.target]
        well = [name for name in others if self.is_live(name)]
        return next(iter([*well, *others]), self.master)

    # -- reasons

    def _reasons(self, stage: str) -> Iterator[str]:
        if self.store.trouble:
            yield self.store.trouble
            return
        yield from self._named()
        yield from self._chains()
        involved = {self.master, self.source, self.target}
        silent = list(self.silent(involved))
        yield from silent
        pair = tuple(host for host in self.store.hosts if host.name in involved)
        if silent or len(pair) < len(involved):
            return
        yield from self.epochs(involved)
        yield from self._serves()
        told = {name: self.without_own(self.readiness[name]) for name in involved}
        limits = Limits(
            0.0, int(self.options["certificate_days"]), float(self.options["free_percent"])
        )
        # The old copy and the new one are both there meanwhile; what that needs is measured.
        store = replace(self.store, hosts=pair)
        yield from of_a_pair(Facts(store, self.master, self.target, told, (), {}, (), limits))
        if stage == "start":
            yield from self._copying()
            yield from self._second_copy()
        if self.source == self.master and self.copies:
            said = {mta: self.said(mta, "delivery", failed=True) for mta in self.options["mtas"]}
            yield from _eligibility.deliveries(said, (None, "reseed"))

    def _named(self) -> Iterator[str]:
        names = [host.name for host in self.store.hosts]
        if self.target == self.master:
            yield (
                f"cyrus_target names {self.target}, which is the master of store "
                f"{self.store.name}: what it has may be all there is of it"
            )
        if self.source not in names:
            yield f"cyrus_source names {self.source}, which is no host of store {self.store.name}"
        elif self.source == self.target:
            yield f"cyrus_source and cyrus_target both name {self.target}: name another source"
        if self.copies and self.source == self.master and not self.options["hold_master"]:
            yield (
                f"{self.master} is the master, and nobody could write while it rests "
                f"{self.resting}: name a replica in cyrus_source, or allow it with "
                "-e cyrus_reseed_hold_master=true, or use -e cyrus_reseed_method=replicate"
            )

    def _chains(self) -> Iterator[str]:
        """A copy is sent what is new from the master's own log, and nobody would tell those behind
        the target of it."""
        yield from _eligibility.chained(self.store, self.target)
        if self.copies and self.source != self.master:
            yield from _eligibility.chained(self.store, self.source)
        for host in self.store.replicas:
            if host.source == self.target:
                yield from _eligibility.chained(self.store, host.name)

    def _serves(self) -> Iterator[str]:
        told = self.readiness[self.master]
        fence = told.get("fence")
        if fence and fence["by"] != "reseed":
            yield (
                f"{self.master} is fenced by {fence['by']} since {fence['since']}: "
                f"{fence['reason']}"
            )
        elif fence and self.source != self.master:
            yield (
                f"{self.master} is fenced by a reseed that did not end: run it as before, with "
                f"-e cyrus_source={self.master} -e cyrus_reseed_hold_master=true"
            )
        elif not fence:
            yield from _eligibility.uncleared(self.master, told)

    def _copying(self) -> Iterator[str]:
        if self.target not in self.channels:
            yield f"{self.master} says nothing of a channel to {self.target}: run setup"
        if not self.copies:
            return
        for name in (self.source, self.target):
            trees = self.readiness[name].get("trees") or {"troubles": ["its folders are not known"]}
            yield from (f"{name}: {trouble}" for trouble in trees["troubles"])
        yield from self._same_version()
        source, target = (self.readiness[name].get("clock") for name in (self.source, self.target))
        if source is None or target is None or abs(source - target) > _APART:
            yield (
                f"the clocks of {self.source} and {self.target} are more than {_APART:g} s apart: "
                "set them, so that no change is missed"
            )
        if self.source != self.master:
            yield from self.follows(self.source)

    def _same_version(self) -> Iterator[str]:
        source, target = (
            self.readiness[name].get("version") for name in (self.source, self.target)
        )
        # One that is not known is a reason already.
        if source and target and parse_version(target)[:2] < parse_version(source)[:2]:
            yield (
                f"{self.target} runs an older Cyrus than {self.source}, which can't read its "
                f"files: upgrade {self.target} first, or use -e cyrus_reseed_method=replicate"
            )

    def _second_copy(self) -> Iterator[str]:
        """Whether somebody else follows the master while the target and a resting source do not."""
        away = {self.target} | ({self.source} if self.copies else set())
        # A replica that has its mail by replication is never without its channel.
        if self.live_without(away) or (not self.copies and not self.is_live(self.target)):
            return
        if self.options["single_copy"] == self.store.name:
            return
        rests = (
            f" and {self.source} rests {self.resting}"
            if self.copies and self.source != self.master
            else ""
        )
        yield (
            f"while {self.target} gets its copy{rests}, no other replica of store "
            f"{self.store.name} follows {self.master}: mend or add one, or accept that with "
            f"-e cyrus_accept_single_copy={self.store.name}"
        )


def lines(plan_: Answer, check: bool = False) -> list[str]:
    """What is going to be done, or in check mode would be, for people."""
    gets, goes = ("would get", "would go on") if check else ("gets", "goes on")
    way = (
        f"a copy of {plan_['source']}"
        if plan_["method"] == "rsync"
        else "everything by replication"
    )
    found = [
        f"store {plan_['store']}: {plan_['target']} {gets} {way}"
        + (f"; the reseed {goes}, the copy is in its place" if plan_["stage"] == "placed" else "")
    ]
    if plan_["rests"] and plan_["stage"] == "start":
        found.append(f"  {plan_['rests']} rests {plan_['resting']}, and then catches up")
    if plan_["holds"] and plan_["stage"] == "start":
        found.append(
            f"  {plan_['master']} rests {plan_['resting']} and serves nobody; deliveries wait"
        )
    if plan_["over"] and plan_["stage"] == "start":
        found.append(f"  what {plan_['target']} has is written over")
    return found + [f"  ! {reason}" for reason in plan_["reasons"]]


def moved(passes: Sequence[Mapping[str, Any]]) -> list[str]:
    """What each pass of rsync has moved, for people."""
    return [
        f"  pass {number}: {one['moved_bytes'] / _MEGA:.1f} of {one['bytes'] / _MEGA:.1f} MB in "
        f"{one['seconds']:g} s"
        for number, one in enumerate(passes, 1)
    ]


def report(
    plan_: Answer,
    marks: Sequence[Answer],
    passes: Sequence[Mapping[str, Any]],
    troubled: Sequence[str],
    former: Sequence[str],
) -> list[str]:
    """What was done, for people."""
    took = ", ".join(f"{phase} {spent:g} s" for phase, spent in _switchover.seconds(marks).items())
    done = "has not got its copy" if troubled else f"is a replica of {plan_['master']} and equal"
    found = [f"store {plan_['store']}: {plan_['target']} {done} ({took})", *moved(passes)]
    if former:
        found.append(f"  its former copy is in {', '.join(former)}")
    return found
