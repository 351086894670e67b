# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Users, mail, and what stands around the store: `python -m tests.lab.site [--no-mail]`."""

from __future__ import annotations

import argparse
import sys
import time

from tests.integration import lab

from . import dns, mta
from .command import say
from .errors import LabError
from .imap import mailbox
from .logins import create_logins
from .mail import Made, Store, fill, the_store
from .plan import PROBE_USER, SERVICE


def _probe_user(store: Store) -> None:
    """Who gets the messages that show whether mail arrives."""
    create_logins(lab.hosts(), [PROBE_USER], str(lab.var("lab_user_password", store.master)))
    name = mailbox(f"user/{PROBE_USER}")
    with store.imap() as admin:
        if not admin.run('LIST ""', name):
            admin.run("CREATE", name)


def _name_the_store(store: Store) -> None:
    """Without a name server, the mail exchanger finds the store by its own list of hosts."""
    lab.ssh(
        mta.MTA,
        # Marked, so that the driver hosts_file takes the line for its own.
        f"grep -qw {SERVICE} /etc/hosts"
        f" || echo '{store.address} {SERVICE} # mailops.cyrus' >> /etc/hosts",
    )


def surround(store: Store) -> None:
    """Set up name server and mail exchanger, as far as the lab has them."""
    has_dns, has_mta = (lab.hosts(group) for group in ("lab_dns", "cyrus_mta"))
    if has_mta:
        _probe_user(store)
        mta.ensure()
    if has_dns:
        dns.ensure()
    elif has_mta:
        _name_the_store(store)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.site", description=__doc__)
    parser.add_argument("--no-mail", action="store_true", help="leave out the users and mail")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    started = time.monotonic()
    try:
        store = the_store()
        surround(store)
        made = Made() if args.no_mail else fill(store)
    except (LabError, AssertionError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    say(f"put into {store.master}: {made} ({made.messages / seconds:.0f} a second)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
