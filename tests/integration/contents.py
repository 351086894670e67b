# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All that a host has of some users, read over plain IMAP, to be held against what another has.

It judges the collection, so it uses nothing of it.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from typing import Any

from . import lab

# Runs on the host, which may take no clients: prints each mailbox with its messages.
_READ = r"""
import hashlib, imaplib, json, re, socket, sys
asked = json.load(sys.stdin)
imaplib._MAXLINE = 100_000_000

class Local(imaplib.IMAP4):
    def _create_socket(self, timeout=None):
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(60)
        connection.connect("/run/cyrus/private/imap")
        return connection

def must(answer):
    if answer[0] != "OK":
        raise SystemExit(f"IMAP: {answer}")
    return answer[1]

for user in asked["users"]:
    session = Local()
    secret = "\0".join((user, asked["admin"], asked["password"])).encode()
    must(session.authenticate("PLAIN", lambda _challenge: secret))
    for line in must(session.list('""', "*")):
        name = re.search(rb'"." (".*"|\S+)$', line).group(1).decode()
        if b"\\Noselect" in line or b"\\NonExistent" in line:
            continue
        count = int(must(session.select(name, readonly=True))[0])
        found = [session.response("UIDVALIDITY")[1][0].decode()]
        if count:
            for part in must(session.fetch("1:*", "(UID FLAGS INTERNALDATE BODY.PEEK[])")):
                if isinstance(part, tuple):
                    told = re.sub(r"\\Recent ?", "", part[0].decode())
                    found.append([told, hashlib.sha1(part[1]).hexdigest()])
        print(json.dumps([user, name, found]), flush=True)
    session.logout()
"""


def contents(host: str, users: Sequence[str]) -> dict[str, Any]:
    """Mailboxes by user and name, each with its UIDVALIDITY and messages."""
    asked = {
        "users": list(users),
        "admin": lab.var("cyrus_admin_user", host),
        "password": lab.var("cyrus_admin_password", host),
    }
    said = lab.ssh(host, f"python3 -c {shlex.quote(_READ)}", data=json.dumps(asked)).stdout
    found = [json.loads(line) for line in said.splitlines()]
    return {f"{user} {name}": boxes for user, name, boxes in found}
