# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The users' logins in each host's SASL database."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor

from tests.integration import lab

# Runs on the host; the password comes on stdin.
_SCRIPT = """
import json, os, shutil, socket, subprocess, sys
asked = json.load(sys.stdin)
for user in asked["users"]:
    subprocess.run(
        ["saslpasswd2", "-p", "-c", "-u", socket.gethostname(), user],
        input=asked["password"], text=True, check=True,
    )
# Cyrus reads it as a member of the group sasl.
shutil.chown("/etc/sasldb2", "root", "sasl")
os.chmod("/etc/sasldb2", 0o640)
"""


def create_logins(hosts: Iterable[str], users: Sequence[str], password: str) -> None:
    """Let the users log in at every host."""
    asked = json.dumps({"users": users, "password": password})
    command = f"python3 -c {shlex.quote(_SCRIPT)}"
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda host: lab.ssh(host, command, data=asked), hosts))
