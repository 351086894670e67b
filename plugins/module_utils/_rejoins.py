# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Which old masters are awaited: what became of their mail is settled only once they have rejoined.

Until then nothing may be forgotten of what was expunged, so cyr_expire rests.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from . import _files, _role
from ._errors import ReplicationError

PATH = f"{_role.STATE_DIR}/rejoin.json"
# One folder for each epoch that began without the old master.
FOLDER = f"{_role.STATE_DIR}/rejoin"


@dataclass(frozen=True)
class Rejoin:
    """A host that an epoch left behind, the file with the merge base, and since when."""

    epoch: int
    old: str
    base: str
    since: str


def folder(epoch: int) -> str:
    """What is kept for the rejoin of the master before this epoch."""
    return f"{FOLDER}/{epoch}"


def base_of(epoch: int) -> str:
    """Where the merge base is kept."""
    return f"{folder(epoch)}/base.gz"


def pending() -> bool:
    """Whether anybody is awaited; also where the file can't be read."""
    return os.path.exists(PATH)


def returned_of(epoch: int) -> str:
    """Where it is kept what the master before this epoch had, once that is brought back."""
    return f"{folder(epoch)}/returned.gz"


def read() -> list[Rejoin]:
    """Who is awaited, in the order of the epochs."""
    try:
        text = _files.read(PATH)
        return [Rejoin(**entry) for entry in json.loads(text)] if text else []
    except (OSError, ValueError, TypeError) as error:
        raise ReplicationError(f"{PATH} can't be read ({error}): restore it") from error


def awaited(epoch: int) -> list[str]:
    """The hosts that an epoch left behind and that are not back."""
    return [entry.old for entry in read() if entry.epoch == epoch]


def add(epoch: int, hosts: Iterable[str], since: str) -> None:
    """Await hosts that an epoch left behind; durable on return."""
    found = read()
    known = {entry.old for entry in found if entry.epoch == epoch}
    base = base_of(epoch)
    _save([*found, *(Rejoin(epoch, host, base, since) for host in hosts if host not in known)])


def remove(epoch: int, old: str) -> None:
    """This host has rejoined, or never will; durable on return."""
    _save([entry for entry in read() if (entry.epoch, entry.old) != (epoch, old)])


def _save(entries: list[Rejoin]) -> None:
    try:
        if entries:
            ordered = sorted(entries, key=lambda entry: (entry.epoch, entry.old))
            text = json.dumps([asdict(entry) for entry in ordered], sort_keys=True) + "\n"
            _files.write(PATH, text, 0o644)
        else:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(PATH)
                _files.sync_directory(os.path.dirname(PATH))
    except OSError as error:
        raise ReplicationError(
            f"{PATH} can't be written ({error.strerror}): make room or restore its folder"
        ) from error
