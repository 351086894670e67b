# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What this host has of its master, as far as a replica can tell by itself.

The master stamps each heartbeat with its own time; replication brings the stamp over as it is.
"""

from __future__ import annotations

import json
import os
from typing import Any

from . import _endpoints, _files, _heartbeat, _role
from ._errors import ReplicationError
from ._model import Message
from ._session import Session
from ._state import timestamp


def heartbeat() -> dict[str, Any] | None:
    """The newest heartbeat of this host's own channel that has come here, by the clock of the
    master that wrote it: those of others may come before the channel has brought all there is."""
    record = _role.read()
    if record is None or record.role != "replica":
        return None
    store = _endpoints.read_store()
    channel = store.first_channel(record.host, record.master)
    session = Session(_endpoints.local(record.host))
    try:
        stamps = []
        for mailbox in session.full_mailboxes([_heartbeat.mailbox_of(channel)]):
            stamps += [Message.parse(line).last_updated for line in mailbox.records]
    finally:
        session.close()
    if not stamps:
        raise ReplicationError("no heartbeat has ever come here: look at the channel's history")
    return {"written": max(stamps), "at": timestamp(max(stamps))}


def last_parity() -> dict[str, Any] | None:
    """The last comparison of this host with its master that was noted here."""
    record = _role.read()
    if record is None or record.role != "replica":
        return None
    channel = _endpoints.read_store().channels()[record.host]
    path = os.path.join(_role.PARITY_DIR, f"{channel}.json")
    if not os.path.exists(path):
        return None
    try:
        found: dict[str, Any] = json.loads(_files.read(path))
        return {key: found[key] for key in ("in_sync", "level", "started", "epoch")}
    except (ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{path} can't be read ({error}): run parity") from error
