# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A new channel begins with everything: each user and shared mailbox is logged to it once.

Rolling replication carries what is logged, and what was there before the channel was is not. The
lines are those that Cyrus writes itself (imap/sync_log.c), so the replicator works them off like
any other event and what waits can be seen. The heartbeat by which its replica will be judged is not
among them: it comes when all of this has come.
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Collection, Iterable, Iterator, Sequence

from . import _events, _heartbeat, _names
from ._install import USER, Install
from ._store import Store
from ._synclog import Owner


def lines(mailboxes: Iterable[str]) -> Iterator[str]:
    """One line for each user, one for each shared mailbox."""
    users = set()
    for mailbox in mailboxes:
        user = _names.owner(mailbox)
        if user is None:
            yield f"MAILBOX {_events.quote(mailbox)}"
        elif user not in users:
            users.add(user)
            yield f"USER {_events.quote(user)}"


def seed(install: Install, store: Store, master: str, channels: Collection[str]) -> int:
    """Log everything that is there to channels that are new; how many events there are."""
    if not channels:
        return 0
    everything = list(lines(mailbox.name for mailbox in install.mailboxes()))
    for name, channel in store.channels().items():
        if channel in channels:
            heartbeat = _heartbeat.mailbox_of(store.first_channel(name, master))
            log(install, channel, [line for line in everything if line != f"MAILBOX {heartbeat}"])
    return len(everything)


def log(install: Install, channel: str, events: Sequence[str]) -> None:
    """Log events to a channel, whose log Cyrus need not have made yet."""
    if not events:
        return
    user = pwd.getpwnam(USER)
    directory = f"{install.config_directory}/sync"
    for path in (directory, f"{directory}/{channel}"):
        if not os.path.isdir(path):
            os.mkdir(path, 0o755)
            os.chown(path, user.pw_uid, user.pw_gid)
    Owner(install.config_directory, channel).append(events)
