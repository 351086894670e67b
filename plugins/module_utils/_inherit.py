# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Events that have to be in a channel's log before it goes on: what another one keeps in quarantine
was not on that one's replica, so it is not in a copy that was made of it.
"""

from __future__ import annotations

from . import _endpoints, _events, _quarantine, _role, _seed
from ._install import Install
from ._quarantine import Entry


def everything(channel: str) -> int:
    """Log all that there is; how many events."""
    store, record = _endpoints.read_store(), _role.known()
    return _seed.seed(Install.discover(), store, record.master, [channel])


def quarantine(channel: str, other: str) -> int:
    """Log what another channel keeps in quarantine; how many events."""
    found = [line for entry in _quarantine.load(other) for line in lines(entry)]
    _seed.log(Install.discover(), channel, found)
    return len(found)


def lines(entry: Entry) -> list[str]:
    """The events of an entry, and one of its own: an administrator's need not have any. Pure."""
    kind = {"mailbox": "MAILBOX", "quota": "QUOTA"}.get(entry.scope, "USER")
    own = [f"{kind} {_events.quote(entry.name)}"] if entry.name else []
    return list(dict.fromkeys([*own, *entry.events]))
