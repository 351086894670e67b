# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The clearance of a master: somebody asked its peers in this epoch, since the last boot.

It is kept where a reboot removes it. A master without one is not served.
"""

from __future__ import annotations

import contextlib
import json
import os

from . import _files
from ._errors import ReplicationError

PATH = "/run/cyrus-replication/cleared.json"


def grant(epoch: int) -> None:
    """The master of this epoch may serve."""
    try:
        os.makedirs(os.path.dirname(PATH), exist_ok=True)
        _files.write(PATH, json.dumps({"epoch": epoch}) + "\n", 0o644)
    except OSError as error:
        raise ReplicationError(f"{PATH} can't be written: {error.strerror}") from error


def valid(epoch: int) -> bool:
    """Whether the clearance is for this epoch; one that can't be read is none."""
    try:
        return bool(json.loads(_files.read(PATH)) == {"epoch": epoch})
    except (OSError, ValueError):
        return False


def withdraw() -> None:
    """Nobody may serve here until the peers were asked again."""
    with contextlib.suppress(FileNotFoundError):
        os.unlink(PATH)
