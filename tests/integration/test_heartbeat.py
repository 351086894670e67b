# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The heartbeat on a real master: it comes through, mends its mailbox, and leaves nothing behind.

Runs on the lab's hosts and leaves them set up, with a heartbeat whose mailbox was made anew.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from . import lab

MASTER = "imap1"
REPLICA = "imap2"
CHANNEL = "imap2"
NAME = f"cyrus-heartbeat-{CHANNEL}"
BEATS = 10_000

# Run on the master as cyrus, with the library that setup has put there.
SCRIPT = """
import json, os, subprocess, sys
from cyrus_replication._endpoints import local, login
from cyrus_replication._heartbeat import Heartbeat
from cyrus_replication._install import Install
from cyrus_replication._session import Session
from cyrus_replication._store import IMAP_SOCKET
from cyrus_replication._wire import Endpoint

channel, count = sys.argv[1], int(sys.argv[2])
user, password = login(channel, Install.discover().settings)
session = Session(
    Endpoint("master", transport="imap", path=IMAP_SOCKET, user=user, password=password)
)
heartbeat = Heartbeat(lambda: session, channel)


def sizes():
    argv = ["/usr/lib/cyrus/bin/mbpath", heartbeat.mailbox]
    spool = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()
    files = [os.path.join(spool, name) for name in os.listdir(spool)]
    files += ["/var/lib/cyrus/annotations.db"]
    return {path: os.stat(path).st_size for path in files}


heartbeat.prepare()
before = sizes()
modseqs = [heartbeat.beat().modseq for _beat in range(count)]
grown = {path: size for path, size in sizes().items() if size > before.get(path, 0)}
seen = heartbeat.seen(Session(local("master")))
print(json.dumps({"rises": modseqs == sorted(set(modseqs)), "last": modseqs[-1], "seen": seen,
                  "grown": grown}))
"""


@pytest.fixture(scope="module", autouse=True)
def store() -> None:
    run = lab.playbook("setup")
    assert run.rc == 0, run.output


def state() -> dict[str, Any]:
    path = f"/var/lib/cyrus-replication/channels/{CHANNEL}/state.json"
    loaded: dict[str, Any] = json.loads(lab.ssh(MASTER, f"cat {path}").stdout)
    return loaded


def seen_after(moment: float) -> bool:
    return bool((state()["heartbeat"]["seen"] or 0) > moment)


def now() -> float:
    return float(lab.ssh(MASTER, "date +%s.%N").stdout)


def admin() -> Any:
    return lab.imap(MASTER, lab.var("cyrus_admin_user"), lab.var("cyrus_admin_password"))


def test_heartbeat_comes_through() -> None:
    since = now()
    lab.until(lambda: seen_after(since), seconds=40, what="a heartbeat on the replica")
    delay = state()["heartbeat"]["delay"]
    assert 0 <= delay < 5 * lab.patience()


def test_only_the_replication_account_is_let_in() -> None:
    with admin() as session:
        _status, said = session.getacl(NAME)
    assert said == [f"{NAME} replication lrwi".encode()]


def test_many_heartbeats_leave_nothing_behind() -> None:
    done = lab.ssh(
        MASTER,
        "cd / && runuser -u cyrus -- env "
        "PYTHONPATH=/usr/lib/cyrus-replication/cyrus-replication.pyz "
        f"python3 - {CHANNEL} {BEATS}",
        data=SCRIPT,
    )
    found = json.loads(done.stdout)
    assert found["rises"]
    assert found["seen"] >= found["last"]
    assert found["grown"] == {}


def test_mailbox_that_somebody_deletes_is_made_anew() -> None:
    with admin() as session:
        session.setacl(NAME, str(lab.var("cyrus_admin_user")), "lrswipkxtecda")
        status, said = session.delete(NAME)
        assert status == "OK", said
    since = now()
    lab.until(lambda: seen_after(since), seconds=60, what="the new mailbox's heartbeat")
    test_only_the_replication_account_is_let_in()
