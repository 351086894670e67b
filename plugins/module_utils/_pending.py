# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!


"""What a failover and a rejoin have left on this host."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from . import _aside, _rejoins
from ._install import Install


def describe() -> dict[str, Any]:
    """The old masters that are awaited, and what was set aside here."""
    found = [_aside.read(epoch) for epoch in _aside.epochs()]
    install = Install.discover() if found else None
    return {
        "marks": [asdict(entry) for entry in _rejoins.read()],
        "asides": [
            {
                "epoch": aside.epoch,
                "complete": aside.complete,
                "users": list(aside.users),
                "shared": aside.shared,
                "proven": aside.proven,
                "spare": aside.spare,
                "where": _aside.places(install, aside.epoch),
            }
            for aside in found
            if aside is not None and install is not None
        ],
    }
