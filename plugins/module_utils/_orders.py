# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Orders to the quarantine of channels: put something in, try it again, or let it go."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import _channel, _control, _names
from ._errors import ReplicationError
from ._install import Install
from ._quarantine import ADMINISTRATOR

Entry = Mapping[str, Any]

_ORDERS = {"retried": "retry", "released": "release"}


@dataclass(frozen=True)
class Wish:
    """What is asked for: a state (present, retried, released), and of what: one of `mailbox`
    (internal name), `user` and `everything`."""

    state: str
    mailbox: str | None = None
    user: str | None = None
    everything: bool = False
    reason: str = ""

    @property
    def target(self) -> tuple[str, str]:
        """What is to be held: scope and name."""
        return ("user", self.user or "") if self.mailbox is None else ("mailbox", self.mailbox)

    def names(self, entry: Entry) -> bool:
        """Whether an entry of the quarantine is meant; a user stands for all that is theirs."""
        if self.mailbox is not None:
            return bool(entry["scope"] == "mailbox" and entry["name"] == self.mailbox)
        return self.everything or bool(entry["user"] == self.user)


@dataclass(frozen=True)
class Outcome:
    """What became of one order. `answered` is false where the replicator could not be asked;
    `released`: it replicates now, else `reason` and `advice` say what stands in the way."""

    channel: str
    scope: str
    name: str
    answered: bool
    released: bool
    reason: str | None
    advice: str | None


@dataclass(frozen=True)
class Step:
    """An order to the replicator of a channel."""

    channel: str
    order: dict[str, str]


def channels(name: str | None) -> dict[str, str]:
    """The channel of that name, or all that this host has, and the replica of each."""
    return _channel.names() if name is None else {name: _channel.replica_of(name)}


def listed(known: Mapping[str, str]) -> list[dict[str, Any]]:
    """What is in quarantine of these channels, without the events themselves."""
    return [
        entry
        for name, replica in sorted(known.items())
        for entry in _channel.quarantined(name, replica)
    ]


def refuse_unknown(wish: Wish) -> None:
    """What is held back has to be there, or a slip of the pen would hold back nothing."""
    if wish.state != "present":
        return
    scope, name = wish.target
    for entry in Install.discover().mailboxes():
        if name == (entry.name if scope == "mailbox" else _names.owner(entry.name)):
            return
    example = "its internal name, such as user.anna.Sent" if scope == "mailbox" else "a userid"
    raise ReplicationError(f"this host has no {scope} {name}: give {example}")


def steps(wish: Wish, known: Iterable[str], entries: Iterable[Entry]) -> list[Step]:
    """What has to be ordered of the known channels so that the wish comes true; pure."""
    if wish.state != "present":
        do = _ORDERS[wish.state]
        return [
            Step(entry["channel"], {"do": do, "scope": entry["scope"], "name": entry["name"]})
            for entry in entries
            # What somebody holds back on purpose is not let go by a try.
            if wish.names(entry) and (do == "release" or entry["by"] != ADMINISTRATOR)
        ]
    scope, name = wish.target
    held = {
        entry["channel"]
        for entry in entries
        if (entry["scope"], entry["name"]) == (scope, name)
        and (entry["by"], entry["reason"]) == (ADMINISTRATOR, wish.reason)
    }
    order = {"do": "hold", "scope": scope, "name": name, "reason": wish.reason}
    return [Step(channel, order) for channel in known if channel not in held]


def carry_out(step: Step, timeout: float) -> Outcome:
    """Give an order and wait for what comes of it, `timeout` seconds at most."""
    about = step.channel, step.order["scope"], step.order["name"]
    try:
        said = _control.ask(step.channel, step.order, timeout)
    except ReplicationError as error:
        return Outcome(*about, False, False, str(error), None)
    released = said.get("released") is True
    return Outcome(*about, True, released, said.get("reason"), said.get("advice"))


def failures(state: str, outcomes: Iterable[Outcome]) -> list[str]:
    """What keeps a state from being true, a sentence each; pure. To have tried is enough for the
    state retried."""
    return [
        " ".join(filter(None, (f"{o.name or o.scope} ({o.channel}): {o.reason}.", o.advice)))
        for o in outcomes
        if not o.answered or (state == "released" and not o.released)
    ]


def told(
    wish: Wish, before: list[dict[str, Any]], after: list[dict[str, Any]], outcomes: list[Outcome]
) -> dict[str, Any]:
    """What the module quarantine returns; pure."""
    changed = any(o.answered if wish.state == "present" else o.released for o in outcomes)
    return {
        "changed": changed,
        "results": [asdict(outcome) for outcome in outcomes],
        "released": not any(wish.names(entry) for entry in after),
        "note": None if wish.state == "present" else _missed(wish, before),
        "quarantine": after,
        "diff": {"before": _shown(before), "after": _shown(after)},
    }


def _missed(wish: Wish, entries: Iterable[Entry]) -> str | None:
    """That there was nothing to order, and what the name may have meant."""
    entries = list(entries)
    meant = [entry for entry in entries if wish.names(entry)]
    if meant:
        by_hand = [entry["name"] for entry in meant if entry["by"] == ADMINISTRATOR]
        if wish.state == "released" or not by_hand:
            return None
        return f"held by an administrator until it is released: {', '.join(by_hand)}"
    if wish.everything:
        return None
    name = wish.target[1]
    user = None if wish.mailbox is None else _names.owner(name)
    near = sorted({e["name"] for e in entries if user is not None and e["user"] == user})
    hint = f"; of the same user there is {', '.join(near)}" if near else ""
    return f"{name} is not in quarantine{hint}"


def _shown(entries: Iterable[Entry]) -> dict[str, str]:
    return {
        f"{entry['channel']}: {entry['scope']} {entry['name']}".rstrip(): entry["reason"]
        for entry in entries
    }
