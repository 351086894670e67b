# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a replica had when a backup was made of it, kept in the backup, and held against what a host
has on which that was restored.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

from . import _endpoints, _role, _state, _survey
from ._install import read_settings
from ._session import Endpoint, Session
from ._survey import Box, Holding

FOLDER = f"{_role.STATE_DIR}/backup"
PATH = f"{FOLDER}/content.gz"
_NAMED = 10


def keep(name: str) -> list[str]:
    """Note everything that this host has now; what could not be read is returned."""
    unknown: list[str] = []

    def noted(holdings: Iterator[Holding]) -> Iterator[Holding]:
        for holding in holdings:
            unknown.extend(holding.unknown)
            yield holding

    with closing(Session(_own())) as session:
        holdings = noted(_survey.survey(session, session.listing()))
        _survey.write(PATH, {"name": name, "since": _state.timestamp()}, holdings)
    return unknown


def _own() -> Endpoint:
    record = _role.known()
    return _endpoints.own(_endpoints.read_store(), record.host, read_settings("/etc/imapd.conf"))


def compare(content: str) -> list[str]:
    """In what this host differs from the content of a backup, a sentence each; what can't be read
    is a difference."""
    _header, kept = _survey.read(content)
    found: list[str] = []
    with closing(Session(_own())) as session:
        now = _survey.survey(session, session.listing())
        for one, two in _survey.side_by_side(kept, now):
            found += differences(one, two)
    return found


def differences(one: Holding | None, two: Holding | None) -> Iterator[str]:
    """In what an owner differs from what is in the backup; pure."""
    if one is None or two is None:
        holding, where = (two, "is not in the backup") if one is None else (one, "is missing")
        if holding is not None and (holding.owner or holding.boxes):
            yield f"{holding.owner or 'what is shared'} {where}"
        return
    yield from two.unknown
    who = one.owner or "what is shared"
    for uniqueid in sorted({*one.boxes, *two.boxes}):
        yield from _boxes(one.boxes.get(uniqueid), two.boxes.get(uniqueid))
    for what in ("deleted", "subscriptions", "seen", "scripts", "quotas", "annotations"):
        if getattr(one, what) != getattr(two, what):
            yield f"{what} of {who} differ"


def _boxes(one: Box | None, two: Box | None) -> Iterator[str]:
    if one is None or two is None:
        box = one or two
        if box is not None:
            yield f"{box.head.name} {'is not in the backup' if one is None else 'is missing'}"
    elif one.head != two.head:
        yield f"{two.head.name} differs"
    else:
        changed = [
            uid
            for uid in sorted({*one.messages, *two.messages})
            if one.messages.get(uid) != two.messages.get(uid)
        ]
        if changed:
            told = ", ".join(map(str, changed[:_NAMED]))
            more = f" and {len(changed) - _NAMED} more" if len(changed) > _NAMED else ""
            yield f"{two.head.name}: UID {told}{more} differ"
