# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The terms on which a host's guard lets it serve. Each guard tells its peers, who keep what they
heard last: when that host is gone, they alone can say whether it has fenced itself meanwhile."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from . import _files, _role
from ._errors import ReplicationError
from ._store import CONFIG_DIR

SETTINGS = f"{CONFIG_DIR}/guard.json"
HEARD = f"{_role.STATE_DIR}/guards.json"
ALONE = ("wait", "serve", "fence")


@dataclass(frozen=True)
class Terms:
    """What becomes of a master that has booted and hears nobody, one of ALONE; seconds after which
    it fences itself that sees none of its peers nor a delivery host; and those hosts' addresses."""

    alone: str
    lease: float
    delivery_hosts: tuple[str, ...]


def of(told: Mapping[str, Any]) -> Terms:
    """Terms from plain data; ValueError, KeyError or TypeError where that is not whole."""
    hosts = tuple(str(address) for address in told["delivery_hosts"])
    found = Terms(str(told["alone"]), float(told["lease"]), hosts)
    if found.alone not in ALONE:
        raise ValueError(f"alone is {found.alone!r}")
    return found


def own() -> tuple[str, Terms]:
    """This host's name and terms, as setup has written them."""
    try:
        loaded: Any = json.loads(_files.read(SETTINGS))
        return str(loaded["host"]), of(loaded)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{SETTINGS} can't be read ({error}): run setup") from error


def heard() -> dict[str, dict[str, Any]]:
    """What each peer's guard has told last, as plain data; nothing where that can't be read."""
    try:
        loaded: Any = json.loads(_files.read(HEARD) or "{}")
        return {str(name): asdict(of(told)) for name, told in loaded.items()}
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        return {}


def keep(told: Mapping[str, Terms]) -> None:
    """Note what peers tell now. What can't be written is not known, which is refused when it
    counts."""
    before = heard()
    after = {**before, **{name: asdict(terms) for name, terms in told.items()}}
    if json.dumps(after, sort_keys=True) != json.dumps(before, sort_keys=True):
        with contextlib.suppress(OSError):
            _files.write(HEARD, json.dumps(after, sort_keys=True) + "\n", 0o644)
