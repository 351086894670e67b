# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Sets of UIDs as IMAP writes them: ``1:4,9``."""

from __future__ import annotations

from collections.abc import Iterable

Ranges = list[tuple[int, int]]


def parse(text: str) -> Ranges:
    """Raises ValueError for what is no such set."""
    found = []
    for part in filter(None, text.split(",")):
        first, _colon, last = part.partition(":")
        low, high = sorted((int(first), int(last or first)))
        found.append((low, high))
    return found


def union(ranges: Iterable[tuple[int, int]]) -> Ranges:
    """In order, and as few as can be."""
    joined: Ranges = []
    for low, high in sorted(ranges):
        if joined and low <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined


def text_of(ranges: Iterable[tuple[int, int]]) -> str:
    return ",".join(f"{low}:{high}" if low < high else f"{low}" for low, high in union(ranges))


def text_of_uids(uids: Iterable[int]) -> str:
    return text_of((uid, uid) for uid in uids)
