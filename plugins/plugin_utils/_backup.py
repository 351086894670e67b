# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What has to be done to back a replica up, by what all hosts of a store answered.

Where it stands follows from the hosts alone, so a run that died is gone on with by the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from . import _switchover
from ._case import Case
from ._eligibility import Answer, chained
from ._stores import HostVars, Store, stores

_MEGA = 1e6


def plan(hostvars: HostVars, hosts: Iterable[str], options: Answer) -> Answer:
    """Which replica is backed up, how far that is, and all reasons against it.

    `options`: source, driver, to, environment, hook, single_copy (the store's name where
    that is accepted), max_lag.
    """
    return _Case(hostvars, stores(hostvars, hosts)[0], options).document()


class _Case(Case):
    """One store, and what its hosts said."""

    def __init__(self, hostvars: HostVars, store: Store, options: Answer) -> None:
        super().__init__(hostvars, store, "a backup of", float(options["max_lag"]))
        self.options, self.source = options, str(options["source"])
        self.under_way: Answer | None = self.readiness.get(self.source, {}).get("backup")

    def document(self) -> Answer:
        return {
            "store": self.store.name,
            "stage": self._stage(),
            "master": self.master,
            "source": self.source,
            "driver": self.options["driver"],
            "hook": self.options["hook"],
            "to": self.options["to"],
            "epoch": self.store.epoch,
            "hosts": [host.name for host in self.store.hosts if not host.trouble],
            "involved": self.involved(self.master, self.source),
            "channels": {host.name: channel_name(host.name) for host in self.store.hosts},
            "rests": self.source,
            "wakes": [self.source] if self.source in self.readiness else [],
            "holds": False,
            "kept": [each["name"] for each in self.quarantine(self.source)],
            "what": f"{self.what} {self.source}",
            "reasons": list(dict.fromkeys(self._reasons())),
        }

    def _stage(self) -> str:
        """`copying`: a backup is under way, which is waited for. One that rests for a snapshot is
        begun anew, since nobody knows whether that was taken."""
        copying = self.under_way is not None and self.under_way["driver"] != "none"
        return "copying" if copying else "start"

    def _reasons(self) -> Iterator[str]:
        if self.store.trouble:
            yield self.store.trouble
            return
        if self.source not in [host.name for host in self.store.replicas]:
            yield (
                f"{self.source} is not a replica of store {self.store.name}, and a backup is made "
                "of one: name another in cyrus_source"
            )
            return
        yield from self._way()
        yield from chained(self.store, self.source)
        involved = {self.master, self.source}
        silent = list(self.silent(involved))
        yield from silent
        if silent:
            return
        yield from self.epochs(involved)
        for name in (self.master, self.source):
            yield from self.without_own(self.readiness[name]).get("activities") or ()
        trees = self.readiness[self.source].get("trees") or {
            "troubles": ["its folders are not known"]
        }
        yield from (f"{self.source}: {trouble}" for trouble in trees["troubles"])
        if not self.under_way:
            yield from self.follows(self.source)
            yield from self._second_copy()

    def _way(self) -> Iterator[str]:
        driver, to = self.options["driver"], self.options["to"]
        if driver in ("tar", "rsync") and not str(to).startswith("/"):
            yield f"driver {driver} needs a folder on {self.source}: name it in cyrus_backup_to"
        if driver == "restic" and not to and not self.options["environment"]:
            yield (
                "driver restic needs a repository: name it in cyrus_backup_to, or the file that "
                "does in cyrus_backup_environment"
            )
        if driver == "none" and not self.options["hook"]:
            yield "driver none copies nothing: give a hook that does, in cyrus_snapshot_hook"

    def _second_copy(self) -> Iterator[str]:
        if self.live_without({self.source}) or self.options["single_copy"] == self.store.name:
            return
        yield (
            f"while {self.source} is backed up, no other replica of store {self.store.name} "
            f"follows {self.master}: mend or add one, or accept that with "
            f"-e cyrus_accept_single_copy={self.store.name}"
        )


def lines(plan_: Answer, check: bool = False) -> list[str]:
    """What is going to be done, or in check mode would be, for people."""
    goes = "the backup of" if plan_["stage"] == "copying" else ""
    what = f"{goes} {plan_['source']}".strip()
    way = (
        f"{'would go' if check else 'goes'} on"
        if goes
        else f"{'would be' if check else 'is'} backed up with {_way(plan_)}"
    )
    return [f"store {plan_['store']}: {what} {way}", *(f"  ! {r}" for r in plan_["reasons"])]


def _way(plan_: Answer) -> str:
    to = f" to {plan_['to']}" if plan_["to"] else ""
    if plan_["driver"] == "none":
        return "a hook"
    return f"{plan_['driver']}{to}{' from a snapshot' if plan_['hook'] else ''}"


def report(
    plan_: Answer, marks: Sequence[Answer], made: Sequence[Answer], troubled: Sequence[str]
) -> list[str]:
    """What was done, for people. `made`: what each unit has returned, the one in which Cyrus rested
    first."""
    took = ", ".join(f"{phase} {spent:g} s" for phase, spent in _switchover.seconds(marks).items())
    whole = [one for one in made if one.get("bytes") is not None]
    done = "is backed up" if made and not troubled else "is not backed up, or not shown to be"
    found = [f"store {plan_['store']}: {plan_['source']} {done} ({took})"]
    found += [f"  {one['name']}, {one['bytes'] / _MEGA:.1f} MB" for one in whole]
    if made:
        found.append(f"  {plan_['source']} rested for {made[0]['rested']:g} s")
    return found + [f"  ! {each}" for each in unproven(made)]


def unproven(made: Sequence[dict[str, Any] | Answer]) -> list[str]:
    """What could not be read on the replica, so nobody knows whether the backup has it."""
    return [each for one in made for each in one["unknown"]]
