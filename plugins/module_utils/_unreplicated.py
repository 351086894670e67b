# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a master uses and replication does not carry, and what a change of master means for each.

Only told here: most is rebuilt by Cyrus or its tools, and what has to be copied is the site's own.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass

from . import _accounts
from ._imapd_conf import switch
from ._install import Install

_DAV_MODULES = {"caldav", "carddav", "jmap", "webdav"}


@dataclass(frozen=True)
class Database:
    """`path` is the file, or where there is one for each user the folder, with `bytes` null.
    `accounts` are the logins in it, null where there are none to be known."""

    name: str
    path: str
    bytes: int | None
    advice: str
    accounts: list[str] | None = None


def in_use(install: Install) -> list[Database]:
    """Those that hold something here."""
    return [*_files(install), *_of_users(install)]


def _files(install: Install) -> Iterator[Database]:
    here = install.config_directory
    wanted = [
        (
            "user_deny",
            install.setting("userdeny_db_path", f"{here}/user_deny.db"),
            "who is locked out is not replicated: copy the file to the new master while Cyrus is "
            "stopped or fenced there",
        ),
        (
            "sasldb",
            install.setting("sasl_sasldb_path", "/etc/sasldb2"),
            "accounts are not replicated: keep the file equal on all hosts of the store",
        ),
    ]
    if switch(install.setting("duplicatesuppression", "yes")):
        wanted.append(
            (
                "deliver",
                install.setting("duplicate_db_path", f"{here}/deliver.db"),
                "begins anew: a message that is delivered twice is not noticed across the change, "
                "and a sender may get one more vacation answer",
            )
        )
    if switch(install.setting("statuscache", "no")):
        wanted.append(
            (
                "statuscache",
                install.setting("statuscache_db_path", f"{here}/statuscache.db"),
                "nothing to do: Cyrus fills it by itself, which costs time at first",
            )
        )
    for name, path, advice in wanted:
        if os.path.exists(path):
            size = os.stat(path).st_size
            if size:
                accounts = _accounts.names(path) if name == "sasldb" else None
                yield Database(name, path, size, advice, accounts)


def _of_users(install: Install) -> Iterator[Database]:
    users = f"{install.config_directory}/user"
    if switch(install.setting("conversations", "no")):
        yield Database(
            "conversations",
            users,
            None,
            "made by the replica from what it gets: ctl_conversationsdb -A on the new master tells "
            "whether they are whole, ctl_conversationsdb -R mends them",
        )
    modules = set(install.setting("httpmodules").lower().split()) & _DAV_MODULES
    if modules and os.path.exists(os.path.join(install.bin_dir, "httpd")):
        yield Database(
            "dav",
            users,
            None,
            "made from the calendars and address books, which are replicated: dav_reconstruct -a "
            "on the new master",
        )
    engine = install.setting("search_engine", "none").lower()
    if engine != "none":
        yield Database(
            "search", users, None, f"indexes of {engine}: squatter on the new master makes them"
        )
