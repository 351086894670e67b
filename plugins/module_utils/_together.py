# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Several questions at once, each given the same time, whatever they hang in."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from typing import TypeVar

T = TypeVar("T")

# What keeps to its own limit has ended by then.
_GRACE = 0.2


def ask(question: Callable[[str], T], names: Iterable[str], seconds: float) -> dict[str, T]:
    """The answers that have come in time, by name."""
    found: dict[str, T] = {}

    def note(name: str) -> None:
        found[name] = question(name)

    # A name server that does not answer can't be told to hurry: its thread is left behind.
    threads = [threading.Thread(target=note, args=(name,), daemon=True) for name in names]
    end = time.monotonic() + seconds + _GRACE
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, end - time.monotonic()))
    return dict(found)
