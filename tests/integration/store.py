# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store on the lab's hosts, as a test looks at it: its records, who serves, its files."""

from __future__ import annotations

import imaplib
import json
import time
from pathlib import Path

import dns.resolver

from tests.lab.plan import SERVICE

from . import lab
from .load import log_in

STORE = ("imap1", "imap2", "imap3")


def role(host: str) -> dict[str, object]:
    found: dict[str, object] = json.loads(
        lab.ssh(host, "cat /var/lib/cyrus-replication/role.json").stdout
    )
    return found


def serves(host: str) -> bool:
    """Whether a client can log in there and write."""
    try:
        session = log_in(lab.address(host), str(lab.var("lab_users")[0]), 5)
        try:
            # Cyrus deletes no two mailboxes of one name in one second.
            name = f"INBOX/serves{time.time_ns()}"
            return session.create(name)[0] == session.delete(name)[0] == "OK"
        finally:
            session.shutdown()
    except (OSError, imaplib.IMAP4.error):
        return False


def back_to(snapshot: str, master: str) -> None:
    """The hosts' disks are as they were, and the master of then serves."""
    lab.lab("snapshot", "restore", snapshot)
    lab.until(lambda: serves(master), 120, what=f"{master} serves")


def keep_up(master: str) -> bool:
    """Whether no replica is so far behind that another one would be the better master."""
    channels = lab.module(master, "channel_info")["channels"]
    return all(channel["lag"] is not None and channel["lag"] < 15 for channel in channels)


def plainly_joined(host: str, master: str) -> None:
    """A host that another one superseded is made its replica as it is, with nothing compared."""
    joined = lab.module(
        host,
        "role",
        store="store1",
        host=host,
        role="replica",
        master=master,
        epoch=role(master)["epoch"],
        configure=True,
        rejoin=True,
    )
    assert not joined.get("failed"), joined["msg"]


def the_name() -> str:
    """The address that clients are given for the store."""
    resolver = dns.resolver.Resolver(configure=False)
    resolver.nameservers = [lab.address("ns1")]
    return str(resolver.resolve(SERVICE, "A", lifetime=2)[0])


def in_sync(tmp_path: Path) -> bool:
    path = tmp_path / "parity.json"
    # In check mode it keeps no note of it, which is quicker.
    run = lab.playbook("parity", "--check", extra={"cyrus_parity_report": str(path)})
    assert run.rc == 0, run.output
    return all(report["in_sync"] is True for report in json.loads(path.read_text()))


def files(host: str) -> str:
    """Contents of all files but for what replicators write, heartbeats among it, and the empty
    dav.db that Cyrus makes for a user who has none when it is asked what he has."""
    return lab.ssh(
        host,
        "beats=$(for channel in imap1 imap2 imap3; do setpriv --reuid=cyrus --regid=mail"
        " --init-groups /usr/lib/cyrus/bin/mbpath cyrus-heartbeat-$channel; done 2>/dev/null"
        " | paste -sd '|');"
        "find /etc /var/lib/bind /var/spool/cyrus /var/lib/cyrus /var/lib/cyrus-replication"
        " -path /var/lib/cyrus-replication/channels -prune -o"
        " -type f ! -path '*/db/*' ! -path '*/db.backup*' ! -path '*/sync/*' ! -name '*.lock'"
        " ! -name audit.json ! -name dav.db -print0 2>/dev/null"
        ' | { [ -d /var/lib/cyrus ] && grep -zvE "^(${beats:-none})/" || cat; }'
        " | sort -z | xargs -0 sha256sum",
    ).stdout
