# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table of words, as lines."""

from __future__ import annotations

# How a table says whether a replica is in sync.
IN_SYNC = {True: "yes", False: "NO", None: "unknown"}


def table(rows: list[list[str]]) -> list[str]:
    """Columns as wide as their longest word; the first row is the heading."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return [
        "  ".join(word.ljust(width) for word, width in zip(row, widths)).rstrip() for row in rows
    ]
