# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A channel brought into the state that is asked for: started, stopped or paused."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

from . import _command, _control, _state
from ._errors import ReplicationError

# In less no answer is to be expected of a replicator that has just taken a batch.
_LEAST_SECONDS = 5.0
_POLL_SECONDS = 0.2


@dataclass(frozen=True)
class Switches:
    """What can be switched of a channel. `enabled`: its unit starts with Cyrus."""

    running: bool
    enabled: bool
    paused: bool


def seconds(timeout: float) -> float:
    """The option timeout of a module, where something can be waited for."""
    if not 0 < timeout < math.inf:
        raise ReplicationError("timeout has to be a number of seconds, more than 0")
    return timeout


def remedy(channel: str) -> str:
    """What to do where a channel is stopped or paused and should not be."""
    return f"start the channel (module channel, name={channel} state=started)"


def switches(channel: str) -> Switches:
    """How they stand now."""
    shown = _systemctl("show", "--property=ActiveState,UnitFileState", _control.unit(channel))
    values = dict(line.partition("=")[::2] for line in shown.splitlines())
    return Switches(
        running=values.get("ActiveState") in ("active", "activating", "reloading"),
        enabled=values.get("UnitFileState") == "enabled",
        paused=_state.paused(channel),
    )


def wanted(now: Switches, state: str) -> Switches:
    """How they have to stand for a state; pure."""
    if state == "stopped":
        return Switches(running=False, enabled=now.enabled, paused=now.paused)
    return Switches(running=True, enabled=True, paused=state == "paused")


def ensure(channel: str, state: str, timeout: float, check: bool) -> tuple[Switches, Switches]:
    """Bring it there within `timeout` seconds; how it stood, and how it stands then."""
    before = switches(channel)
    after = wanted(before, state)
    if not check:
        _bring(channel, before, after, time.monotonic() + timeout)
    return before, after


def differences(before: Switches, after: Switches) -> dict[str, dict[str, bool]]:
    """For Ansible's diff: what is switched."""
    return {"before": asdict(before), "after": asdict(after)}


def _bring(channel: str, before: Switches, after: Switches, end: float) -> None:
    unit = _control.unit(channel)
    if not after.running:
        if before.running:
            _systemctl("stop", unit, seconds=_left(end))
        return
    if not before.running and before.paused != after.paused:
        # There from its first moment on.
        _state.set_paused(channel, after.paused)
    if not before.enabled:
        _systemctl("enable", unit)
    if not before.running:
        _systemctl("start", unit, seconds=_left(end))
    elif before.paused != after.paused:
        _ask(channel, {"do": "pause" if after.paused else "resume"}, end)
    _wait(channel, after.paused, end)


def _ask(channel: str, order: dict[str, str], end: float) -> None:
    """The replicator may just be starting, and then does not listen yet."""
    while True:
        try:
            _control.ask(channel, order, _left(end))
            return
        except _control.NotRunningError:
            if time.monotonic() >= end:
                raise
        time.sleep(_POLL_SECONDS)


def _wait(channel: str, paused: bool, end: float) -> None:
    """Until it answers, and says that it is paused or is not."""
    _ask(channel, {"do": "status"}, end)

    def arrived() -> bool:
        found = _state.load(channel)
        return found is not None and (
            found.state == "paused" if paused else found.state not in ("paused", "starting")
        )

    _until(
        arrived,
        end,
        f"channel {channel} is not {'paused' if paused else 'running'} in time: "
        f"look at journalctl -u {_control.unit(channel)}",
    )


def _until(condition: Callable[[], bool], end: float, otherwise: str) -> None:
    while not condition():
        if time.monotonic() >= end:
            raise ReplicationError(otherwise)
        time.sleep(_POLL_SECONDS)


def _left(end: float) -> float:
    return max(_LEAST_SECONDS, end - time.monotonic())


def _systemctl(*args: str, seconds: float = 30.0) -> str:
    try:
        done = _command.run(["systemctl", *args], timeout=seconds)
    except ReplicationError as error:
        raise ReplicationError(f"systemctl {' '.join(args)} failed: {error}") from error
    if done.rc != 0:
        raise ReplicationError(f"systemctl {' '.join(args)} failed: {done.stderr.strip()}")
    return done.stdout
