# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What one channel leaves aside, so that everybody else goes on: whose, why, and its events.

An entry of the replicator is tried again and released by itself; one of an administrator stays
until it is released by hand. An event that is kept here is nowhere else, so a registry that can't
be read is an error, never an empty one.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from . import _events, _files, _state
from ._errors import ReplicationError
from ._events import Event, Target

REPLICATOR = "replicator"
ADMINISTRATOR = "administrator"

_SCOPES = ("mailbox", "user", "meta", "quota", "server")
_FIRST_PAUSE, _LONGEST_PAUSE = 5.0, 60.0
_TYPES: dict[str, tuple[type, ...]] = {
    "str": (str,),
    "str | None": (str, type(None)),
    "int": (int,),
    "float | None": (float, int, type(None)),
    "tuple[str, ...]": (list,),
}


@dataclass(frozen=True)
class Entry:
    """One thing in quarantine: `scope` and `name` are those of a Target.

    `since` and `tried` are ISO 8601, `next` is in seconds since 1970 and null where no try is
    planned; `events` are lines of the sync log, each once.
    """

    scope: str
    name: str
    user: str | None
    mailbox: str | None
    reason: str
    advice: str | None
    since: str
    by: str
    tries: int = 0
    tried: str | None = None
    next: float | None = None
    events: tuple[str, ...] = ()

    @property
    def target(self) -> Target:
        return Target(self.scope, self.name)


class Quarantine:
    """The registry of a channel. What is changed counts once `save` has returned."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._entries = _read(path)
        self._saved = dict(self._entries)

    def entries(self) -> list[Entry]:
        """The longest held first."""
        return list(self._entries.values())

    def covers(self, target: Target) -> Entry | None:
        """The entry on whose account a target is left aside: its own, or its user's."""
        own = self._entries.get(target)
        user = _events.owner(target)
        if own is not None or user is None:
            return own
        return self._entries.get(Target("user", user))

    def due(self, now: float) -> list[Entry]:
        """What the replicator is to try again at `now`, the longest due first; also after a clock
        was set back."""
        late = now + 2 * _LONGEST_PAUSE
        due = [
            (entry.next, entry)
            for entry in self._entries.values()
            if entry.next is not None and not now < entry.next < late
        ]
        return [entry for _next, entry in sorted(due, key=lambda pair: pair[0])]

    def hold(
        self,
        target: Target,
        reason: str,
        advice: str | None,
        by: str,
        events: Iterable[Event],
        now: float,
    ) -> None:
        """Leave a target aside. Of what is held already, the events and the time are kept, and an
        administrator's entry stays one."""
        found = self._entries.get(target)
        if found is None:
            user, since = _events.owner(target), _state.timestamp(now)
            mailbox = target.name if target.scope == "mailbox" else None
            found = Entry(*target, user, mailbox, reason, advice, since, by)
        if ADMINISTRATOR in (by, found.by):
            found = replace(found, by=ADMINISTRATOR, next=None)
        else:
            found = replace(found, next=now + _pause(found.tries))
        self._entries[target] = replace(found, reason=reason, advice=advice)
        self.keep(target, events)

    def keep(self, target: Target, events: Iterable[Event]) -> None:
        """Add events to those that are kept for a held target."""
        found = self._held(target)
        lines = tuple(dict.fromkeys((*found.events, *(event.line for event in events))))
        if lines != found.events:
            self._entries[target] = replace(found, events=lines)

    def failed(self, target: Target, reason: str, advice: str | None, now: float) -> None:
        """Another try has failed."""
        found = self._held(target)
        tries = found.tries + 1
        self._entries[target] = replace(
            found,
            reason=reason,
            advice=advice,
            tries=tries,
            tried=_state.timestamp(now),
            next=None if found.by == ADMINISTRATOR else now + _pause(tries),
        )

    def release(self, target: Target) -> tuple[str, ...]:
        """Forget a target; returns the lines of its events, which are the caller's now."""
        found = self._held(target)
        del self._entries[target]
        return found.events

    def save(self) -> None:
        """Make all changes durable, at once or not at all."""
        if self._entries == self._saved:
            return
        document = {"entries": [asdict(entry) for entry in self._entries.values()]}
        try:
            _files.write(self._path, json.dumps(document, indent=1) + "\n", 0o640)
        except OSError as error:
            raise ReplicationError(
                f"{self._path} can't be written ({error.strerror}): make room there, or run setup"
            ) from error
        self._saved = dict(self._entries)

    def _held(self, target: Target) -> Entry:
        found = self._entries.get(target)
        if found is None:
            raise ReplicationError(
                f"{target.name or target.scope} is not in quarantine: quarantine_info lists what is"
            )
        return found


def path_of(channel: str) -> str:
    """Where the registry of a channel is kept."""
    return os.path.join(_state.folder(channel), "quarantine.json")


def load(channel: str) -> list[Entry]:
    """What a channel leaves aside, to look at."""
    return Quarantine(path_of(channel)).entries()


def _pause(tries: int) -> float:
    """Seconds until a try, after so many have failed."""
    return min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(tries, 8)))


def _read(path: str) -> dict[Target, Entry]:
    try:
        with open(path, encoding="utf-8") as stream:
            entries = [_entry(described) for described in json.load(stream)["entries"]]
        found = {entry.target: entry for entry in entries}
        if len(found) < len(entries):
            raise ValueError("it names something twice")
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ReplicationError(
            f"{path} can't be read ({error.strerror}): make it readable for Cyrus's user"
        ) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ReplicationError(
            f"{path} is damaged ({error}), so what was in quarantine is not known: move it away, "
            "restart the channel, then compare everything with the playbook parity"
        ) from error
    return found


def _entry(described: Any) -> Entry:
    """An entry from what JSON gave; a ValueError or TypeError where it is none."""
    entry = Entry(**described)
    for field in fields(Entry):
        value = getattr(entry, field.name)
        if field.name not in described or type(value) not in _TYPES[str(field.type)]:
            raise ValueError(f"{field.name} is wrong in one of its entries")
    if entry.scope not in _SCOPES or entry.by not in (REPLICATOR, ADMINISTRATOR):
        raise ValueError(f"one of its entries is of {entry.scope!r} by {entry.by!r}")
    lines = tuple(entry.events)
    if not all(isinstance(line, str) and "\n" not in line for line in lines):
        raise ValueError("one of its events is no line")
    return replace(entry, events=lines)
