# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A superseded master's own copy of some mailboxes dropped, so that the new master sends its own.

Cyrus would put two histories of one mailbox together in ways that lose mail, so those that differ
go as a whole, after they were set aside. Nothing of it is logged for replication.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Collection, Iterable
from contextlib import closing
from dataclasses import dataclass

from . import _aside, _endpoints, _fencing, _names, _role
from ._aside import Aside
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._install import Install, MailboxEntry
from ._points import reach
from ._session import Session, quoted

_SECONDS = 600.0
_NAMED = 10


@dataclass(frozen=True)
class Reset:
    """The mailboxes that were there to drop, where they are aside, and whether anything changed."""

    mailboxes: list[str]
    where: list[str]
    changed: bool


def reset(
    epoch: int, users: Collection[str], shared: bool, whole: bool, check: bool = False
) -> Reset:
    """Drop all mailboxes of some users, the shared ones too where asked, and any heartbeat's;
    `whole` where all of it is saved elsewhere."""
    install = Install.discover()
    refuse(_role.read(), epoch, install)
    wanted = Aside(epoch, tuple(sorted(users)), shared, whole=whole)
    begun = _aside.read(epoch)
    if begun is not None and begun.complete:
        refuse_others(begun, wanted)
        wanted = begun
    there = _there(install, wanted)
    _fencing.refuse_writers()
    if there and not check:
        if not wanted.complete:
            wanted = _aside.make(install, wanted)
        reach("secured")
        _drop(install, wanted)
    left = [] if check else _clean(install, wanted)
    names = [box.name for box in there]
    return Reset(names, _aside.places(install, epoch), bool(there or left))


def prove(epoch: int, check: bool = False) -> Reset:
    """Note that this host was shown to be equal to its master after it had dropped things."""
    install = Install.discover()
    _refuse_others_than_replicas()
    aside = _aside.read(epoch)
    unproven = aside is not None and not aside.proven
    if aside is not None and unproven and not check:
        _aside.prove(aside)
    return Reset([], _aside.places(install, epoch), unproven)


def discard(epoch: int, check: bool = False) -> Reset:
    """Remove what was set aside in an epoch, once that is shown to be elsewhere."""
    install = Install.discover()
    _refuse_others_than_replicas()
    where = _aside.places(install, epoch)
    aside = _aside.read(epoch)
    if aside is not None and not aside.spare:
        raise ReplicationError(
            f"what was set aside in epoch {epoch} may be all there is of it ("
            + ("something could not be read" if not aside.whole else "nobody has compared since")
            + f"): look into {', '.join(where)}, and remove that by hand"
        )
    if not check:
        _aside.discard(install, epoch)
    return Reset([], where, bool(where or aside))


def _refuse_others_than_replicas() -> None:
    record = _role.read()
    if record is None or record.role != "replica":
        raise ReplicationError(
            "this host is no replica: what it has set aside may be all there is of it"
        )


def refuse(record: _role.Record | None, epoch: int, install: Install) -> None:
    """Why nothing may be dropped on this host."""
    if record is None or record.role != "fenced" or record.epoch != epoch:
        raise ReplicationError(
            f"{record.host if record else 'this host'} is not superseded in epoch {epoch}: nothing "
            "is dropped but from a host that serves nobody any more"
        )
    if switch(install.setting("sync_log", "no")):
        raise ReplicationError(
            f"{install.imapd_conf} has sync_log switched on, so what is dropped here would be "
            "dropped elsewhere: restart cyrus-guard.service, which restores it"
        )


def refuse_others(begun: Aside, wanted: Aside) -> None:
    """What was begun is ended as it was begun: from then on nobody can tell what else to drop."""
    others = sorted(set(wanted.users) - set(begun.users))
    if others or (wanted.shared and not begun.shared):
        more = ", ".join(others[:_NAMED]) or "shared mailboxes"
        raise ReplicationError(
            f"dropping was begun in epoch {begun.epoch} without {more}: give the same users again"
        )


def _there(install: Install, wanted: Aside) -> list[MailboxEntry]:
    found = (box for box in install.mailboxes() if wanted.means(box.name))
    return sorted(found, key=lambda box: box.name)


def _drop(install: Install, aside: Aside) -> None:
    there = _there(install, aside)
    _apply(_undelete(box) for box in there if _names.is_deleted(box.name))
    for user in sorted({_names.owner(box.name) or "" for box in there} - {""}):
        # It ends with 0 whatever happens; what it leaves is looked for.
        install.run("sync_reset", "-f", user, timeout=_SECONDS)
        reach("dropped")
    # Shared mailboxes, and those of a user who has no INBOX; the inner ones first.
    left = reversed(_there(install, aside))
    _apply(f"UNMAILBOX {quoted(box.name)}" for box in left)
    remaining = [box.name for box in _there(install, aside)]
    if remaining:
        raise ReplicationError(
            f"Cyrus does not drop {', '.join(remaining[:_NAMED])}: look into its log here, and try "
            "again"
        )


def _undelete(box: MailboxEntry) -> str:
    """Up to 3.8 Cyrus forgets to forget the uniqueid of a mailbox that was deleted twice, and then
    refuses it under the name that the new master has for it."""
    name = quoted(box.name.replace("DELETED.", "", 1))
    return (
        f"RENAME %(OLDMBOXNAME {quoted(box.name)} NEWMBOXNAME {name} "
        f"PARTITION {quoted(box.partition)})"
    )


def _apply(orders: Iterable[str]) -> None:
    """What is refused shows in what is left."""
    with closing(Session(_endpoints.local("this host"))) as session:
        for order in orders:
            session.command(f"APPLY {order}")


def _clean(install: Install, aside: Aside) -> list[str]:
    """Files that Cyrus has left behind, as of a run that was cut off in between."""
    found = list(_aside.remains(install, aside))
    for path in found:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return found
