# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The command `cyrus-replication`: what runs on a host outside Ansible."""

from __future__ import annotations

import argparse
import os
import re
import sys
from collections.abc import Sequence
from typing import NoReturn

from . import _doubt, _posture, _stage
from ._errors import ReplicationError
from ._state import timestamp

VERSION = "0.1.0"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        self.exit(os.EX_USAGE, f"{self.prog}: {message}\n")


def _arguments() -> argparse.ArgumentParser:
    parser = _Parser(prog="cyrus-replication", description="Replication of Cyrus IMAP.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    replicator = commands.add_parser("replicator", help="replicate a channel, as a service")
    replicator.add_argument("channel", help="the channel's name, as in sync_log_channels")
    guard = commands.add_parser("guard", help="keep this host from being a second master")
    guard.add_argument(
        "moment",
        choices=("run", "started", "ended"),
        help="run as a service; note what Cyrus does",
    )
    address = commands.add_parser("address", help="have the master's addresses, or not")
    address.add_argument("direction", choices=("up", "down"))
    commands.add_parser("backup", help="make the backup that was asked for, as a service")
    return parser


def _replicate(channel: str) -> int:
    if not re.fullmatch("[a-z0-9]+", channel):
        raise ReplicationError(
            f"{channel!r} is no channel: name one in lower-case letters and digits"
        )
    # Only here: the guard is not held up by what it does not need.
    from . import _replicator

    return _replicator.run(channel)


def _guard(moment: str) -> int:
    if moment == "run":
        from . import _guard as service

        return service.run()
    now = timestamp()
    if moment == "started":
        try:
            _doubt.started(now)
        except ReplicationError as error:
            # No reason for Cyrus not to start.
            sys.stderr.write(f"cyrus-replication: {error}\n")
        _stage.complete()
        _posture.at_start()
    else:
        _doubt.ended(os.environ.get("SERVICE_RESULT", ""), now)
    return 0


def _have_addresses(direction: str) -> int:
    from . import _address

    for done in _address.up() if direction == "up" else _address.down():
        sys.stdout.write(f"{done}\n")
    return 0


def _back_up() -> int:
    from . import _backup_run

    return _backup_run.run()


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status. An error is one sentence on stderr."""
    given = _arguments().parse_args(arguments)
    try:
        if given.command == "replicator":
            return _replicate(given.channel)
        if given.command == "address":
            return _have_addresses(given.direction)
        if given.command == "backup":
            return _back_up()
        return _guard(given.moment)
    except ReplicationError as error:
        sys.stderr.write(f"cyrus-replication: {error}\n")
        return 1
