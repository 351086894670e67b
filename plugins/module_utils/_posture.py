# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What this host's files have to be now, by its record, its fence and its clearance.

Whatever goes wrong here, the host does not serve.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from dataclasses import dataclass

from . import _clearance, _config, _desired, _endpoints, _fence, _files, _role
from ._errors import ReplicationError
from ._fence import Fence
from ._install import Install
from ._role import Record

# Cyrus shows the first line to its clients.
NOTICE = "This server is closed for the moment, please connect again soon\n"


@dataclass(frozen=True)
class Posture:
    """The role that imapd.conf and the links are for, and whether clients are served."""

    role: str
    serving: bool


def wanted(record: Record, fence: Fence | None, cleared: bool) -> Posture:
    """Pure: only a master that is cleared and not fenced serves."""
    serving = record.role == "master" and cleared and fence is None
    return Posture(record.role, serving)


def current() -> tuple[Record, Posture]:
    """This host's record, and what follows from it."""
    record = _role.read()
    if record is None:
        raise ReplicationError(
            f"this host is set up and {_role.RECORD} is missing: restore it, or run setup"
        )
    return record, wanted(record, _fence.read(), _clearance.valid(record.epoch))


def configuration(proven: Sequence[str] = (), chains: bool = True) -> _config.Configuration:
    """The host's files as they have to be; new channels begin with everything but those proven.
    Without `chains` every replica follows the master itself."""
    record, posture = current()
    desired = _desired.read()
    store = _endpoints.read_store()
    return _config.Configuration(
        _config.Request(
            store=store if chains else store.without_chains(),
            host=record.host,
            role=posture.role,
            master=record.master,
            password=None,
            settings=desired.settings,
            services=desired.services,
            serving=posture.serving or posture.role != "master",
            proven=proven,
        )
    )


def apply(proven: Sequence[str] = (), chains: bool = True) -> list[str]:
    """Write what differs; returns the files that were changed. Cyrus has not read them yet."""
    _record, posture = current()
    rendered = configuration(proven, chains)
    if posture.role == "master" and not posture.serving:
        _put_notice()
    if rendered.differs():
        rendered.validate()
    outcome = rendered.apply(check=False, backup=False)
    if posture.serving or posture.role != "master":
        _remove_notice()
    return [*outcome.changed_files, *outcome.removed_files]


def at_start() -> None:
    """Before Cyrus reads its files: a host that may not serve has no services to start."""
    if os.path.exists(_desired.PATH) or os.path.exists(_role.RECORD):
        apply()


def _notice_path() -> str:
    return os.path.join(Install.discover().config_directory, "msg", "shutdown")


def _put_notice() -> None:
    path = _notice_path()
    # An administrator's own notice does as well.
    if not os.path.exists(path):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        _files.write(path, NOTICE, 0o644)


def _remove_notice() -> None:
    path = _notice_path()
    if _files.read(path) == NOTICE:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
