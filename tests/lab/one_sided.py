# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Serves imapd or timsieved on stdin and stdout, on a host whatever its role is.

Runs as root on the host. What is written through it is not logged for replication, and a replica
takes it as if it were none: so differences can be made on one side alone. The running servers and
their configuration are left alone. The first line of stdin is the password of the administrator.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile

ADMIN = "planter"
_OURS = {
    "admins": ADMIN,
    "allowplaintext": "yes",
    "readonly": "no",
    "sasl_auxprop_plugin": "sasldb",
    "sasl_mech_list": "PLAIN",
    "sasl_minimum_layer": "0",
    "sasl_pwcheck_method": "auxprop",
    "sync_log": "0",
}


def configuration(text: str, settings: dict[str, str]) -> str:
    """Return an imapd.conf with other settings."""
    kept = [
        line
        for line in text.splitlines()
        if re.split(r"[:\s]", line, maxsplit=1)[0].lower() not in settings
    ]
    return "\n".join([*kept, *(f"{name}: {value}" for name, value in settings.items())]) + "\n"


def _first_line() -> str:
    # Not a byte more: the rest belongs to the server.
    line = b""
    while not line.endswith(b"\n"):
        byte = os.read(0, 1)
        if not byte:
            raise SystemExit("no password on stdin")
        line += byte
    return line.decode().strip()


def main(program: str) -> int:
    password = _first_line()
    directory = tempfile.mkdtemp(prefix="one-sided-", dir="/run")
    try:
        database, config = f"{directory}/sasldb2", f"{directory}/imapd.conf"
        subprocess.run(
            ["saslpasswd2", "-p", "-c", "-f", database, "-u", socket.gethostname(), ADMIN],
            input=password,
            text=True,
            check=True,
        )
        with open("/etc/imapd.conf") as file:
            text = configuration(file.read(), {**_OURS, "sasl_sasldb_path": database})
        with open(config, "w") as file:
            file.write(text)
        for path in (directory, database, config):
            shutil.chown(path, "cyrus", "mail")
        found = (f"{folder}/{program}" for folder in ("/usr/lib/cyrus/bin", "/usr/libexec/cyrus"))
        path = next(path for path in found if os.path.exists(path))
        # -X: one conversation, on stdin and stdout.
        server = ["runuser", "-u", "cyrus", "--", path, "-C", config, "-X"]
        environment = {**os.environ, "CYRUS_SERVICE": "planter", "CYRUS_ID": "0"}
        return subprocess.run(server, env=environment, check=False).returncode
    finally:
        shutil.rmtree(directory)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
