# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Writes of a sync log that failed, as the journal tells: Cyrus says so in syslog and goes on.

The event is lost then (imap/sync_log.c), and nothing in the log shows it.
"""

from __future__ import annotations

import json
import pwd
import re
from typing import Any

from . import _command
from ._errors import ReplicationError
from ._install import USER

_SECONDS = 5
_MOST = 20000
# What cyrmaster says of a process of its own.
_DEATH = " signaled to death by "


def failed_log_writes(
    cursor: str | None, channel: str, deaths: bool = False
) -> tuple[list[str], str | None]:
    """What failed for a channel since `cursor`, one sentence each, and the cursor to go on from.

    With `deaths` also that one of Cyrus's processes was killed, which may have stored a change
    and not logged it.

    The cursor is the journal's own. None reads all that there is, and comes back as None where
    Cyrus has never had an error. Keep it over restarts, after the sentences have been noted.
    """
    # By the user, not by the unit: tools that are run by hand log events as well.
    command = ["journalctl", "--quiet", "--no-pager", "--all", "--output=json"]
    command += ["--output-fields=MESSAGE", "--priority=err", f"--lines={_MOST}"]
    command.append(f"_UID={_uid()}")
    if cursor is not None:
        command.append(f"--after-cursor={cursor}")
    done = _command.run(command, timeout=_SECONDS)
    if done.rc != 0:
        raise ReplicationError(f"the journal can't be read: {done.stderr.strip()}")
    return parse(done.stdout, cursor, channel, deaths)


def parse(
    shown: str, cursor: str | None, channel: str, deaths: bool = False
) -> tuple[list[str], str | None]:
    """The same from journalctl's output, one JSON object a line."""
    # Whatever Cyrus could not do to the log; log-run is the client's.
    log = re.compile(rf"/sync/{re.escape(channel)}/log(?![\w-])")
    found: dict[str, None] = {}
    lines = shown.splitlines()
    for line in lines:
        try:
            entry = json.loads(line)
            cursor, message = entry["__CURSOR"], _text(entry.get("MESSAGE"))
        except (ValueError, TypeError, KeyError) as error:
            raise ReplicationError(f"the journal can't be understood: {error}") from error
        if log.search(message):
            found[f"Cyrus lost an event ({message}): compare all with parity"] = None
        elif deaths and _DEATH in message:
            found[f"Cyrus may have lost an event ({message}): compare all with parity"] = None
    if len(lines) >= _MOST:
        found[
            f"the journal has more than {_MOST} errors since the last look, and a lost event may "
            "be among them: compare all with parity"
        ] = None
    return list(found), cursor


def _text(message: Any) -> str:
    # What is no UTF-8 comes as a list of bytes.
    if isinstance(message, list):
        return bytes(message).decode("utf-8", "replace")
    return str(message)


def _uid() -> int:
    try:
        return pwd.getpwnam(USER).pw_uid
    except KeyError:
        raise ReplicationError(f"there is no user {USER}: install Cyrus") from None
