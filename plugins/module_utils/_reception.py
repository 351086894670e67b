# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What an administrator tells a running replicator by its socket."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from typing import Any

from . import _bundle, _control, _events, _state
from ._control import Listener, Request
from ._errors import ReplicationError
from ._events import Target
from ._quarantine import ADMINISTRATOR, Quarantine
from ._reporter import Reporter

_SCOPES = ("mailbox", "user", "meta", "quota", "server")


@dataclass(frozen=True)
class Order:
    """To try a target now, or to hold it no longer."""

    target: Target
    release: bool
    request: Request

    def answer(self, said: dict[str, Any]) -> None:
        self.request.answer(said)


class Reception:
    """Listens. What needs no replication is done at once, the rest waits for `take`."""

    def __init__(self, channel: str, quarantine: Quarantine, reporter: Reporter) -> None:
        self._channel = channel
        self._quarantine = quarantine
        self._reporter = reporter
        self._listener = Listener(_control.path_of(channel))
        self._waiting: list[Order] = []
        self.paused = _state.paused(channel)

    def fileno(self) -> int:
        return self._listener.fileno()

    @property
    def waiting(self) -> bool:
        return bool(self._waiting)

    def receive(self) -> None:
        """All that has come."""
        while True:
            request = self._listener.accept()
            if request is None:
                return
            try:
                self._obey(request)
            except ReplicationError as error:
                request.answer({"ok": False, "error": str(error)})

    def take(self) -> list[Order]:
        """What waits to be tried."""
        waiting, self._waiting = self._waiting, []
        return waiting

    def refuse(self, why: str) -> None:
        """None of what waits can be tried now."""
        for order in self.take():
            order.answer({"ok": False, "error": f"it cannot be tried now: {why}"})

    def close(self) -> None:
        self.refuse("the replicator stops")
        self._listener.close()

    def _obey(self, request: Request) -> None:
        do = request.order.get("do")
        if do in ("pause", "resume"):
            self._pause(do == "pause")
            request.answer({"ok": True})
        elif do == "status":
            request.answer({"ok": True, "state": asdict(self._reporter.state)})
        elif do == "hold":
            self._hold(_target(request.order), str(request.order.get("reason") or ""))
            request.answer({"ok": True, "released": False})
        elif do in ("retry", "release"):
            self._waiting.append(Order(_target(request.order), do == "release", request))
        else:
            raise ReplicationError(f"{do!r} is no order: update the collection on both sides")

    def _pause(self, wanted: bool) -> None:
        if wanted != self.paused:
            _state.set_paused(self._channel, wanted)
            self.paused = wanted
            self._reporter.say("paused" if wanted else "resumed")

    def _hold(self, target: Target, reason: str) -> None:
        reason = reason or "put here by an administrator"
        self._quarantine.hold(
            target,
            reason,
            "Release it with the playbook quarantine (cyrus_quarantine_state=released, "
            f"cyrus_quarantine_{target.scope}={target.name}).",
            ADMINISTRATOR,
            [_bundle.event_of(target)],
            time.time(),
        )
        self._quarantine.save()
        self._reporter.say(f"{target.name} is held: {reason}")


def _target(order: dict[str, Any]) -> Target:
    scope, name = order.get("scope"), order.get("name")
    if scope not in _SCOPES or not isinstance(name, str):
        raise ReplicationError("an order has to name a scope and a name")
    target = Target(scope, name)
    readable = name.isprintable() and bool(name) is (scope != "server")
    if not readable or _events.targets(_bundle.event_of(target)) != (target,):
        raise ReplicationError(f"{name!r} is no name of a {scope}: no sync log can hold it")
    return target
