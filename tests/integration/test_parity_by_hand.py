# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Parity of a pair that was set up by hand and that `setup` never touched; and of peers that are no
good. Uses the lab's hosts mx1 and ns1, which belong to no store.

TEST_LONG=1 tries more bad input.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from . import lab

MASTER, REPLICA = "mx1", "ns1"
PASSWORD = "made by hand"

# As an administrator would have written it years ago: the channel without a name, everything on.
INSTALL = r"""
set -e
export DEBIAN_FRONTEND=noninteractive
mkdir -p /etc/systemd/system; ln -sf /dev/null /etc/systemd/system/cyrus-imapd.service
apt-get install -y -qq cyrus-imapd cyrus-clients cyrus-replication cyrus-admin sasl2-bin >/dev/null
rm /etc/systemd/system/cyrus-imapd.service
cat > /etc/cyrus.conf <<E
START {
  recover cmd="/usr/sbin/cyrus ctl_cyrusdb -r"
  %(client)s
}
SERVICES {
  imap cmd="imapd" listen="imap"
  csync cmd="sync_server" listen="2005"
}
EVENTS {
  checkpoint cmd="/usr/sbin/cyrus ctl_cyrusdb -c" period=30
}
E
sed -i '/^sasl_mech_list/d; /^admins/d; /^sync_/d' /etc/imapd.conf
cat >> /etc/imapd.conf <<E
admins: cyrus
sasl_mech_list: PLAIN
%(conf)s
E
saslpasswd2 -p -c cyrus
chgrp sasl /etc/sasldb2
systemctl daemon-reload
systemctl restart cyrus-imapd
"""
ROLLING = 'syncclient cmd="/usr/sbin/cyrus sync_client -r"'
SENDING = """sync_log: yes
sync_host: %s
sync_port: 2005
sync_try_imap: no
sync_authname: cyrus
sync_password: %s"""


def serves() -> bool:
    for host in (MASTER, REPLICA):
        with lab.imap(host, "cyrus", PASSWORD):
            pass
    return True


@pytest.fixture(scope="module", autouse=True)
def pair() -> None:
    """A master that replicates to a replica, with mail in it."""
    sending = SENDING % (lab.address(REPLICA), PASSWORD)
    lab.ssh(REPLICA, INSTALL % {"client": "", "conf": ""}, data=PASSWORD)
    lab.ssh(MASTER, INSTALL % {"client": ROLLING, "conf": sending}, data=PASSWORD)
    lab.until(serves, what="IMAP on the hosts set up by hand")
    with lab.imap(MASTER, "cyrus", PASSWORD) as session:
        for name in ("user.anna", "user.anna.Sent", "user.ben", "shared"):
            if session.create(name)[0] != "OK":
                continue
            session.setacl(name, "cyrus", "lrswipkxtecda")
            session.append(name, "", "", b"Subject: by hand\r\n\r\nbody\r\n")


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    variables = {
        "cyrus_store": "by_hand",
        "cyrus_master": MASTER,
        "cyrus_parity_user": "cyrus",
        "cyrus_parity_password": PASSWORD,
        "cyrus_parity_tls": "none",
        "cyrus_parity_channel": "",
    }
    known = lab.inventory()["_meta"]["hostvars"]
    hosts = {name: {**known[name], **variables} for name in (MASTER, REPLICA)}
    path = tmp_path / "inventory.json"
    path.write_text(json.dumps({"all": {"children": {"cyrus": {"hosts": hosts}}}}))
    return path


def parity(inventory: Path, *args: str, **extra: object) -> tuple[lab.Run, dict[str, Any]]:
    path = inventory.with_name("report.json")
    run = lab.playbook(
        "parity", *args, source=inventory, extra={"cyrus_parity_report": str(path), **extra}
    )
    assert path.exists(), run.output
    (document,) = json.loads(path.read_text())
    return run, document


def files(host: str) -> str:
    """What a check must leave alone: settings, mail and its databases."""
    return lab.ssh(
        host,
        "find /etc /var/spool/cyrus /var/spool/sieve /var/lib/cyrus /var/lib/cyrus-replication"
        " -path '*/proc' -prune -o -type f ! -name 'tls_sessions.db*' ! -name 'deliver.db*'"
        " ! -path '*/db/*' ! -path '*/db.backup*' -exec sha256sum {} + 2>/dev/null | sort -k2",
    ).stdout


def test_equal_and_nothing_is_changed(inventory: Path) -> None:
    parity(inventory)
    before = {host: files(host) for host in (MASTER, REPLICA)}
    for level in ("summary", "messages"):
        run, document = parity(inventory, cyrus_parity_level=level)
        assert run.rc == 0, run.output
        assert document["in_sync"] is True
        assert document["epoch"] is None
    assert document["compared"] == {"users": 2, "mailboxes": 4, "messages": 4, "bytes": 0}
    assert {host: files(host) for host in (MASTER, REPLICA)} == before
    assert PASSWORD not in run.output


def remove_for_good(mailbox: str) -> None:
    """Deletes a mailbox on the replica, and what a delayed delete sets aside."""
    with lab.imap(REPLICA, "cyrus", PASSWORD) as session:
        for name in (mailbox, f"DELETED.{mailbox}.*"):
            for line in session.list('""', f'"{name}"')[1]:
                found = line.decode().split()[-1] if isinstance(line, bytes) else ""
                if found:
                    session.setacl(found, "cyrus", "lrswipkxtecda")
                    session.delete(found)


def test_a_lone_mailbox_is_found(inventory: Path) -> None:
    with lab.imap(REPLICA, "cyrus", PASSWORD) as session:
        session.create("user.anna.Lone")
    try:
        run, document = parity(inventory, "--check", cyrus_parity_settle=4)
    finally:
        remove_for_good("user.anna.Lone")
    assert run.rc != 0
    assert document["in_sync"] is False
    (difference,) = (d for d in document["differences"] if d["mailbox"] == "user.anna.Lone")
    assert difference["kind"] == "mailbox"
    assert difference["user"] == "anna"
    assert difference["master"] is None
    assert difference["replica"]


@pytest.mark.parametrize(
    ("variables", "sentence"),
    [
        ({"cyrus_parity_password": "wrong"}, "refuses the login of cyrus"),
        ({"cyrus_parity_host": "localhost"}, "lead to the same server"),
        ({"cyrus_parity_port": 144}, "nothing listens at"),
        ({"cyrus_parity_tls": "starttls"}, "offers no TLS"),
        *(
            pytest.param(variables, sentence, marks=lab.only_long)
            for variables, sentence in (
                ({"cyrus_parity_user": "nobody"}, "refuses the login of nobody"),
                ({"cyrus_parity_port": 22}, "does not speak Cyrus's IMAP"),
                ({"cyrus_parity_tls": "implicit", "cyrus_parity_port": 143}, "TLS at"),
                ({"cyrus_parity_host": "198.51.100.250"}, "cannot be reached|does not answer"),
            )
        ),
    ],
)
def test_bad_input_is_one_sentence(
    inventory: Path, variables: dict[str, object], sentence: str
) -> None:
    run, document = parity(inventory, "--check", **variables)
    assert run.rc != 0
    assert document["in_sync"] is None
    (unknown,) = document["unknown"]
    assert any(part in unknown["reason"] for part in sentence.split("|")), unknown


def test_password_is_in_no_log(inventory: Path) -> None:
    """Quotes and backslashes stand escaped where Python writes a dictionary."""
    run, _document = parity(inventory, cyrus_parity_password="Kx9\\b'q\"Zt7")
    assert "refuses the login of cyrus" in " ".join(run.output.split())
    assert "Kx9" not in run.output
    for host in (MASTER, REPLICA):
        assert lab.ssh(host, "journalctl --no-pager | grep -c Kx9", check=False).stdout == "0\n"


def test_no_database_of_users(inventory: Path) -> None:
    lab.ssh(REPLICA, "mv /etc/sasldb2 /etc/sasldb2.away; systemctl restart cyrus-imapd")
    try:
        run, document = parity(inventory, "--check")
    finally:
        lab.ssh(REPLICA, "mv /etc/sasldb2.away /etc/sasldb2; systemctl restart cyrus-imapd")
    assert run.rc != 0
    assert document["in_sync"] is None
    assert "refuses the login of cyrus" in document["unknown"][0]["reason"]


# Peers that no Cyrus is like: a small program on a lab host says these words on a real port.
SPEAKER = r"""
import socket, sys, time
words = sys.argv[2].encode().decode("unicode_escape").encode("latin-1")
listener = socket.socket()
listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
listener.bind(("", int(sys.argv[1])))
listener.listen()
while True:
    peer, _address = listener.accept()
    peer.sendall(words)
    time.sleep(float(sys.argv[3]))
    peer.close()
"""


@contextmanager
def speaker(words: str, seconds: float) -> Iterator[int]:
    port = 2999
    lab.ssh(
        REPLICA,
        "cat > /run/speaker.py; systemd-run --quiet --collect --unit=speaker"
        f" python3 /run/speaker.py {port} '{words}' {seconds}",
        data=SPEAKER,
    )
    try:
        lab.until(
            lambda: lab.ssh(REPLICA, f"ss -ltn | grep -q :{port}", check=False).returncode == 0
        )
        yield port
    finally:
        lab.ssh(REPLICA, "systemctl stop speaker; rm /run/speaker.py")


@pytest.mark.parametrize(
    ("words", "seconds", "sentence"),
    [
        ("", 60, "has not answered for 3 s"),
        ("", 0, "closed the connection"),
        (r"HTTP/1.1 400 Bad Request\r\n\r\n", 60, "does not speak Cyrus"),
        (r"\x00\xff\xfe\r\n", 60, "does not speak Cyrus"),
        (r"* BYE too busy\r\n", 60, "turns us away: BYE too busy"),
        (r"* OK old Cyrus IMAP v2.1.18 server ready\r\n", 60, "runs Cyrus 2.1, which is not known"),
        (r"* OK new Cyrus IMAP 9.9.0 server ready\r\n", 60, "runs Cyrus 9.9, which is not known"),
        (r"* OK x Cyrus IMAP 3.6.1 ready\r\n+\r\nS1 OK\r\nNONSENSE\r\n", 60, "breaks the protocol"),
    ],
)
def test_bad_peer_is_one_sentence(words: str, seconds: float, sentence: str) -> None:
    side = {"transport": "imap", "user": "cyrus", "password": PASSWORD, "connect_timeout": 3}
    with speaker(words, seconds) as port:
        arguments = {
            "store": "by_hand",
            "master": {"name": MASTER, "host": "127.0.0.1", "port": 143, **side},
            "replica": {"name": REPLICA, "host": lab.address(REPLICA), "port": port, **side},
        }
        done = subprocess.run(
            [
                str(lab.BIN / "ansible"),
                *("-i", str(lab.INVENTORY), MASTER, "-m", "mailops.cyrus.parity_info"),
                *("-a", json.dumps(arguments)),
            ],
            check=False,
            cwd=lab.ROOT,
            env={**os.environ, "ANSIBLE_CALLBACK_RESULT_FORMAT": "json"},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
    assert sentence in done.stdout, done.stdout + done.stderr
    assert '"in_sync": null' in done.stdout


def clients() -> list[str]:
    """Command lines of the replication clients that run on the master."""
    return lab.ssh(MASTER, "pgrep -a -x sync_client || true").stdout.splitlines()


def test_setup_takes_the_pair_over(inventory: Path) -> None:
    """Mail, settings and accounts stay; the old client ends, so that nothing waits for ever."""
    assert len(clients()) == 1
    changes = {"cyrus_admin_password": PASSWORD, "cyrus_parity_channel": None}
    for turn in range(2):
        run = lab.playbook("setup", source=inventory, extra=changes)
        assert run.rc == 0, run.output
        assert turn == 0 or run.changed() == 0, run.output
    # The replicator's own ends with each batch.
    assert not [line for line in clients() if " -r" in line]
    lab.ssh(MASTER, "systemctl is-active cyrus-replicator@ns1")
    assert "sync_log_channels: audit ns1\n" in lab.ssh(MASTER, "cat /etc/imapd.conf").stdout
    run, document = parity(inventory, cyrus_parity_level="messages")
    assert run.rc == 0, run.output
    assert document["in_sync"] is True
    assert document["epoch"] == 1
    assert document["compared"]["messages"] >= 4
