# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store on three real hosts, a fourth one to spare, and mail that comes in."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from tests.lab import mail

from . import lab
from .ledger import Ledger
from .load import LmtpLoad, at

MASTER, REPLICA, THIRD, SPARE = "imap1", "imap2", "imap3", "imap4"
FIRST = (MASTER, REPLICA, THIRD, "mx1")
USERS = 8
STATE = "/var/lib/cyrus-replication"
SPOOL = "/var/spool/cyrus/mail"


def up(*hosts: str) -> None:
    lab.lab("up", "--hosts", ",".join(hosts))
    lab.inventory.cache_clear()


def setup() -> None:
    run = lab.playbook("setup")
    assert run.rc == 0, run.output


def users() -> list[str]:
    return mail.generated(USERS)


@contextmanager
def delivering(master: str = MASTER) -> Iterator[Ledger]:
    """Mail that comes in meanwhile; in the end each message is on every host of the store once."""
    ledger = Ledger()
    with LmtpLoad(ledger, users(), at(master), 4):
        yield ledger
    assert ledger.accepted(), "no mail came in"
    for host in lab.hosts():
        ledger.check_soon(host, 120).assert_exactly_once()
