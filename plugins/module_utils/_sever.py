# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Connections to a machine that does not answer any more: no reset will ever come from it."""

from __future__ import annotations

from collections.abc import Iterable

from . import _command


def sever(addresses: Iterable[str]) -> None:
    """Break what is open to these addresses."""
    for address in addresses:
        _command.run(["ss", "-K", "-H", "-tn", "dst", address], timeout=10)
