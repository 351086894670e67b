# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Three versions of a set of things: what they were, and what has become of them on two sides."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypeVar

K = TypeVar("K")
V = TypeVar("V")


def three_way(
    base: Mapping[K, V], old: Mapping[K, V], new: Mapping[K, V]
) -> tuple[dict[K, V | None], list[K]]:
    """What only the old side changed, to be done on the new one (None: taken away); and what both
    changed, and differently."""
    changes: dict[K, V | None] = {}
    clashes: list[K] = []
    for key in {**base, **old, **new}:
        was, theirs, ours = base.get(key), old.get(key), new.get(key)
        if theirs in (was, ours):
            continue
        if ours == was:
            changes[key] = theirs
        else:
            clashes.append(key)
    return changes, clashes
