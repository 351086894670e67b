# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a comparison can be limited to, because all else was equal before and is as it was. Pure."""

from __future__ import annotations

from dataclasses import dataclass

from . import _names


@dataclass(frozen=True)
class Touched:
    """Whose state was changed; `server` is whether annotations of the server were."""

    users: frozenset[str] = frozenset()
    shared: frozenset[str] = frozenset()
    quotas: frozenset[str] = frozenset()
    server: bool = False

    def of(self, mine: frozenset[str], copy: frozenset[str]) -> frozenset[str]:
        """The mailboxes that this is about, and all of whoever has one on one side only."""
        lone = mine ^ copy
        users = self.users | {_names.owner(name) for name in lone}
        shared = self.shared | lone
        return frozenset(
            name
            for name in mine | copy
            if (name in shared if (user := _names.owner(name)) is None else user in users)
        )
