# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What of a sync log is tried together, and how it is taken apart to find what fails. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from . import _events
from ._events import Event, Target
from ._quarantine import Quarantine

# The live mailboxes of one user on the master.
Mailboxes = Callable[[str], Iterable[str]]

_KINDS = {"mailbox": "MAILBOX", "user": "USER", "meta": "META", "quota": "QUOTA"}


def event_of(target: Target) -> Event:
    """The line that replicates a target as it is now."""
    kind = _KINDS.get(target.scope, "ANNOTATION")
    return _events.read(f"{kind} {_events.quote(target.name)}")


def targets_of(events: Iterable[Event]) -> list[Target]:
    """All that some events are about, each once."""
    return list(dict.fromkeys(target for event in events for target in _events.targets(event)))


def split(events: list[Event], mailboxes: Mailboxes) -> list[list[Event]]:
    """The events of one owner, mailbox by mailbox, each part as small as replication can do it."""
    finer: list[Event] = []
    for event in events:
        if event.kind in ("USER", "UNUSER") and list(mailboxes(event.names[0])):
            # Also of a user who was deleted and is there again.
            finer += [event_of(target) for target in parts_of(event.names[0], mailboxes)]
        elif event.kind == "DOUBLEMAILBOX":
            finer += [event_of(target) for target in _events.targets(event)]
        else:
            finer.append(event)
    parts: dict[Target, list[Event]] = {}
    for event in _events.without_repeats(finer):
        concerned = _events.targets(event)
        found = [parts[target] for target in concerned if target in parts]
        together = found[0] if found else []
        for other in found[1:]:
            if other is not together:
                together += other
        together.append(event)
        for target in [*concerned, *targets_of(together)]:
            parts[target] = together
    return list({id(part): part for part in parts.values()}.values())


def parts_of(user: str, mailboxes: Mailboxes) -> list[Target]:
    """What replicating a user consists of."""
    return [Target("mailbox", name) for name in mailboxes(user)] + [Target("meta", user)]


def set_aside(
    events: Iterable[Event], quarantine: Quarantine, mailboxes: Mailboxes
) -> tuple[list[Event], dict[Target, list[Event]]]:
    """Parts events into those that can be replicated, and those that an entry of the quarantine,
    named by its target, keeps. Of an event that is about both, the free part goes on."""
    free: list[Event] = []
    kept: dict[Target, list[Event]] = {}
    for event in events:
        concerned = list(_events.targets(event))
        if event.kind == "USER" and _touches(quarantine, event.names[0]):
            concerned = [*concerned, *parts_of(event.names[0], mailboxes)]
        entries = {target: quarantine.covers(target) for target in concerned}
        if not any(entries.values()):
            free.append(event)
            continue
        for target, entry in entries.items():
            if entry is not None:
                # Not all of a user, which could fail for another reason than what is kept.
                own = event if target in _events.targets(event) else event_of(target)
                kept.setdefault(entry.target, []).append(own)
            elif target.scope != "user":
                free.append(event_of(target))
    return _events.without_repeats(free), kept


def _touches(quarantine: Quarantine, user: str) -> bool:
    return any(entry.user == user for entry in quarantine.entries())
