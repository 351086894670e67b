# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store after setup: what runs, who is let in, how mail travels, and what setup refuses.

Runs on the lab's hosts and leaves them set up. Needs the lab to be up; see `make lab-up`.
TEST_LONG=1 cuts the power of each replica.
"""

from __future__ import annotations

import datetime
import functools
import imaplib
import json
import socket
import ssl
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import testinfra
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from . import lab

MASTER = "imap1"
REPLICAS = ("imap2", "imap3")
STORE = [MASTER, *REPLICAS]
SECRETS = lab.LAB_DIR / "cyrus-secrets" / "store1"
USER = "setuptest"
SETTINGS = lab.var("cyrus_imapd_settings") or {}
INBOX = f"user/{USER}" if "unixhierarchysep" in SETTINGS else f"user.{USER}"
ETC = "/etc/cyrus-replication"


@pytest.fixture(scope="session", autouse=True)
def store() -> None:
    """The store is set up, as the first and as every later run leaves it."""
    run = lab.playbook("setup")
    assert run.rc == 0, run.output
    with admin() as session:
        session.create(INBOX)
        session.setacl(INBOX, str(lab.var("cyrus_admin_user")), "lrswipkxtecda")


def admin(host: str = MASTER) -> Any:
    return lab.imap(host, lab.var("cyrus_admin_user"), lab.var("cyrus_admin_password"))


def inside(host: str) -> Any:
    return testinfra.get_host(
        f"ssh://root@{lab.address(host)}",
        ssh_identity_file=str(lab.LAB_DIR / "id_ed25519"),
        ssh_extra_args=f"-o UserKnownHostsFile={lab.LAB_DIR / 'known_hosts'}",
    )


def append() -> str:
    """Put a message on the master; returns a word by which it is found."""
    word = uuid.uuid4().hex
    with admin() as session:
        status, said = session.append(
            INBOX, "", imaplib.Time2Internaldate(time.time()), f"Subject: {word}\r\n\r\n".encode()
        )
    assert status == "OK", said
    return word


def arrived(host: str, word: str) -> bool:
    return lab.ssh(host, f"grep -rqs {word} /var/spool/cyrus/mail", check=False).returncode == 0


def arrives(word: str, seconds: float = 40, hosts: Sequence[str] = REPLICAS) -> bool:
    for host in hosts:
        lab.until(functools.partial(arrived, host, word), seconds, what=f"{word} on {host}")
    return True


def replicates(seconds: float = 40) -> bool:
    return arrives(append(), seconds)


def starts(host: str) -> str:
    shown = lab.ssh(
        host,
        "systemctl show -p Id,ActiveEnterTimestampMonotonic cyrus-imapd cyrus-guard 'cyrus-*@*'",
    ).stdout
    # systemd names units that a pattern fits in no order.
    return "\n\n".join(sorted(shown.strip().split("\n\n")))


@contextmanager
def changed_file(host: str, path: str, command: str) -> Iterator[None]:
    """A file of a host changed by a shell command, and put back with its time."""
    lab.ssh(host, f"cp -a {path} /root/kept")
    try:
        lab.ssh(host, command)
        yield
    finally:
        lab.ssh(host, f"mv /root/kept {path}")


def inventory_with(tmp_path: Path, hosts: Iterable[str], **variables: object) -> Path:
    """An inventory of one store of the lab's hosts."""
    kept = ("ansible_", "lab_", "cyrus_admin_", "cyrus_imapd_settings", "cyrus_services")
    known = lab.inventory()["_meta"]["hostvars"][MASTER]
    given = {k: v for k, v in known.items() if k.startswith(kept) and k != "ansible_host"}
    written = {
        "all": {
            "vars": given,
            "children": {
                "cyrus": {
                    "hosts": {name: {"ansible_host": lab.address(name)} for name in hosts},
                    "vars": variables,
                }
            },
        }
    }
    path = tmp_path / "inventory.yml"
    path.write_text(json.dumps(written))
    return path


# What runs


def test_master_runs_one_link_and_one_replicator_a_replica() -> None:
    host = inside(MASTER)
    for unit in (
        "cyrus-guard",
        "cyrus-imapd",
        "cyrus-link@guard-answer",
        *(f"cyrus-{k}@{r}" for k in ("link", "replicator") for r in REPLICAS),
    ):
        assert host.service(unit).is_running, unit
        assert host.service(unit).is_enabled, unit


@pytest.mark.parametrize("name", REPLICAS)
def test_replica_runs_its_end_of_the_link(name: str) -> None:
    host = inside(name)
    assert host.service("cyrus-imapd").is_running
    for unit in ("cyrus-guard", "cyrus-link@guard-answer", "cyrus-link@server"):
        assert host.service(unit).is_running, unit
        assert host.service(unit).is_enabled, unit
    assert "cyrus-replicator" not in host.check_output("systemctl list-units --all --plain")


@pytest.mark.parametrize("name", STORE)
def test_open_ports(name: str) -> None:
    listed = lab.ssh(name, "ss -Hltn | awk '{print $4}'").stdout.split()
    local = ("127.", "[::1]")
    open_ports = {int(a.rpartition(":")[2]) for a in listed if not a.startswith(local)}
    # Debian's Cyrus brings a mail server along, which serves the host itself.
    local_ports = {int(a.rpartition(":")[2]) for a in listed if a.startswith(local)} - {25}
    if name == MASTER:
        assert open_ports >= {22, 143, 2017, 4190}
        assert not open_ports & {2003, 2005, 2015, 2016}
        assert local_ports == {12006, 12007}
    else:
        assert open_ports == {22, 2015, 2016, 2017}
        assert local_ports == {2005}


@pytest.mark.parametrize("name", STORE)
def test_secrets_are_readable_by_cyrus_alone(name: str) -> None:
    host = inside(name)
    modes = {
        ETC: (0o750, "root", "mail"),
        f"{ETC}/secrets.conf": (0o640, "root", "mail"),
        f"{ETC}/key.pem": (0o640, "root", "mail"),
        f"{ETC}/sasldb2": (0o640, "root", "mail"),
        f"{ETC}/accounts.json": (0o600, "root", "root"),
        "/run/cyrus/private": (0o700, "cyrus", "mail"),
    }
    found = {path: host.file(path) for path in modes}
    assert {p: (f.mode, f.user, f.group) for p, f in found.items()} == modes


def test_replicator_s_folders_are_cyrus_s_own() -> None:
    host = inside(MASTER)
    state = "/var/lib/cyrus-replication"
    modes = {
        state: (0o755, "root", "root"),
        f"{state}/channels": (0o755, "root", "root"),
        f"{state}/running": (0o644, "root", "root"),
        **{f"{state}/channels/{name}": (0o750, "cyrus", "mail") for name in REPLICAS},
        **{f"/run/cyrus-replication/{name}": (0o750, "cyrus", "mail") for name in REPLICAS},
        "/usr/bin/cyrus-replication": (0o755, "root", "root"),
        "/usr/lib/cyrus-replication/cyrus-replication.pyz": (0o644, "root", "root"),
    }
    found = {path: host.file(path) for path in modes}
    assert {p: (f.mode, f.user, f.group) for p, f in found.items()} == modes


@pytest.mark.parametrize("name", STORE)
def test_role_is_recorded(name: str) -> None:
    record = json.loads(lab.ssh(name, "cat /var/lib/cyrus-replication/role.json").stdout)
    since = record.pop("since")
    assert datetime.datetime.fromisoformat(since.replace("Z", "+00:00"))
    assert record == {
        "store": "store1",
        "host": name,
        "role": "master" if name == MASTER else "replica",
        "master": MASTER,
        "epoch": 1,
    }
    history = lab.ssh(name, "cat /var/lib/cyrus-replication/history.jsonl").stdout.splitlines()
    assert json.loads(history[0])["what"] == "setup"


def test_secrets_reach_no_log_and_no_command_line() -> None:
    secret = (SECRETS / "replication_password").read_text().strip()
    for name in STORE:
        for given in (secret, lab.var("cyrus_admin_password")):
            found = lab.ssh(
                name,
                'read -r s; journalctl --no-pager | grep -cF -- "$s"; ps axww | grep -cF -- "$s"',
                check=False,
                data=given + "\n",
            )
            # The second count is of the grep itself.
            assert found.stdout.split()[0] == "0", name
    run = lab.playbook("setup", "--check", "--diff", "-vvv", extra={"cyrus_admin_user": "other"})
    assert run.rc == 0, run.output
    assert secret not in run.output
    assert lab.var("cyrus_admin_password") not in run.output
    assert "PRIVATE KEY" not in run.output


# Who is let in


@pytest.mark.parametrize("name", REPLICAS)
@pytest.mark.parametrize("port", [24, 25, 110, 119, 143, 993, 995, 2005, 2003, 4190, 8008])
def test_replica_serves_no_client(name: str, port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((lab.address(name), port), timeout=5)


@pytest.mark.parametrize("name", REPLICAS)
def test_replica_refuses_a_write_even_from_its_administrator(name: str) -> None:
    replicates()
    with via_link(name, 2016, SECRETS / f"{MASTER}.pem", SECRETS / f"{MASTER}.key") as link:
        reply = link.makefile("rwb")
        assert reply.readline().startswith(b"* OK")

        def say(command: str) -> list[bytes]:
            reply.write(f"a {command}\r\n".encode())
            reply.flush()
            lines = [reply.readline()]
            while lines[-1] and not lines[-1].startswith(b"a "):
                lines.append(reply.readline())
            return lines

        login = f"LOGIN {lab.var('cyrus_admin_user')} {lab.var('cyrus_admin_password')}"
        assert say(login)[-1].startswith(b"a OK")
        for command in (f"CREATE {INBOX}x", f"SETACL {INBOX} anyone lrswi", f"DELETE {INBOX}"):
            assert say(command)[-1].startswith(b"a NO"), command
        assert any(b"READ-ONLY" in line for line in say(f"SELECT {INBOX}"))


@pytest.mark.parametrize("port", [2005, 2015, 2016])
def test_master_accepts_replication_from_nobody(port: int) -> None:
    probe = f"timeout 5 bash -c '</dev/tcp/{lab.address(MASTER)}/{port}'"
    assert lab.ssh("imap2", probe, check=False).returncode != 0
    by_hand = (
        f"su cyrus -s /bin/sh -c 'timeout 8 /usr/lib/cyrus/bin/sync_client -v "
        f"-S {lab.address(MASTER)} -p {port} -u {USER}'"
    )
    assert lab.ssh("imap2", by_hand, check=False).returncode != 0


def test_replication_account_is_nobody_for_clients() -> None:
    secret = (SECRETS / "replication_password").read_text().strip()
    with (
        pytest.raises(imaplib.IMAP4.error, match="Login failed"),
        lab.imap(MASTER, "replication", secret),
    ):
        pass


@contextmanager
def via_link(host: str, port: int, cert: Path | None, key: Path | None) -> Iterator[ssl.SSLSocket]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if cert:
        context.load_cert_chain(cert, key)
    with (
        socket.create_connection((lab.address(host), port), timeout=10) as raw,
        context.wrap_socket(raw) as wrapped,
    ):
        yield wrapped


def greeting_of_link(port: int, cert: Path | None) -> bytes:
    try:
        with via_link("imap2", port, cert, cert and cert.with_suffix(".key")) as link:
            return link.recv(1000)
    except (ssl.SSLError, ConnectionResetError):
        return b""


def certificate(tmp_path: Path, name: str, days: tuple[int, int], own_authority: bool) -> Path:
    """A certificate by the store's authority or by a stranger; its key lies beside it."""
    now = datetime.datetime.now(datetime.timezone.utc)
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    if own_authority:
        loaded = serialization.load_pem_private_key((SECRETS / "ca.key").read_bytes(), None)
        assert isinstance(loaded, ec.EllipticCurvePrivateKey)
        signer = loaded
        issuer = x509.load_pem_x509_certificate((SECRETS / "ca.pem").read_bytes()).subject
    else:
        signer, issuer = key, subject
    made = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=days[0]))
        .not_valid_after(now + datetime.timedelta(days=days[1]))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .sign(signer, hashes.SHA256())
    )
    path = tmp_path / "cert.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    path.with_suffix(".key").write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return path


STRANGERS = {
    "without a certificate": None,
    "with a foreign one of the master's name": (MASTER, (-1, 30), False),
    "with an expired one": (MASTER, (-30, -1), True),
    "with another replica's": ("imap3", (-1, 30), True),
}


@pytest.mark.parametrize("port", [2015, 2016])
@pytest.mark.parametrize("stranger", STRANGERS)
def test_stranger_gets_no_greeting(stranger: str, port: int, tmp_path: Path) -> None:
    assert greeting_of_link(port, SECRETS / "imap1.pem").startswith(b"* ")
    made = STRANGERS[stranger]
    assert greeting_of_link(port, certificate(tmp_path, *made) if made else None) == b""


def test_stranger_learns_no_epoch(tmp_path: Path) -> None:
    assert json.loads(greeting_of_link(2017, SECRETS / "imap1.pem"))["record"]["host"] == "imap2"
    made = [None, (MASTER, (-1, 30), False), (MASTER, (-30, -1), True), ("mx1", (-1, 30), True)]
    for stranger in made:
        cert = certificate(tmp_path, *stranger) if stranger else None
        assert greeting_of_link(2017, cert) == b"", stranger


def test_server_in_cleartext_gets_no_greeting() -> None:
    with socket.create_connection((lab.address("imap2"), 2015), timeout=5) as raw:
        raw.sendall(b"NOOP\r\n")
        assert b"Cyrus" not in greeting(raw)


@pytest.mark.parametrize("made", ["foreign", "expired"])
def test_impostor_gets_no_mail(made: str, tmp_path: Path) -> None:
    days, own = ((-1, 30), False) if made == "foreign" else ((-30, -1), True)
    cert = certificate(tmp_path, "imap3", days, own)
    lab.ssh("imap3", f"cp -a {ETC}/cert.pem /root/cert.kept; cp -a {ETC}/key.pem /root/key.kept")
    try:
        lab.ssh("imap3", f"cat > {ETC}/cert.pem", data=cert.read_text())
        lab.ssh("imap3", f"cat > {ETC}/key.pem", data=cert.with_suffix(".key").read_text())
        lab.ssh("imap3", "systemctl restart cyrus-link@server")
        word = append()
        arrives(word, hosts=["imap2"])
        time.sleep(3)
        assert not arrived("imap3", word)
        said = lab.ssh(MASTER, "journalctl -u cyrus-link@imap3 -n 20 -o cat --no-pager").stdout
        assert "certificate verify failed" in said
    finally:
        lab.ssh(
            "imap3",
            f"mv /root/cert.kept {ETC}/cert.pem; mv /root/key.kept {ETC}/key.pem; "
            "systemctl restart cyrus-link@server",
        )
    arrives(word, hosts=["imap3"])


# How mail travels


def test_mail_arrives_on_every_replica() -> None:
    replicates(10)


@pytest.mark.parametrize("gone", REPLICAS if lab.LONG else REPLICAS[:1])
def test_replica_without_power_holds_up_nobody_and_catches_up(gone: str) -> None:
    replicates()
    lab.lab("poweroff", gone)
    try:
        word = append()
        for _turn in range(5):
            arrives(append(), 10, [name for name in REPLICAS if name != gone])
    finally:
        lab.lab("boot", gone)
    arrives(word, 120, [gone])


@pytest.mark.parametrize(
    "first",
    [
        pytest.param([MASTER, REPLICAS[0]], id="master"),
        pytest.param(REPLICAS, id="replicas", marks=lab.only_long),
    ],
)
def test_replication_starts_by_itself_in_either_order(first: list[str]) -> None:
    for name in STORE:
        lab.lab("poweroff", name)
    for name in first:
        lab.lab("boot", name)
    words: list[str] = []

    def accepted() -> bool:
        words.append(append())
        return True

    if MASTER in first:
        # It takes mail as soon as another host says that it is still the master.
        lab.until(accepted, 60)
    for name in STORE:
        if name not in first:
            lab.lab("boot", name)
    for word in words:
        arrives(word, 60)
    lab.until(replicates, 90)


def test_restart_of_cyrus_takes_replication_with_it() -> None:
    lab.ssh(MASTER, "systemctl stop cyrus-imapd")
    assert lab.ssh(MASTER, "pgrep -c sync_client", check=False).stdout.strip() == "0"
    lab.ssh(MASTER, "systemctl start cyrus-imapd")
    lab.until(replicates, 90)


def test_nothing_of_a_killed_replicator_is_left_behind() -> None:
    unit = f"cyrus-replicator@{REPLICAS[0]}"
    # As a sync_client would be that runs at this moment.
    left = lab.ssh(
        MASTER,
        f"setsid sleep 600 >/dev/null 2>&1 & echo $! | tee /sys/fs/cgroup$(systemctl show -p "
        f"ControlGroup --value {unit})/cgroup.procs; "
        f"kill -9 $(systemctl show -p MainPID --value {unit})",
    ).stdout.strip()
    lab.until(lambda: lab.ssh(MASTER, f"! kill -0 {left}"), 10)
    lab.until(lambda: lab.ssh(MASTER, f"systemctl is-active {unit}"), 30)
    replicates()


# After what parity is unknown

DOUBT = "/var/lib/cyrus-replication/doubt.json"


def doubt(host: str, path: str = DOUBT) -> str:
    """Why parity is unknown since something happened to the host; empty where nothing did."""
    noted = lab.ssh(host, f"cat {path}", check=False).stdout
    return str(json.loads(noted)["reason"]) if noted else ""


@contextmanager
def watched(host: str) -> Iterator[None]:
    """Doubts of a host that a test raises; none is there before or after."""
    lab.ssh(host, f"rm -f {DOUBT}")
    try:
        yield
    finally:
        lab.ssh(host, f"rm -f {DOUBT}; systemctl start cyrus-imapd")


def serves(host: str) -> bool:
    return lab.ssh(host, "systemctl is-active cyrus-imapd", check=False).returncode == 0


@pytest.mark.parametrize("host", [MASTER, REPLICAS[1]])
def test_end_in_order_raises_no_doubt(host: str) -> None:
    with watched(host):
        lab.ssh(host, "systemctl restart cyrus-imapd; systemctl stop cyrus-imapd")
        lab.ssh(host, "systemctl start cyrus-imapd")
        lab.lab("reboot", host)
        lab.until(functools.partial(serves, host))
        assert doubt(host) == ""


@pytest.mark.parametrize("host", [MASTER, REPLICAS[1]])
def test_loss_of_power_raises_doubt(host: str) -> None:
    with watched(host):
        lab.lab("poweroff", host)
        lab.lab("boot", host)
        lab.until(functools.partial(serves, host))
        assert "was not stopped in order" in doubt(host)


def test_killed_cyrus_raises_doubt() -> None:
    with watched(MASTER):
        lab.ssh(MASTER, "kill -9 $(systemctl show -p MainPID --value cyrus-imapd)")
        lab.until(lambda: "ended with the result signal" in doubt(MASTER), 10)
        lab.ssh(MASTER, "systemctl start cyrus-imapd")
        assert "ended with the result signal" in doubt(MASTER)
    lab.until(replicates, 90)


@pytest.mark.parametrize("how", [pytest.param("permissions", marks=lab.only_long), "full disk"])
def test_event_that_cyrus_could_not_log_raises_doubt(how: str) -> None:
    channel = REPLICAS[0]
    folder = f"/var/lib/cyrus/sync/{channel}"
    noted = f"/var/lib/cyrus-replication/channels/{channel}/doubt.json"
    replicates()
    lab.ssh(MASTER, f"rm -f {noted}; install -d -o cyrus -g mail {folder}")
    if how == "permissions":
        broken, mended = f"chown root {folder}", f"chown cyrus {folder}"
    else:
        broken = f"mount -t tmpfs -o size=4k,mode=777 none {folder}; head -c 4096 /dev/zero"
        broken, mended = f"{broken} > {folder}/full", f"umount {folder}"
    lab.ssh(MASTER, broken)
    try:
        word = append()
    finally:
        lab.ssh(MASTER, mended)
    said = "Permission denied" if how == "permissions" else "No space left on device"
    lab.until(lambda: said in doubt(MASTER, noted), 60)
    # What else happens to the mailbox takes the lost message along.
    append()
    arrives(word)
    lab.ssh(MASTER, f"rm {noted}")


# Runs again, and runs that only look


def test_second_run_changes_nothing() -> None:
    before = {name: starts(name) for name in STORE}
    for mode in ([], ["--check"]):
        run = lab.playbook("setup", *mode)
        assert run.rc == 0, run.output
        assert run.changed() == 0, run.output
    assert {name: starts(name) for name in STORE} == before


def test_new_library_restarts_what_runs_it_alone() -> None:
    before = {name: started(name) for name in STORE}
    for name in STORE:
        lab.ssh(name, "echo >> /usr/lib/cyrus-replication/cyrus-replication.pyz")
    run = lab.playbook("setup", "--diff")
    assert run.rc == 0, run.output
    assert "SHA-256" in run.output
    after = {name: started(name) for name in STORE}
    changed = {unit for name in STORE for unit in after[name] - before[name]}
    replicators = {f"cyrus-replicator@{r}.service" for r in REPLICAS}
    assert {unit for unit, _time in changed} == {*replicators, "cyrus-guard.service"}
    replicates()


def started(name: str) -> set[tuple[str, str]]:
    """When each unit was started."""
    shown = (block.splitlines() for block in starts(name).split("\n\n"))
    return {(lines[0].removeprefix("Id="), lines[1]) for lines in shown}


# The unit that ran Cyrus's own rolling client, which the first versions of the collection wrote.
OLD_UNIT = """\
[Unit]
After=cyrus-imapd.service cyrus-link@%i.service
PartOf=cyrus-imapd.service
[Service]
User=cyrus
Group=mail
ExecStart=/usr/lib/cyrus/bin/sync_client -R -l -n %i
Restart=always
[Install]
WantedBy=cyrus-imapd.service
"""


@lab.only_long
def test_log_of_cyrus_s_own_client_is_worked_off_after_an_upgrade() -> None:
    channel = REPLICAS[0]
    unit = f"cyrus-replicator@{channel}"
    folder = f"/var/lib/cyrus/sync/{channel}"
    replicates()
    lab.ssh(MASTER, "cat > /etc/systemd/system/cyrus-replicator@.service", data=OLD_UNIT)
    lab.ssh(
        MASTER,
        f"systemctl daemon-reload; systemctl restart {unit}; "
        "rm -r /usr/bin/cyrus-replication /usr/lib/cyrus-replication",
    )
    replicates()
    lab.ssh(MASTER, f"systemctl stop cyrus-link@{channel} {unit}")
    word = append()
    # What the client leaves when it is killed in the middle of a log.
    lab.ssh(MASTER, f"mv {folder}/log {folder}/log-run")
    later = append()
    run = lab.playbook("setup")
    assert run.rc == 0, run.output
    arrives(word)
    arrives(later)
    assert lab.playbook("setup").changed() == 0


def fingerprint(name: str) -> str:
    """Contents of what setup writes, without what services do; else names, sizes and times."""
    return lab.ssh(
        name,
        "{ find /etc /var/lib/cyrus-replication /run/cyrus/private /var/lib/dpkg -xdev "
        "-path /var/lib/cyrus-replication/channels -prune -o "
        "-type f ! -path '/var/lib/cyrus-replication/audit.*' "
        "-print0 2>/dev/null | sort -z | xargs -0 sha256sum; "
        "find /etc /usr /root /home /opt /srv /var/lib/apt /run/cyrus/private -xdev "
        "-printf '%p %m %u %g %s %T@\\n' 2>/dev/null | grep -v '__pycache__\\|^/root ' | sort; } "
        "| sha256sum",
    ).stdout


def as_it_is() -> dict[str, tuple[str, str]]:
    with ThreadPoolExecutor() as pool:
        return dict(zip(STORE, pool.map(lambda name: (fingerprint(name), starts(name)), STORE)))


def test_check_changes_nothing_on_running_hosts() -> None:
    before = as_it_is()
    kept = sorted((p.name, p.read_bytes()) for p in SECRETS.iterdir())
    run = lab.playbook(
        "setup",
        "--check",
        "--diff",
        extra={
            "cyrus_link": "plain",
            "cyrus_imapd_settings": {**SETTINGS, "popminpoll": "9"},
            "cyrus_services": {"sieve": ""},
            "cyrus_admin_password": "another",
            "cyrus_link_renew_days": 9999,
        },
    )
    assert run.rc == 0, run.output
    assert run.changed() > 0
    assert "+popminpoll: 9" in run.output
    assert as_it_is() == before
    assert sorted((p.name, p.read_bytes()) for p in SECRETS.iterdir()) == kept


def test_check_changes_nothing_on_bare_hosts(tmp_path: Path) -> None:
    hosts = ["mx1", "ns1"]
    source = inventory_with(tmp_path, hosts, cyrus_store="bare", cyrus_master="mx1")
    before = {name: fingerprint(name) for name in hosts}
    run = lab.playbook("setup", "--check", source=source)
    assert run.rc == 0, run.output
    assert run.changed() > 0
    assert {name: fingerprint(name) for name in hosts} == before
    assert [p.name for p in tmp_path.iterdir()] == ["inventory.yml"]


def test_old_inventory_does_not_move_the_master() -> None:
    run = lab.playbook("setup", extra={"cyrus_master": "imap2"})
    assert run.rc == 0, run.output
    assert run.changed() == 0, run.output


def test_site_s_own_settings_are_kept() -> None:
    path = "/etc/imapd.conf"
    add = f"sed -i -e '/^popminpoll: 1$/d' -e '1i # a site wrote this\\npopminpoll: 5' {path}"
    with changed_file("imap3", path, add):
        extra = {"cyrus_imapd_settings": {**SETTINGS, "popminpoll": "7"}}
        run = lab.playbook("setup", extra=extra)
        assert run.rc == 0, run.output
        text = lab.ssh("imap3", f"cat {path}").stdout
        assert text.startswith("# a site wrote this\n#site# popminpoll: 5\n")
        assert "\npopminpoll: 7\n" in text
        assert lab.playbook("setup", extra=extra).changed() == 0
        assert lab.playbook("setup").rc == 0
        text = lab.ssh("imap3", f"cat {path}").stdout
        assert text.startswith("# a site wrote this\npopminpoll: 5\n")
        assert "popminpoll: 7" not in text
    assert lab.playbook("setup").rc == 0
    replicates()


def test_host_left_out_and_taken_back_gets_what_it_missed(tmp_path: Path) -> None:
    two = inventory_with(tmp_path, STORE[:2], cyrus_store="store1", cyrus_master=MASTER)
    run = lab.playbook("setup", source=two, extra={"cyrus_secrets_dir": str(SECRETS)})
    assert run.rc == 0, run.output
    units = lab.ssh(MASTER, "systemctl list-units --plain --no-legend 'cyrus-*@*'").stdout
    assert [line.split()[0] for line in units.splitlines()] == [
        "cyrus-link@guard-answer.service",
        "cyrus-link@imap2.service",
        "cyrus-replicator@imap2.service",
    ]
    word = append()
    arrives(word, hosts=["imap2"])
    assert not arrived("imap3", word)
    assert lab.playbook("setup").rc == 0
    arrives(word, hosts=["imap3"])


def test_certificates_are_renewed_in_time() -> None:
    before = (SECRETS / "imap2.pem").read_bytes()
    run = lab.playbook("setup", extra={"cyrus_link_renew_days": 9999})
    assert run.rc == 0, run.output
    assert (SECRETS / "imap2.pem").read_bytes() != before
    replicates()


def test_new_passwords_are_taken_over() -> None:
    old = str(lab.var("cyrus_admin_password"))
    extra = {"cyrus_admin_password": "a new one", "cyrus_replication_password": '{new} "one"'}
    user = str(lab.var("cyrus_admin_user"))
    try:
        run = lab.playbook("setup", extra=extra)
        assert run.rc == 0, run.output
        assert lab.playbook("setup", extra=extra).changed() == 0
        with lab.imap(MASTER, user, "a new one"):
            pass
        with pytest.raises(imaplib.IMAP4.error, match="Login failed"), lab.imap(MASTER, user, old):
            pass
    finally:
        assert lab.playbook("setup").rc == 0
    replicates()


def test_certificates_of_the_site_are_taken() -> None:
    run = lab.playbook(
        "setup",
        extra={
            "cyrus_link_ca": str(SECRETS / "ca.pem"),
            "cyrus_link_cert": str(SECRETS / "{{ inventory_hostname }}.pem"),
            "cyrus_link_key": str(SECRETS / "{{ inventory_hostname }}.key"),
        },
    )
    assert run.rc == 0, run.output
    assert run.changed() == 0, run.output


# What setup refuses


def refuses(*said: str, args: Sequence[str] = (), **given: Any) -> None:
    run = lab.playbook("setup", *args, **given)
    assert run.rc != 0, run.output
    text = " ".join(run.output.split())
    for sentence in said:
        assert sentence in text, run.output


def refuses_what_is_there(*said: str, **given: Any) -> None:
    before = as_it_is()
    refuses(*said, **given)
    assert as_it_is() == before


class TestWhatTheInventorySays:
    """All of them together change nothing."""

    @pytest.fixture(autouse=True, scope="class")
    def unchanged(self) -> Iterator[None]:
        before = as_it_is()
        yield
        assert as_it_is() == before

    def test_half_of_the_site_s_certificates(self) -> None:
        refuses(
            "Set cyrus_link_ca, cyrus_link_cert and cyrus_link_key together, or none of them",
            extra={"cyrus_link_ca": str(SECRETS / "ca.pem")},
        )

    def test_group_that_does_not_exist(self) -> None:
        refuses("there is no group nosuch", extra={"cyrus_hosts": "nosuch"})

    def test_part_of_a_store(self) -> None:
        refuses("this run leaves out: imap1, imap3", args=["--limit", "imap2"])

    def test_unreachable_host_is_named(self, tmp_path: Path) -> None:
        source = inventory_with(tmp_path, STORE, cyrus_store="store1", cyrus_master=MASTER)
        written = json.loads(source.read_text())
        # An address of the lab's own network that no host has.
        nowhere = lab.address(MASTER).rpartition(".")[0] + ".99"
        written["all"]["children"]["cyrus"]["hosts"]["imap9"] = {"ansible_host": nowhere}
        source.write_text(json.dumps(written))
        refuses("imap9 of store store1 can't be reached, nothing was changed", source=source)

    def test_store_without_its_names(self, tmp_path: Path) -> None:
        source = inventory_with(tmp_path, STORE)
        refuses("missing required arguments: cyrus_master, cyrus_store", source=source)

    def test_master_outside_the_store(self) -> None:
        refuses(
            "cyrus_master names imap7, which is no host of store store1",
            extra={"cyrus_master": "imap7"},
        )

    def test_names_of_one_channel(self, tmp_path: Path) -> None:
        source = inventory_with(tmp_path, ["mx1"], cyrus_store="s", cyrus_master="mx-1")
        source.write_text(source.read_text().replace('"mx1": {', '"mx-1": {}, "mx.1": {'))
        refuses("mx-1 and mx.1 would share the channel mx1: rename one", source=source)

    def test_change_that_would_lose_mail(self) -> None:
        refuses(
            "cyrus_imapd_settings would change hashimapspool from yes to no on a host that has",
            extra={"cyrus_imapd_settings": {**SETTINGS, "hashimapspool": False}},
        )

    def test_option_that_cyrus_refuses(self) -> None:
        refuses(
            "Cyrus refuses the new imapd.conf, nothing was changed",
            extra={"cyrus_imapd_settings": {**SETTINGS, "autocreate_quota": "much"}},
        )


def test_two_masters_are_refused() -> None:
    path = "/var/lib/cyrus-replication/role.json"
    claim = json.dumps(
        {
            "store": "store1",
            "host": "imap3",
            "role": "master",
            "master": "imap3",
            "epoch": 1,
            "since": "2026-01-01T00:00:00Z",
        }
    )
    with (
        lab.unguarded(STORE),
        changed_file("imap3", path, f"echo '{claim}' > {path}"),
    ):
        refuses_what_is_there("store store1 has two masters in epoch 1, imap1 and imap3")


def test_different_layouts_are_refused() -> None:
    with changed_file("imap3", "/etc/imapd.conf", "sed -i '1i fulldirhash: yes' /etc/imapd.conf"):
        refuses_what_is_there(
            "differ in settings that have to be equal, nothing was changed",
            "fulldirhash: imap1 no, imap2 no, imap3 yes",
        )


def test_service_that_is_not_installed_is_refused() -> None:
    path = "/etc/cyrus.conf"
    edit = f'sed -i -e 1d -e \'/^SERVICES/a pop3 cmd="pop3d" listen="110"\' {path}'
    with changed_file(MASTER, path, edit):
        refuses_what_is_there(
            "SERVICES entry pop3 needs pop3d, which is not installed: "
            "install the package cyrus-pop3d or remove the line",
            # What the other hosts would take is not written there either.
            extra={"cyrus_imapd_settings": {**SETTINGS, "autocreate_quota": 1}},
        )


# Without TLS


def test_plain_link_serves_its_upstream_alone() -> None:
    extra = {"cyrus_link": "plain"}
    try:
        run = lab.playbook("setup", extra=extra)
        assert run.rc == 0, run.output
        replicates()
        for name in REPLICAS:
            for port in (2015, 2016):
                with socket.create_connection((lab.address(name), port), timeout=5) as stranger:
                    assert not greeting(stranger)
                greeted = f"timeout 5 bash -c 'head -c 2 </dev/tcp/{lab.address(name)}/{port}'"
                assert lab.ssh(MASTER, greeted).stdout == "* "
        other = f"timeout 5 bash -c 'head -c 2 </dev/tcp/{lab.address('imap2')}/2015'"
        assert lab.ssh("imap3", other, check=False).stdout == ""
        links = "systemctl list-units --plain --no-legend 'cyrus-link@*'"
        assert [lab.ssh(name, links).stdout for name in STORE] == ["", "", ""]
        again = lab.playbook("setup", "-v", extra=extra)
        assert again.changed() == 0, again.output
    finally:
        run = lab.playbook("setup")
    assert run.rc == 0, run.output
    replicates()
    assert "mailops" not in lab.ssh("imap2", "cat /etc/hosts.allow").stdout


def greeting(stranger: socket.socket) -> bytes:
    try:
        return stranger.recv(100)
    except ConnectionResetError:
        return b""
