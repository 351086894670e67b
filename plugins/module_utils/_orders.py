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

from . import _channel, _control, _names, _steer
from ._errors import ReplicationError
from ._install import Install
from ._quarantine import ADMINISTRATOR

Entry = Mapping[str, Any]

_ORDERS = {"retried": "retry", "released": "release"}
_EXAMPLES = {
    "mailbox": "its internal name, such as user.anna.Sent",
    "user": "a userid, such as anna",
}


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
    """What became of one order. `answered` is false where the replicator could not be asked, null
    where it was not given, as in check mode; `released`: it replicates now, null where that is not
    known. `reason` and `advice` say what stands in the way."""

    channel: str
    scope: str
    name: str
    answered: bool | None = None
    released: bool | None = None
    reason: str | None = None
    advice: str | None = None


@dataclass(frozen=True)
class Step:
    """An order to the replicator of a channel."""

    channel: str
    order: dict[str, str]

    @property
    def about(self) -> tuple[str, str, str]:
        """Channel, scope and name."""
        return self.channel, self.order["scope"], self.order["name"]


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
    raise ReplicationError(f"this host has no {scope} {name}: give {_EXAMPLES[scope]}")


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
    try:
        said = _control.ask(step.channel, step.order, timeout)
    except _control.NotRunningError:
        return Outcome(
            *step.about,
            answered=False,
            reason=f"its replicator is not running: {_steer.remedy(step.channel)}",
        )
    except ReplicationError as error:
        return Outcome(*step.about, answered=False, reason=str(error))
    released = said.get("released") is True
    return Outcome(*step.about, True, released, said.get("reason"), said.get("advice"))


def foresee(step: Step) -> Outcome:
    """An order that is not given."""
    return Outcome(*step.about)


def failures(state: str, outcomes: Iterable[Outcome]) -> list[str]:
    """What keeps a state from being true, a sentence each; pure. To have tried is enough for the
    state retried."""
    return [
        " ".join(filter(None, (f"{o.name or o.scope} ({o.channel}): {o.reason}.", o.advice)))
        for o in outcomes
        if o.answered is False or (o.answered and state == "released" and not o.released)
    ]


def told(
    wish: Wish, before: list[dict[str, Any]], after: list[dict[str, Any]], outcomes: list[Outcome]
) -> dict[str, Any]:
    """What the module quarantine returns; pure. An order that was not given is taken for a
    change."""
    changed = any(
        o.answered is None or (o.answered if wish.state == "present" else o.released)
        for o in outcomes
    )
    foreseen = {_what(asdict(o)): _foreseen(wish) for o in outcomes if o.answered is None}
    return {
        "changed": changed,
        "results": [asdict(outcome) for outcome in outcomes],
        "released": not any(wish.names(entry) for entry in after),
        "note": None if wish.state == "present" else _missed(wish, before),
        "quarantine": after,
        "diff": {"before": _shown(before), "after": {**_shown(after), **foreseen}},
    }


def _foreseen(wish: Wish) -> str:
    if wish.state == "present":
        return wish.reason
    return "would be tried now, and released where it replicates"


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
    scope, name = wish.target
    user = None if wish.mailbox is None else _names.owner(name)
    near = sorted({e["name"] for e in entries if user is not None and e["user"] == user})
    hint = f"; of the same user there is {', '.join(near)}" if near else ""
    if not near and name.startswith(("user/", "user.") if scope == "user" else "user/"):
        hint = f": give {_EXAMPLES[scope]}"
    return f"{name} is not in quarantine{hint}"


def _shown(entries: Iterable[Entry]) -> dict[str, str]:
    return {_what(entry): entry["reason"] for entry in entries}


def _what(entry: Entry) -> str:
    return f"{entry['channel']}: {entry['scope']} {entry['name']}".rstrip()
