# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The lines of a sync log: what each is about, and which of them belong together. Pure.

Cyrus writes a line for each change (imap/sync_log.c): a kind and one or two names. Text stands for
bytes here, those that are not UTF-8 as surrogate escapes.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from . import _names

UNKNOWN = "UNKNOWN"

_ESCAPED_IN_NAMES = set('\\"{}')
_NEED_QUOTES = _ESCAPED_IN_NAMES | set(" \t()")

# Only a line feed ends an event and only a space ends a word, whatever else Unicode takes for one.
_NAME = r'(?:"((?:[^"\\\r\0]|\\[^\r\0])*)"|([^ \t"\\(){}\r\0]+))'
_LINE = re.compile(rf"([A-Z]+) {_NAME}(?: {_NAME})?")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)

# What the names of each kind are.
_ROLES: dict[str, tuple[str | None, ...]] = {
    "USER": ("user",),
    "UNUSER": ("user",),
    "META": ("meta",),
    "SIEVE": ("meta",),
    "SEEN": ("meta", None),
    "SUB": ("meta", None),
    "UNSUB": ("meta", None),
    "MAILBOX": ("mailbox",),
    "APPEND": ("mailbox",),
    "UNMAILBOX": ("mailbox",),
    "ANNOTATION": ("mailbox",),
    "DOUBLEMAILBOX": ("mailbox", "mailbox"),
    "RENAME": ("mailbox", "mailbox"),
    "QUOTA": ("quota",),
}


class Event(NamedTuple):
    """One line, without its line feed. What can't be read is of the kind UNKNOWN, without names."""

    kind: str
    names: tuple[str, ...]
    line: str


class Target(NamedTuple):
    """What an event changes.

    `scope` is "mailbox" (internal name), "user" (all of a user), "meta" (a user's subscriptions,
    seen states and scripts), "quota" (root) or "server" (server annotations, no name).
    """

    scope: str
    name: str


def quote(name: str) -> str:
    """A name as sync_quote_name writes it."""
    escaped = "".join(f"\\{c}" if c in _ESCAPED_IN_NAMES else c for c in name)
    return f'"{escaped}"' if not name or set(name) & _NEED_QUOTES else name


def read(line: str) -> Event:
    """The event of one whole line, without its line feed."""
    found = _LINE.fullmatch(line)
    if found is not None:
        kind, *parts = found.groups()
        names = tuple(
            _ESCAPED.sub(r"\1", quoted) if plain is None else plain
            for quoted, plain in (parts[:2], parts[2:])
            if (quoted, plain) != (None, None)
        )
        if len(names) == len(_ROLES.get(kind, ())):
            return Event(kind, names, line)
    return Event(UNKNOWN, (), line)


def parse(text: str | bytes) -> list[Event]:
    """All events of a log, in its order.

    A last line without a line feed is torn: its writer failed, and its name may be cut to another
    one's. So it is UNKNOWN, whatever it looks like. Empty lines are none.
    """
    if isinstance(text, bytes):
        text = text.decode("utf-8", "surrogateescape")
    *lines, torn = text.split("\n")
    events = [read(line) for line in lines if line]
    if torn:
        events.append(Event(UNKNOWN, (), torn))
    return events


def stream(lines: Iterable[bytes]) -> Iterator[Event]:
    """The same from a log's lines with their line feeds, one after the other."""
    for line in lines:
        yield from parse(line)


def serialise(events: Iterable[Event]) -> bytes:
    """The events as a log holds them."""
    return "".join(f"{event.line}\n" for event in events).encode("utf-8", "surrogateescape")


def targets(event: Event) -> tuple[Target, ...]:
    """What an event changes, each once; nothing for an UNKNOWN one."""
    if event.kind == "ANNOTATION" and event.names == ("",):
        return (Target("server", ""),)
    roles = _ROLES.get(event.kind, ())
    return tuple(
        dict.fromkeys(Target(role, name) for role, name in zip(roles, event.names) if role)
    )


def owner(target: Target) -> str | None:
    """The user whose it is, None for what is shared."""
    if target.scope in ("user", "meta"):
        return target.name
    return _names.owner(target.name)


def without_repeats(events: Iterable[Event]) -> list[Event]:
    """Each event once, where it is first."""
    return list({event.line: event for event in events}.values())


def by_owner(events: Iterable[Event]) -> list[list[Event]]:
    """Groups that have to be replicated together, in the order in which they begin.

    All of one user is one group, every shared mailbox, shared quota root and UNKNOWN line is
    another; what one line names together is not parted.
    """
    events = list(events)
    parents: dict[Target, Target] = {}

    def root(bond: Target) -> Target:
        while parents.setdefault(bond, bond) != bond:
            parents[bond] = parents[parents[bond]]
            bond = parents[bond]
        return bond

    for event in events:
        first, *others = _bonds(event)
        for other in others:
            parents[root(other)] = root(first)
    groups: dict[Target, list[Event]] = {}
    for event in events:
        groups.setdefault(root(_bonds(event)[0]), []).append(event)
    return list(groups.values())


def _bonds(event: Event) -> list[Target]:
    """What an event shares with others of its group."""
    bonds = []
    for target in targets(event):
        user = owner(target)
        bonds.append(target if user is None else Target("user", user))
    return bonds or [Target(UNKNOWN, event.line)]
