# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One store whose replicas are worked on while it goes on, and what its hosts said."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name

from ._eligibility import Answer
from ._stores import HostVars, Store, of_host


class Case:
    """`what` is how this work is noted on the hosts while it is under way, `max_lag` the seconds
    after which a replica is behind."""

    def __init__(self, hostvars: HostVars, store: Store, what: str, max_lag: float) -> None:
        self.hostvars, self.store, self.what, self.max_lag = hostvars, store, what, max_lag
        self.master = str(store.master)
        told = {host.name: self.said(host.name, "readiness") for host in store.hosts}
        self.readiness = {name: answer for name, answer in told.items() if answer}
        self.channels: dict[str, Answer] = {
            channel["replica"]: channel
            for channel in self.said(self.master, "channels").get("channels") or ()
        }

    def said(self, host: str, what: str, failed: bool = False) -> Answer:
        found: Answer = of_host(self.hostvars, host).get(f"cyrus_{what}") or {}
        bad = any(found.get(why) for why in ("unreachable", "failed", "skipped"))
        return {} if bad and not failed else found

    def is_live(self, name: str) -> bool:
        """Whether a replica has what the master has, but for the last seconds."""
        channel = self.channels.get(name)
        return (
            channel is not None
            and channel["state"] == "active"
            and not channel["paused"]
            and channel["lag"] is not None
            and channel["lag"] <= self.max_lag
        )

    def live_without(self, away: set[str]) -> list[str]:
        """The other replicas that are live."""
        return [
            host.name
            for host in self.store.replicas
            if host.name not in away and self.is_live(host.name)
        ]

    def quarantine(self, name: str) -> Sequence[Answer]:
        return self.channels.get(name, {}).get("quarantine") or ()

    def is_own(self, activity: str) -> bool:
        return activity.startswith(f"{self.what} ")

    def is_noted(self, name: str) -> bool:
        """Whether an earlier run of this is noted on a host."""
        return any(map(self.is_own, self.readiness[name].get("activities") or ()))

    def without_own(self, answer: Answer) -> dict[str, Any]:
        """Without what an earlier run of this has noted."""
        noted = answer.get("activities")
        kept = noted and [each for each in noted if not self.is_own(each)]
        return {**answer, "activities": kept}

    def involved(self, *names: str) -> list[str]:
        """These hosts, and those on which an earlier run of this is noted."""
        return [
            host.name
            for host in self.store.hosts
            if host.name in names or (host.name in self.readiness and self.is_noted(host.name))
        ]

    def silent(self, names: set[str]) -> Iterator[str]:
        """Reasons against going on with hosts of which too little is known."""
        pair = [host for host in self.store.hosts if host.name in names]
        yield from (host.trouble for host in pair if host.trouble)
        yield from (
            f"{host.name} did not say whether it is ready"
            for host in pair
            if not host.trouble and host.name not in self.readiness
        )

    def epochs(self, names: set[str]) -> Iterator[str]:
        """Reasons against hosts that do not follow the store's master."""
        for host in self.store.hosts:
            if host.name not in names:
                continue
            if host.record is None or host.record.epoch != self.store.epoch:
                epoch = host.record.epoch if host.record else "none"
                yield (
                    f"{host.name} is in epoch {epoch} and the store in epoch {self.store.epoch}: "
                    "bring it back with rejoin, or run setup"
                )

    def follows(self, name: str) -> Iterator[str]:
        """Reasons against a replica that is behind, or whose link is down."""
        channel = self.channels.get(name)
        if channel is None or not channel["link"]["ok"]:
            why = channel["link"]["reason"] if channel else "there is none"
            yield f"channel {channel_name(name)}: {why}"
        elif channel["paused"] and not self.is_noted(name):
            yield (
                f"channel {channel_name(name)} is paused, so {name} is behind: start it (module "
                f"channel, name={channel_name(name)} state=started)"
            )
