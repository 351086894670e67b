# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What is held on a delivery host, as notes: a file a store, written before the first change."""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass

from . import _alone, _files, _role
from ._errors import ReplicationError

NOTES_DIR = f"{_role.STATE_DIR}/mta"
HOLDING, HELD, RELEASING = "holding", "held", "releasing"
BY = ("switchover", "failover", "reseed", "administrator")
ADMINISTRATOR = "administrator"

_STORE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_DOMAIN = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9._-]*[A-Za-z0-9])?")
_TRANSPORT = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_-]*")


@dataclass(frozen=True)
class Hold:
    """A store's deliveries, and how far their hold or their release has come.

    `agents` are the mail server's services that handed the domains' mail over before, `by` (one
    of BY) is whose hold it is. A note that does not say so is an administrator's.
    """

    store: str
    driver: str
    domains: tuple[str, ...] = ()
    transports: tuple[str, ...] = ()
    agents: tuple[str, ...] = ()
    phase: str = HOLDING
    since: str = ""
    by: str = ADMINISTRATOR

    def same(self, other: Hold) -> bool:
        """Whether both mean the same mail."""
        return (self.driver, self.domains, self.transports) == (
            other.driver,
            other.domains,
            other.transports,
        )


def wish(
    store: str,
    driver: str,
    domains: Sequence[str],
    transports: Sequence[str],
    by: str = ADMINISTRATOR,
) -> Hold:
    """What is to be held, and who asks; refuses names that a mail server's files can't hold."""
    for kind, pattern, names in (
        ("store", _STORE, (store,)),
        ("domain", _DOMAIN, domains),
        ("transport", _TRANSPORT, transports),
    ):
        for name in names:
            if not pattern.fullmatch(name):
                raise ReplicationError(f"{name!r} is no name of a {kind}: correct it")
    return Hold(
        store,
        driver,
        tuple(sorted({domain.lower() for domain in domains})),
        tuple(sorted(set(transports))),
        by=by,
    )


def turn(seconds: float) -> contextlib.AbstractContextManager[None]:
    """The turn of who changes what is held here: two stores' holds stand in the same files."""
    os.makedirs(NOTES_DIR, mode=0o755, exist_ok=True)
    busy = "another hold or release is under way on this host: wait for it, and run it again"
    return _alone.alone(NOTES_DIR, busy, seconds)


def _path(store: str) -> str:
    return os.path.join(NOTES_DIR, f"{store}.json")


def noted(driver: str) -> list[Hold]:
    """Every hold on this host, in the order of the stores."""
    try:
        names = sorted(os.listdir(NOTES_DIR))
    except FileNotFoundError:
        return []
    paths = [os.path.join(NOTES_DIR, name) for name in names if name.endswith(".json")]
    found = [_load(path) for path in paths]
    for hold in found:
        if hold.driver != driver:
            raise ReplicationError(
                f"store {hold.store} is held in {hold.driver} on this host, not in {driver}: "
                "release it first, or correct cyrus_mta_driver"
            )
    return found


def _load(path: str) -> Hold:
    try:
        values = json.loads(_files.read(path))
        for key in ("domains", "transports", "agents"):
            values[key] = tuple(values[key])
        if values.setdefault("by", ADMINISTRATOR) not in BY:
            raise ValueError("it does not say who holds the store")
        return Hold(**values)
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise ReplicationError(
            f"{path} can't be read ({error}): restore it, or remove it and release the store"
        ) from error


def note(hold: Hold) -> None:
    try:
        os.makedirs(NOTES_DIR, mode=0o755, exist_ok=True)
        text = json.dumps(asdict(hold), sort_keys=True) + "\n"
        _files.write(_path(hold.store), text, 0o644)
    except OSError as error:
        raise ReplicationError(f"{_path(hold.store)} can't be written: {error.strerror}") from error


def forget(store: str) -> None:
    with contextlib.suppress(FileNotFoundError):
        os.unlink(_path(store))
        _files.sync_directory(NOTES_DIR)
