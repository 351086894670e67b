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
from ._eligibility import Answer, Facts, Limits, of_a_pair
from ._stores import HostVars, Store, of_host, stores

# Two hosts' clocks may be so far apart that no change is taken for an old one, in seconds.
_APART = 120.0
_MEGA = 1e6


def plan(hostvars: HostVars, hosts: Iterable[str], target: str, options: Answer) -> Answer:
    """Who is copied from to whom, how far that is, and all reasons against it.

    `options`: source (or empty), method (rsync or replicate), hold_master, single_copy (the store's
    name where that is accepted), over (the target's where its copy may be written over), max_lag,
    certificate_days, free_percent, mtas.
    """
    return _Case(hostvars, stores(hostvars, hosts)[0], target, options).document()


class _Case:
    """One store, and what its hosts said."""

    def __init__(self, hostvars: HostVars, store: Store, target: str, options: Answer) -> None:
        self.hostvars, self.store, self.target, self.options = hostvars, store, target, options
        self.master = str(store.master)
        told = {host.name: self._said(host.name, "readiness") for host in store.hosts}
        self.readiness = {name: answer for name, answer in told.items() if answer}
        self.channels: dict[str, Answer] = {
            channel["replica"]: channel
            for channel in self._said(self.master, "channels").get("channels") or ()
        }
        self.copies = options["method"] == "rsync"
        self.begun: Answer = self.readiness.get(target, {}).get("reseed") or {}
        # As it is noted on the hosts while it is under way.
        self.what = f"a reseed of {target}"
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
            "involved": [
                host.name
                for host in self.store.hosts
                if host.name in (self.master, self.source, self.target)
                or (host.name in self.readiness and self._is_noted(host.name))
            ],
            "channels": {host.name: channel_name(host.name) for host in self.store.hosts},
            "rests": self.source if self.copies and not holds else "",
            # Whoever an earlier run has left at rest, whatever source it had.
            "wakes": [
                host.name
                for host in self.store.replicas
                if host.name != self.target
                and host.name in self.readiness
                and (host.name == self.source or self._is_noted(host.name))
            ],
            "holds": holds,
            "mtas": list(self.options["mtas"]) if holds else [],
            # What only a later event brings to who is copied, so the copy lacks it.
            "kept": [e["name"] for e in self._quarantine(self.source)],
            "begun": self.begun.get("phase"),
            "over": self.options["over"] == self.target,
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
        well = [name for name in others if self._is_live(name)]
        return next(iter([*well, *others]), self.master)

    def _is_live(self, name: str) -> bool:
        """Whether a replica has what the master has, but for the last seconds."""
        channel = self.channels.get(name)
        return (
            channel is not None
            and channel["state"] == "active"
            and not channel["paused"]
            and channel["lag"] is not None
            and channel["lag"] <= float(self.options["max_lag"])
        )

    def _quarantine(self, name: str) -> Sequence[Answer]:
        return self.channels.get(name, {}).get("quarantine") or ()

    # -- reasons

    def _reasons(self, stage: str) -> Iterator[str]:
        if self.store.trouble:
            yield self.store.trouble
            return
        yield from self._named()
        involved = {self.master, self.source, self.target}
        pair = tuple(host for host in self.store.hosts if host.name in involved)
        yield from (host.trouble for host in pair if host.trouble)
        silent = [
            host.name for host in pair if not host.trouble and host.name not in self.readiness
        ]
        yield from (f"{name} did not say whether it is ready" for name in silent)
        if silent or any(host.trouble for host in pair) or len(pair) < len(involved):
            return
        for host in pair:
            if host.record is None or host.record.epoch != self.store.epoch:
                epoch = host.record.epoch if host.record else "none"
                yield (
                    f"{host.name} is in epoch {epoch} and the store in epoch {self.store.epoch}: "
                    "bring it back with rejoin, or run setup"
                )
        yield from self._serves()
        told = {name: self._without_own(self.readiness[name]) for name in involved}
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
            said = {mta: self._said(mta, "delivery", failed=True) for mta in self.options["mtas"]}
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
                f"{self.master} is the master, so nobody could write while the last pass of rsync "
                "runs: name a replica in cyrus_source, or allow it with "
                "-e cyrus_reseed_hold_master=true, or use -e cyrus_reseed_method=replicate"
            )

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
        elif not fence and not told.get("cleared"):
            yield (
                f"{self.master} does not serve: its guard has not heard yet that nobody else is "
                "master"
            )

    def _without_own(self, answer: Answer) -> dict[str, Any]:
        """Without what an earlier run of this has noted."""
        noted = answer.get("activities")
        kept = noted and [each for each in noted if not self._is_own(each)]
        return {**answer, "activities": kept}

    def _is_own(self, activity: str) -> bool:
        return activity.startswith(f"{self.what} ")

    def _is_noted(self, name: str) -> bool:
        """Whether an earlier run of this is noted on a host."""
        return any(map(self._is_own, self.readiness[name].get("activities") or ()))

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
            channel = self.channels.get(self.source)
            if channel is None or not channel["link"]["ok"]:
                why = channel["link"]["reason"] if channel else "there is none"
                yield f"channel {channel_name(self.source)}: {why}"
            elif channel["paused"] and not self._is_noted(self.source):
                yield (
                    f"channel {channel_name(self.source)} is paused, so {self.source} is behind: "
                    f"start it (module channel, name={channel_name(self.source)} state=started)"
                )

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
        live = [h.name for h in self.store.replicas if h.name not in away and self._is_live(h.name)]
        # A replica that has its mail by replication is never without its channel.
        if live or (not self.copies and not self._is_live(self.target)):
            return
        if self.options["single_copy"] == self.store.name:
            return
        rests = (
            f" and {self.source} rests for the last pass"
            if self.copies and self.source != self.master
            else ""
        )
        yield (
            f"while {self.target} gets its copy{rests}, no other replica of store "
            f"{self.store.name} follows {self.master}: mend or add one, or accept that with "
            f"-e cyrus_accept_single_copy={self.store.name}"
        )

    def _said(self, host: str, what: str, failed: bool = False) -> Answer:
        found: Answer = of_host(self.hostvars, host).get(f"cyrus_{what}") or {}
        bad = any(found.get(why) for why in ("unreachable", "failed", "skipped"))
        return {} if bad and not failed else found


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
        found.append(f"  {plan_['rests']} rests for the last pass, and then catches up")
    if plan_["holds"] and plan_["stage"] == "start":
        found.append(f"  {plan_['master']} serves nobody during the last pass; deliveries wait")
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
