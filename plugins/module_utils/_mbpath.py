# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Where the files of a mailbox lie, and those of the user whose inbox it is, as mbpath tells."""

from __future__ import annotations

import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass

from . import _names
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._install import Install

# From here on names are taken for UTF-8 unless it is told otherwise.
_UTF8_SINCE = (3, 5)


@dataclass(frozen=True)
class Places:
    """Folders by kind, of the mailbox itself. `user` is a folder, or up to 3.4 what the user's
    files begin with, and `sieve` the folder of the scripts."""

    folders: dict[str, str]
    user: str
    sieve: str

    def files(self) -> Iterator[tuple[str, str]]:
        """Each file of the mailbox, and by what name it is told from the others."""
        seen = set()
        for kind, folder in self.folders.items():
            # Most often all kinds are in one.
            if folder not in seen:
                seen.add(folder)
                yield from _in_folder(folder, kind)

    def files_of_user(self) -> Iterator[tuple[str, str]]:
        """Each file of the user beside the mailboxes."""
        yield from _in_folder(self.user, "user")
        for path in sorted(glob.glob(glob.escape(self.user) + ".*")):
            yield path, os.path.join("user", os.path.basename(path))
        yield from _in_folder(self.sieve, "sieve")


def _in_folder(folder: str, kind: str) -> Iterator[tuple[str, str]]:
    # Folders in it are other mailboxes.
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for name in names:
        path = os.path.join(folder, name)
        if os.path.islink(path) or os.path.isfile(path):
            yield path, os.path.join(kind, name)


def of(install: Install, mailbox: str) -> Places:
    """Of a mailbox by its internal name."""
    delimiter = "/" if switch(install.setting("unixhierarchysep", "yes")) else "."
    domains = install.setting("virtdomains", "off").lower()
    virtual = domains == "userid" or switch(domains)
    options = ["-a", "-7"] if install.version >= _UTF8_SINCE else ["-a"]
    name = _names.external(mailbox, delimiter, virtual)
    told = dict(
        line.split(": ", 1)
        for line in install.run("mbpath", *options, "--", name).stdout.splitlines()
        if ": " in line
    )
    try:
        folders = {kind.lower(): told[kind] for kind in ("Data", "Meta", "Archive")}
        return Places(folders, told["User"], told["Sieve"])
    except KeyError:
        raise ReplicationError(
            f"Cyrus does not tell where the mailbox {mailbox} lies: look with cyrus mbpath"
        ) from None
