# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Of which folders a copy of this host's Cyrus consists, and what in them is this host's own. Pure.

Copied is what replication carries, and what must go with it. What a running Cyrus makes for itself
(locks, sockets, logs, caches that would be stale) stays where it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ._aside import FOLDER as REJOIN_FOLDER
from ._imapd_conf import switch

# No mailbox can have these names, and they lie in the same file system as what they stand for.
NEW, FORMER = "reseed-new.", "reseed-former."
MARK = "reseed-source."
CONFIG = "config"

_KINDS = ("partition", "metapartition", "archivepartition")
# What is in the configuration directory and belongs to the mail; the rest is this host's own.
_KEPT = (
    *("mailboxes.db", "annotations.db", "quotas.db", "quota", "user", "domain"),
    *("user_deny.db", "caldav_alarm.sqlite3"),
)
_OWN = ("sync.", "stage.", "lost+found", NEW, FORMER, MARK, REJOIN_FOLDER)
# Stale on a host that got other mail, and made again.
STALE = ("statuscache.db",)
# A database that lies elsewhere would be left behind.
_ELSEWHERE = ("mboxlist_db_path", "annotation_db_path", "quota_db_path", "userdeny_db_path")


@dataclass(frozen=True)
class Tree:
    """A folder that is copied. `kept`: the entries in it that are; none means all but our own."""

    name: str
    path: str
    kept: tuple[str, ...] = ()

    def means(self, entry: str) -> bool:
        """Whether an entry of the folder is copied."""
        return entry in self.kept if self.kept else entry not in _OWN

    def own(self) -> tuple[str, ...]:
        """The entries that are not copied of a folder that is copied as a whole."""
        return () if self.kept else _OWN

    def filters(self) -> list[str]:
        """The same as filter rules of rsync."""
        if not self.kept:
            return [f"- /{entry}" for entry in self.own()]
        return [f"+ /{entry}" for entry in self.kept] + ["- /*"]

    @property
    def new(self) -> str:
        return os.path.join(self.path, NEW)

    @property
    def former(self) -> str:
        return os.path.join(self.path, FORMER)

    @property
    def mark(self) -> str:
        return os.path.join(self.path, MARK)


def trees(settings: Mapping[str, str]) -> list[Tree]:
    """The folders of a host by its imapd.conf, the configuration directory last."""
    found = [
        Tree(f"{kind}-{key[len(kind) + 1 :]}", path.rstrip("/"))
        for kind in _KINDS
        for key, path in sorted(settings.items())
        if key.startswith(f"{kind}-")
    ]
    if not switch(settings.get("sieveusehomedir", "no")):
        found.append(Tree("sieve", settings.get("sievedir", "/usr/sieve").rstrip("/")))
    found.append(Tree(CONFIG, settings["configdirectory"].rstrip("/"), _KEPT))
    return found


def troubles(settings: Mapping[str, str]) -> Iterator[str]:
    """Why a copy of these folders would not be all, a sentence each."""
    for option in _ELSEWHERE:
        if option in settings:
            yield f"{option} puts a database where reseed does not look: use method replicate"
    if switch(settings.get("sieveusehomedir", "no")):
        yield "sieveusehomedir keeps scripts where reseed does not look: use method replicate"
    found = trees(settings)
    for tree in found:
        for other in found:
            if tree is not other and _lies_in(tree.path, other):
                yield (
                    f"{tree.name} ({tree.path}) lies in {other.name} ({other.path}), so it would "
                    "be copied twice: use method replicate"
                )


def _lies_in(path: str, other: Tree) -> bool:
    if path == other.path:
        return True
    first = os.path.relpath(path, other.path).split("/", 1)[0]
    return first != ".." and other.means(first)
