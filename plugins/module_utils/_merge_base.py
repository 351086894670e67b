# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a new master has before its first write, kept as the base of the merge with the old one.

Everything is done in an order in which the same call again completes it: the base is kept as a
whole and never twice, the old master is noted as awaited, then the gap of numbers is left.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field, replace

from . import _alone, _cyrmaster, _endpoints, _gap, _posture, _rejoins, _survey
from ._errors import ReplicationError
from ._gap import Gap
from ._install import read_settings
from ._model import Mailbox
from ._points import reach
from ._role import Record, role_before
from ._session import Endpoint, Session
from ._state import timestamp
from ._survey import Counts, Holding

# A large mailbox that nobody has opened for long is read from a cold disk.
_ANSWER_SECONDS = 300.0


@dataclass(frozen=True)
class Order:
    """In which epoch of a store which master is left behind, and the gap to leave. `others` are not
    shown yet to have nothing that the new master lacks."""

    store: str
    epoch: int
    old: str
    gap: Gap
    others: tuple[str, ...] = ()

    @property
    def awaited(self) -> tuple[str, ...]:
        return self.old, *self.others


@dataclass
class Kept:
    """What the base holds, how many mailboxes were raised, and what was not possible."""

    path: str
    changed: bool
    counts: Counts = field(default_factory=Counts)
    heads: list[Mailbox] = field(default_factory=list)
    raised: int = 0
    unknown: list[str] = field(default_factory=list)
    left: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def note(self, holdings: Iterable[Holding]) -> Iterator[Holding]:
        """The same holdings; what is in them is noted on the way."""
        for holding in holdings:
            self.counts.add(holding)
            self.heads += [box.head for box in holding.boxes.values()]
            self.unknown += holding.unknown
            yield holding


def refuse(order: Order, record: Record) -> None:
    """Why this host keeps no base for this; pure."""
    if record.store != order.store:
        raise ReplicationError(
            f"{record.host} is in store {record.store}, not in {order.store}: name its store"
        )
    if (record.role, record.epoch) != ("master", order.epoch):
        raise ReplicationError(
            f"{record.host} is {record.role} in epoch {record.epoch}: a merge base is kept by the "
            f"master of epoch {order.epoch}"
        )
    if record.host in order.awaited:
        raise ReplicationError(f"{record.host} does not leave itself behind: name the old master")


def keep(order: Order, seconds: float, check: bool = False) -> Kept:
    """Keep the base, await the old master, and leave the gap."""
    started = time.monotonic()
    with _alone.changing(seconds):
        return _kept(order, started, seconds, check)


def _kept(order: Order, started: float, seconds: float, check: bool) -> Kept:
    record, posture = _posture.current()
    refuse(order, record)
    path = _rejoins.base_of(order.epoch)
    unnoted = set(order.awaited) - set(_rejoins.awaited(order.epoch))
    kept = Kept(path, changed=bool(unnoted) or not os.path.exists(path))
    with closing(Session(_own(record.host))) as session:
        if os.path.exists(path):
            _read(order, kept)
        elif posture.serving:
            raise ReplicationError(
                f"{record.host} serves clients, so what it has now is no merge base: fence it "
                "first, with the module fence"
            )
        else:
            _save(order, record.host, session, kept, check)
        reach("surveyed")
        if not check:
            _rejoins.add(order.epoch, order.awaited, timestamp())
            _rest(seconds)
        reach("awaited")
        raised = _gap.leave(session, kept.heads, order.gap, check)
    kept.raised, kept.left = raised.mailboxes, raised.left
    kept.changed = kept.changed or raised.mailboxes > 0
    kept.seconds = round(time.monotonic() - started, 3)
    return kept


def _own(host: str) -> Endpoint:
    settings = read_settings("/etc/imapd.conf")
    own = _endpoints.own(_endpoints.read_store(), host, settings)
    return replace(own, answer_timeout=_ANSWER_SECONDS)


def _read(order: Order, kept: Kept) -> None:
    header, holdings = _survey.read(kept.path)
    if (header.get("store"), header.get("old")) != (order.store, order.old):
        raise ReplicationError(
            f"{kept.path} is the merge base of {header.get('old')} in store "
            f"{header.get('store')}: name these"
        )
    for _holding in kept.note(holdings):
        pass


def _save(order: Order, host: str, session: Session, kept: Kept, check: bool) -> None:
    holdings = kept.note(_survey.survey(session, session.listing()))
    if check:
        for _holding in holdings:
            pass
        return
    header = {
        "store": order.store,
        "epoch": order.epoch,
        "host": host,
        "old": order.old,
        # What such a host has is no ancestor of what anybody else has.
        "superseded": role_before(order.epoch) == "fenced",
        "since": timestamp(),
    }
    os.makedirs(os.path.dirname(kept.path), mode=0o700, exist_ok=True)
    _survey.write(kept.path, header, holdings)


def end(epoch: int, old: str, seconds: float, check: bool = False) -> bool:
    """Await a host that this epoch left behind no longer; whether that changed anything."""
    with _alone.changing(seconds):
        awaited = old in _rejoins.awaited(epoch)
        if awaited and not check:
            _rejoins.remove(epoch, old)
        if not check:
            _rest(seconds)
    return awaited


def _rest(seconds: float) -> None:
    """cyr_expire is started only while nobody is awaited."""
    _posture.apply()
    _cyrmaster.update(time.monotonic() + seconds)
