# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old mail goes, as its users want it, so that a long run does not drown in it."""

from __future__ import annotations

import imaplib
from collections.abc import Sequence

from tests.integration import lab
from tests.integration.load import log_in

from . import reader
from .journal import Journal

_SECONDS = 60.0


def expunge_before(since: float, host: str, users: Sequence[str], journal: Journal) -> None:
    """What was accepted before is expunged, and must not come back."""
    old = {one.ident for one in journal.ledger.accepted() if one.time < since}
    for user in users:
        session = log_in(lab.address(host), user, _SECONDS)
        try:
            for name in reader.mailboxes(session):
                _expunge(session, user, name, old, journal)
        finally:
            session.shutdown()


def _expunge(session: imaplib.IMAP4, user: str, name: str, old: set[str], journal: Journal) -> None:
    mine = {one.place.uid: one.ident for one in reader.look(session, user, name)}
    gone = {uid: ident for uid, ident in mine.items() if ident in old}
    if not gone:
        return
    for ident in gone.values():
        journal.asks_to_expunge(ident)
    uids = ",".join(map(str, gone))
    for command in (("STORE", uids, "+FLAGS.SILENT", "(\\Deleted)"), ("EXPUNGE", uids)):
        status, told = session.uid(*command)
        if status != "OK":
            raise imaplib.IMAP4.abort(f"{command[0]}: {told!r}")
    for ident in gone.values():
        journal.expunge(ident)
