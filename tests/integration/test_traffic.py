# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Traffic pointed there and back by each driver, and what stands in its way.

Needs a store that is set up on imap1 and imap2, and the hosts mx1 and ns1.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.lab import dns, mta

from . import lab

OLD, NEW = "imap1", "imap2"
NAME = "store1.lab.test"
STATE = "/var/lib/cyrus-replication"
Entry = dict[str, Any]


@pytest.fixture(scope="module", autouse=True)
def around() -> None:
    """The name server and the mail exchanger."""
    dns.ensure()
    mta.ensure()


@dataclass(frozen=True)
class Done:
    """What the role left."""

    said: list[str]
    changed: int
    output: str


Point = Callable[..., Done]


@pytest.fixture
def point(tmp_path: Path) -> Point:
    """Run the role on the store's hosts and the delivery hosts."""

    def run(
        *entries: Entry, step: str = "main", to: str = NEW, check: bool = False, **more: Any
    ) -> Done:
        told = tmp_path / "told"
        fact = "reasons" if step == "preflight" else "failures"
        tasks = [
            {
                "ansible.builtin.include_role": {
                    "name": "mailops.cyrus.traffic",
                    "tasks_from": step,
                }
            },
            {
                "ansible.builtin.copy": {
                    "content": f"{{{{ cyrus_traffic_{fact} | to_json }}}}",
                    "dest": str(told),
                },
                "check_mode": False,
                "changed_when": False,
                "delegate_to": "localhost",
                "become": False,
                "run_once": True,
            },
        ]
        play = {"hosts": "cyrus:cyrus_mta", "gather_facts": False, "become": True, "tasks": tasks}
        (tmp_path / "play.yml").write_text(json.dumps([play]))
        extra = {
            "cyrus_traffic_from": NEW if to == OLD else OLD,
            "cyrus_traffic_target": to,
            **more,
        }
        if entries:
            extra["cyrus_traffic"] = entries
        (tmp_path / "extra.json").write_text(json.dumps(extra))
        command = [str(lab.BIN / "ansible-playbook"), "-i", str(lab.INVENTORY), "--diff"]
        command += ["-e", f"@{tmp_path / 'extra.json'}", str(tmp_path / "play.yml")]
        done = subprocess.run(
            command + (["--check"] if check else []),
            check=False,
            cwd=lab.ROOT,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=300,
            env={**os.environ, "ANSIBLE_CONFIG": str(lab.ROOT / "ansible.cfg")},
        )
        assert done.returncode == 0, done.stdout
        said = json.loads(told.read_text())
        return Done(said, lab.Run(0, done.stdout).changed(), done.stdout)

    return run


def four_runs(point: Point, *entries: Entry, state: Callable[[], object], **more: Any) -> Done:
    """Look, check, do, and do again; returns what the check said."""
    before = state()
    for step in ("preflight", "main"):
        checked = point(*entries, step=step, check=step == "main", **more)
        assert checked.said == [], checked.output
        assert state() == before
        assert checked.changed == (1 if step == "main" else 0), checked.output
    done = point(*entries, **more)
    assert (done.said, done.changed) == ([], 1), done.output
    assert state() != before
    again = point(*entries, **more)
    assert (again.said, again.changed) == ([], 0), again.output
    return checked


# hosts_file


def hosts_of_mx() -> str:
    return lab.ssh("mx1", "cat /etc/hosts").stdout


@lab.only_long
def test_hosts_file_there_and_back(point: Point) -> None:
    entry = {"driver": "hosts_file", "name": "name.lab.test", "hosts": ["cyrus_mta"]}
    before = hosts_of_mx()
    try:
        checked = four_runs(point, entry, state=hosts_of_mx)
        assert f"+{lab.address(NEW)}\tname.lab.test" in checked.output
        found = lab.ssh("mx1", "getent ahosts name.lab.test").stdout.split()
        assert found[0] == lab.address(NEW)
        assert point(entry, to=OLD).said == []
        assert hosts_of_mx() == f"{before}{lab.address(OLD)}\tname.lab.test # mailops.cyrus\n"
    finally:
        lab.ssh("mx1", "sed -i '/name.lab.test/d' /etc/hosts")


def test_a_site_s_own_line_is_refused(point: Point) -> None:
    entry = {"driver": "hosts_file", "name": "imap2.lab.test", "hosts": ["mx1", "ns1"]}
    before = hosts_of_mx()
    done = point(entry, step="preflight")
    assert len(done.said) == 2
    assert any("mx1: /etc/hosts has a line of its own for imap2.lab.test" in s for s in done.said)
    # Not in the play, and not forgotten.
    assert any(sentence.startswith("hosts_file: ns1: ") for sentence in done.said)
    assert len(point(entry).said) == 2
    assert hosts_of_mx() == before


# dns


def entry_of_dns(**other: object) -> Entry:
    found = next(e for e in lab.var("cyrus_traffic", OLD) if e["driver"] == "dns")
    return {**found, "key_secret": lab.var("lab_dns_secret", OLD), **other}


def asked(*options: str) -> list[str]:
    words = " ".join(options)
    return lab.ssh(dns.SERVER, f"dig @127.0.0.1 +noall +answer {words}").stdout.split()


def record() -> tuple[str, str]:
    """TTL and address of the store's name."""
    answer = asked(NAME, "A")
    return answer[1], answer[4]


def serial() -> str:
    return asked("lab.test", "SOA")[6]


def name_old() -> None:
    options = entry_of_dns(addresses=[lab.address(OLD)])
    for name in ("driver", "ttl_low"):
        options.pop(name)
    assert not lab.module(OLD, "dns_address", **options).get("failed")


@pytest.fixture
def _named() -> Iterator[None]:
    """The name is the old master's, before and after."""
    name_old()
    yield
    name_old()


@pytest.mark.usefixtures("_named")
def test_dns_there_and_back(point: Point) -> None:
    # As the inventory has it, with the key in a variable of its own.
    assert point(step="prepare").said == []
    assert record() == ("5", lab.address(OLD))
    before = serial()
    checked = point(check=True)
    assert checked.said == []
    assert lab.address(NEW) in checked.output
    assert point(step="preflight").changed == 0
    assert serial() == before
    four_runs(point, state=record)
    assert record() == ("5", lab.address(NEW))
    assert lab.ssh("mx1", f"getent hosts {NAME}").stdout.split()[0] == lab.address(NEW)
    settled = point(step="settle")
    assert (settled.said, record()) == ([], ("300", lab.address(NEW)))
    assert point(step="settle").changed == 0
    assert point(to=OLD).said == []
    assert record() == ("5", lab.address(OLD))
    assert lab.var("lab_dns_secret", OLD) not in checked.output + settled.output


@pytest.mark.usefixtures("_named")
def test_dns_has_all_addresses_of_the_target(point: Point) -> None:
    both = {"cyrus_service_addresses": [lab.address(NEW), "2001:db8::12"]}
    assert point(**both).said == []
    assert asked(NAME, "AAAA")[4] == "2001:db8::12"
    assert point(to=OLD).said == []
    assert asked(NAME, "AAAA") == []


REFUSALS: list[tuple[Entry, str]] = [
    ({"key_secret": "AAAA"}, "has another secret for the key store1"),
    ({"key_name": "nobody"}, "does not know the key nobody for hmac-sha256"),
    ({"key_algorithm": "hmac-sha1"}, "does not know the key store1 for hmac-sha1"),
    ({"name": "imap2.lab.test"}, "answers REFUSED to an update of imap2.lab.test: let update-"),
    (
        {"zone": "fixed.test", "name": "store1.fixed.test"},
        "answers REFUSED to an update of store1.f",
    ),
    ({"zone": "none.test", "name": "a.none.test"}, "no primary server of zone none.test"),
    ({"port": 5353, "timeout": 1}, "does not answer on port 5353"),
    ({"verify": [lab.address("mx1")], "timeout": 1}, "does not answer on port 53 "),
]


def test_update_that_bind_refuses_is_one_sentence(point: Point) -> None:
    before = serial()
    done = point(*(entry_of_dns(**other) for other, _said in REFUSALS), step="preflight")
    assert len(done.said) == len(REFUSALS)
    for sentence, (_other, said) in zip(done.said, REFUSALS):
        assert sentence.startswith("dns: ")
        assert said in sentence
    assert serial() == before


@pytest.mark.usefixtures("_named")
def test_update_that_is_refused_changes_nothing(point: Point) -> None:
    before = serial()
    (said,) = point(entry_of_dns(key_secret="AAAA")).said
    assert "has another secret for the key store1" in said
    assert (serial(), record()[1]) == (before, lab.address(OLD))


# postfix_transport


def next_hop() -> str:
    return lab.ssh("mx1", "postmap -q lab.test hash:/etc/postfix/transport").stdout.strip()


def transport(**other: object) -> Entry:
    return {
        "driver": "postfix_transport",
        "hosts": "cyrus_mta",
        "keys": ["lab.test"],
        "nexthop": "store1:inet:[{address}]:24",
        **other,
    }


@lab.only_long
def test_next_hop_there_and_back(point: Point) -> None:
    lab.ssh("mx1", "cp -a /etc/postfix/transport /root/transport.kept")
    try:
        four_runs(point, transport(), state=next_hop)
        assert next_hop() == f"store1:inet:[{lab.address(NEW)}]:24"
        table = lab.ssh("mx1", "cat /etc/postfix/transport").stdout.splitlines()
        assert len(table) == len(mta.transports().splitlines())
        assert point(transport(), to=OLD).said == []
        assert next_hop() == f"store1:inet:[{lab.address(OLD)}]:24"
        # A run that was cut off between the text and what Postfix reads of it.
        lab.ssh("mx1", f"sed -i 's/{lab.address(OLD)}/{lab.address(NEW)}/' /etc/postfix/transport")
        assert point(transport()).changed == 1
        assert next_hop() == f"store1:inet:[{lab.address(NEW)}]:24"
    finally:
        lab.ssh("mx1", "mv /root/transport.kept /etc/postfix/transport")
        lab.ssh("mx1", "postmap /etc/postfix/transport && postfix reload")


def test_table_that_does_not_fit_is_refused(point: Point) -> None:
    before = next_hop()
    done = point(
        transport(keys=["lab.test", "typo.test"]),
        transport(table="/etc/postfix/other"),
        transport(hosts=["ns1"]),
        step="preflight",
    )
    assert len(done.said) == 3
    assert "has no line for typo.test: see keys" in done.said[0]
    assert "Postfix does not read /etc/postfix/other" in done.said[1]
    assert "ns1: the program postconf is missing" in done.said[2]
    assert next_hop() == before


# vip


ADDRESS = lab.address(OLD).rpartition(".")[0] + ".50"
VIP: Entry = {"driver": "vip", "address": f"{ADDRESS}/24"}


def card(host: str) -> str:
    shown = lab.ssh(host, "ip -o link show eth0").stdout.split()
    return shown[shown.index("link/ether") + 1]


def has(host: str, address: str = ADDRESS) -> bool:
    shown = lab.ssh(host, f"ip -o addr show to {address}").stdout
    return bool(shown)


def holders() -> list[str]:
    return [host for host in (OLD, NEW) if has(host)]


def neighbour() -> str:
    """Where a third host sends what is for the address."""
    shown = lab.ssh("mx1", f"ip neigh show {ADDRESS}").stdout.split()
    return shown[shown.index("lladdr") + 1] if "lladdr" in shown else ""


def reaches() -> bool:
    return lab.ssh("mx1", f"ping -c 1 -W 1 {ADDRESS}", check=False).returncode == 0


GUARD = "cyrus-guard.service"
OFF = f"/etc/systemd/system/{GUARD}.d"
NEVER = "[Unit]\\nConditionPathExists=/nowhere\\n"


class Masters:
    """The record alone says who is master, on both hosts; the mail stays where it is."""

    def __init__(self) -> None:
        self.epoch = 1

    def be(self, master: str, *hosts: str) -> None:
        self.epoch += 1
        for host in hosts or (OLD, NEW):
            claim = {
                "store": "store1",
                "host": host,
                "role": "master" if host == master else "replica",
                "master": master,
                "epoch": self.epoch,
                "since": "2026-01-01T00:00:00Z",
            }
            lab.ssh(host, f"cat > {STATE}/role.json", data=json.dumps(claim))
        self.clear(master)

    def clear(self, host: str) -> None:
        told = json.dumps({"epoch": self.epoch})
        lab.ssh(host, "mkdir -p /run/cyrus-replication")
        lab.ssh(host, "cat > /run/cyrus-replication/cleared.json", data=told)


@pytest.fixture
def masters() -> Iterator[Masters]:
    """Without the guards, which would ask each other what this is about."""
    kept = {host: lab.ssh(host, f"cat {STATE}/role.json").stdout for host in (OLD, NEW)}
    for host in kept:
        lab.ssh(host, f"mkdir -p {OFF} && printf '{NEVER}' > {OFF}/off.conf")
        lab.ssh(host, f"systemctl daemon-reload; systemctl stop {GUARD}")
    yield Masters()
    for host, text in kept.items():
        lab.ssh(host, f"ip addr del {VIP['address']} dev eth0", check=False)
        lab.ssh(host, f"rm -f {STATE}/addresses.json; cat > {STATE}/role.json", data=text)
        lab.ssh(host, f"rm -rf {OFF} /run/cyrus-replication/cleared.json; systemctl daemon-reload")
    # They clear the master, which opens it to clients.
    for host in kept:
        lab.ssh(host, f"systemctl start {GUARD}")
    lab.until(lambda: lab.ssh(OLD, "ss -Hltn sport = :143").stdout, 60, what=f"{OLD} serves")


@contextmanager
def also_on(host: str) -> Iterator[None]:
    lab.ssh(host, f"ip addr add {VIP['address']} dev eth0")
    try:
        yield
    finally:
        lab.ssh(host, f"ip addr del {VIP['address']} dev eth0", check=False)


@pytest.mark.usefixtures("masters")
def test_plain_move_leaves_neighbours_with_the_old_host() -> None:
    with also_on(OLD):
        assert reaches()
        assert neighbour() == card(OLD)
    with also_on(NEW):
        # What Linux does by itself tells nobody.
        assert not reaches()
        assert neighbour() == card(OLD)
    lab.ssh("mx1", f"ip neigh flush to {ADDRESS}")


def test_vip_there_and_back(point: Point, masters: Masters) -> None:
    masters.be(OLD)
    assert point(VIP, to=OLD).said == []
    assert (holders(), reaches(), neighbour()) == ([OLD], True, card(OLD))
    masters.be(NEW)
    four_runs(point, VIP, state=holders)
    # Before mx1 has sent anything to it.
    assert neighbour() == card(NEW)
    assert (holders(), reaches()) == ([NEW], True)
    masters.be(OLD)
    assert point(VIP, to=OLD).said == []
    assert (neighbour(), reaches(), holders()) == (card(OLD), True, [OLD])


@lab.only_long
def test_address_that_somebody_answers_for_is_refused(point: Point, masters: Masters) -> None:
    masters.be(NEW)
    with also_on("ns1"):
        (said,) = point(VIP).said
        assert f"vip: {NEW}: {ADDRESS} is still answered for by {card('ns1')} on eth0" in said
        assert holders() == []
    assert point(VIP).said == []
    with also_on("ns1"):
        (said,) = point(VIP, step="preflight", to=OLD).said
        assert f"vip: {NEW}: {ADDRESS} is on eth0 here and answered for by {card('ns1')}" in said
    assert holders() == [NEW]


@lab.only_long
def test_host_that_is_not_master_is_refused(point: Point, masters: Masters) -> None:
    masters.be(OLD)
    (said,) = point(VIP).said
    assert f"{ADDRESS} was not added: {NEW} is replica, the master is {OLD}" in said
    lab.ssh(OLD, "rm /run/cyrus-replication/cleared.json")
    (said,) = point(VIP, to=OLD).said
    assert f"was not added: {OLD} is not yet known to be still the master" in said
    assert holders() == []


# What the guard does once it has asked its peers.
CLEARED = """
[Service]
ExecStartPre=install -D /root/cleared.json /run/cyrus-replication/cleared.json
"""


@lab.only_long
def test_reboot_brings_it_back_to_the_master_alone(point: Point, masters: Masters) -> None:
    plain = lab.address(OLD).rpartition(".")[0] + ".51"
    unit = (
        "[Unit]\nAfter=network-online.target\n[Service]\nType=oneshot\n"
        f"ExecStart=ip addr replace {plain}/24 dev eth0\n[Install]\nWantedBy=multi-user.target\n"
    )
    path = "/etc/systemd/system/plain-address.service"
    cleared = "/etc/systemd/system/cyrus-address.service.d/cleared.conf"
    masters.be(OLD)
    assert point(VIP, to=OLD).said == []
    lab.ssh(OLD, f"cat > {path}; systemctl enable plain-address", data=unit)
    try:
        # Meanwhile another host has become master.
        masters.be(NEW)
        lab.lab("reboot", OLD)
        assert has(OLD, plain)
        assert not has(OLD)
        told = lab.ssh(OLD, "journalctl -b -o cat -u cyrus-address").stdout
        assert f"{OLD} is replica, the master is {NEW}" in told
        assert point(VIP).said == []
        assert holders() == [NEW]
        masters.be(OLD)
        assert point(VIP, to=OLD).said == []
        lab.ssh(OLD, "cp /run/cyrus-replication/cleared.json /root")
        lab.ssh(OLD, f"mkdir -p $(dirname {cleared}) && cat > {cleared}", data=CLEARED)
        lab.lab("reboot", OLD)
        assert holders() == [OLD]
        fence = {"since": "2026-01-01T00:00:00Z", "by": "administrator", "reason": "test"}
        lab.ssh(OLD, f"cat > {STATE}/fence.json", data=json.dumps(fence))
        lab.ssh(OLD, "cyrus-replication address up")
        assert holders() == []
        lab.ssh(OLD, f"rm {STATE}/fence.json; cyrus-replication address up")
        assert (holders(), reaches()) == ([OLD], True)
    finally:
        lab.ssh(OLD, f"rm -f {STATE}/fence.json {cleared}")
        lab.ssh(OLD, f"systemctl disable plain-address; rm {path}; systemctl daemon-reload")
        lab.ssh(OLD, f"ip addr del {plain}/24 dev eth0", check=False)


# hook, and what is wrong in itself


HOOK = """
- ansible.builtin.command:
    argv: [touch, "{mark}-{{{{ cyrus_traffic_action }}}}-{{{{ cyrus_traffic_target }}}}"]
  delegate_to: localhost
  become: false
  when: not ansible_check_mode
- ansible.builtin.ping:
  delegate_to: nowhere
  register: pinged
  vars: {{ansible_host: 127.0.0.1, ansible_port: 1}}
  when: fault | default('') == 'unreachable'
- ansible.builtin.fail: {{msg: it does not work}}
  when: fault | default('') == 'failure'
- ansible.builtin.set_fact: {{cyrus_traffic_hook_done: "{{{{ pinged is not unreachable }}}}"}}
"""


@lab.only_long
def test_hook(point: Point, tmp_path: Path) -> None:
    file, mark = tmp_path / "hook.yml", tmp_path / "mark"
    file.write_text(HOOK.format(mark=mark))
    entry = {"driver": "hook", "tasks": str(file)}
    names = {"main": "point", "preflight": "preflight", "prepare": "prepare", "settle": "settle"}
    for step, action in names.items():
        assert point(entry, step=step).said == []
        assert Path(f"{mark}-{action}-{NEW}").exists()
    assert point(entry, to=OLD).said == []
    assert Path(f"{mark}-point-{OLD}").exists()


@pytest.mark.parametrize(
    ("fault", "said"),
    [("failure", "it does not work"), ("unreachable", "does not say that it is done")],
)
def test_hook_that_fails_is_told_and_others_go_on(
    point: Point, tmp_path: Path, fault: str, said: str
) -> None:
    file = tmp_path / "hook.yml"
    file.write_text(HOOK.format(mark=tmp_path / "mark"))
    after = {"driver": "hosts_file", "name": "late.lab.test", "hosts": ["cyrus_mta"]}
    try:
        done = point({"driver": "hook", "tasks": str(file)}, after, fault=fault)
        (sentence,) = done.said
        assert sentence.startswith("hook: ")
        assert said in sentence
        assert "late.lab.test" in hosts_of_mx()
    finally:
        lab.ssh("mx1", "sed -i '/late.lab.test/d' /etc/hosts")


def test_all_reasons_at_once(point: Point) -> None:
    done = point(
        {"driver": "hook", "tasks": "gone.yml"},
        {"driver": "carrier"},
        entry_of_dns(zone="", key_secret="AAAA"),
        {"driver": "hosts_file", "name": "a.lab.test", "hosts": ["mx9"]},
        entry_of_dns(key_secret="AAAA"),
        step="preflight",
    )
    text = "\n".join(done.said)
    for part in (
        "gone.yml: see cyrus_traffic",
        "entry 2: there is no driver carrier",
        "entry 3: the driver dns needs zone",
        "entry 4: hosts names mx9",
        "another secret for the key store1",
    ):
        assert part in text
    assert len(done.said) == 5
