# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import ipaddress
import json
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _address,
    _clearance,
    _command,
    _fence,
    _neighbours,
    _role,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

VIP = "192.0.2.50/24"


class Host:
    """A host with one interface, and what is done to it."""

    def __init__(self) -> None:
        self.addresses = ["192.0.2.11/24"]
        self.other: str | None = None
        self.announced: list[str] = []
        self.enabled = False
        self.keeps = False

    def run(self, cmd: list[str], timeout: float) -> _command.Completed:
        if cmd[0] == "systemctl":
            self.enabled = self.enabled or cmd[1] == "enable"
            return _command.Completed(cmd, 0, "enabled\n" if self.enabled else "disabled\n", "")
        if cmd[1:3] == ["addr", "add"]:
            self.addresses.append(cmd[3])
        elif cmd[1:3] == ["addr", "del"] and not self.keeps:
            self.addresses.remove(cmd[3])
        shown = [
            {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
            {
                "ifname": "eth0",
                "addr_info": [
                    {"local": str(own.ip), "prefixlen": own.network.prefixlen}
                    for own in map(ipaddress.ip_interface, self.addresses)
                ],
            },
        ]
        return _command.Completed(cmd, 0, json.dumps(shown), "")


@pytest.fixture
def host(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Host:
    """The cleared master."""
    host = Host()
    record = _role.Record("s", "imap1", "master", "imap1", 3, "2026-01-01T00:00:00Z")
    monkeypatch.setattr(_command, "run", host.run)
    monkeypatch.setattr(_address, "FILE", str(tmp_path / "addresses.json"))
    monkeypatch.setattr(_role, "read", lambda: record)
    monkeypatch.setattr(_fence, "read", lambda: None)
    monkeypatch.setattr(_clearance, "valid", lambda epoch: epoch == 3)
    monkeypatch.setattr(_neighbours, "other_owner", lambda interface, ip: host.other)
    monkeypatch.setattr(
        _neighbours, "announce", lambda interface, ip: host.announced.append(f"{ip} {interface}")
    )
    return host


def test_master_takes_the_address_and_tells_everybody(host: Host) -> None:
    done = ["keep 192.0.2.50 for eth0", "add 192.0.2.50 to eth0", f"enable {_address.UNIT}"]
    assert _address.present(VIP, "auto", check=True) == done
    assert host.addresses == ["192.0.2.11/24"]
    assert not host.announced
    assert _address.present(VIP, "auto", check=False) == done
    assert host.addresses == ["192.0.2.11/24", VIP]
    assert host.announced == ["192.0.2.50 eth0"]
    assert _address.present(VIP, "auto", check=False) == []
    assert host.announced == ["192.0.2.50 eth0"] * 2


def test_address_is_given_up(host: Host) -> None:
    _address.present(VIP, "auto", check=False)
    done = ["forget 192.0.2.50", "remove 192.0.2.50 from eth0"]
    assert _address.absent(VIP, check=True) == done
    assert _address.absent(VIP, check=False) == done
    assert host.addresses == ["192.0.2.11/24"]
    assert _address.absent(VIP, check=False) == []
    assert _address.up() == []


def test_address_that_stays_is_an_error(host: Host) -> None:
    _address.present(VIP, "auto", check=False)
    host.keeps = True
    with pytest.raises(ReplicationError, match=r"192.0.2.50 is still on eth0 here"):
        _address.absent(VIP, check=False)


def test_address_that_somebody_answers_for_is_refused(host: Host) -> None:
    host.other = "02:00:00:00:00:01"
    with pytest.raises(ReplicationError, match="still answered for by 02:00:00:00:00:01 on eth0"):
        _address.present(VIP, "auto", check=False)
    assert host.addresses == ["192.0.2.11/24"]
    assert _address.configured() == []


def test_check_on_the_holder_tells_of_another(host: Host) -> None:
    _address.present(VIP, "auto", check=False)
    host.other = "02:00:00:00:00:01"
    with pytest.raises(ReplicationError, match="answered for by 02:00:00:00:00:01 as well"):
        _address.absent(VIP, check=True)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no record", "run setup"),
        ("replica", "imap1 is replica, the master is imap2"),
        ("fenced", "imap1 is fenced since then by guard: why"),
        ("not cleared", "imap1 is not yet known to be still the master"),
    ],
)
def test_only_a_cleared_master_has_it(
    host: Host, monkeypatch: pytest.MonkeyPatch, what: str, said: str
) -> None:
    _address.present(VIP, "auto", check=False)
    replica = _role.Record("s", "imap1", "replica", "imap2", 3, "")
    if what == "no record":
        monkeypatch.setattr(_role, "read", lambda: None)
    elif what == "replica":
        monkeypatch.setattr(_role, "read", lambda: replica)
    elif what == "fenced":
        monkeypatch.setattr(_fence, "read", lambda: _fence.Fence("then", "guard", "why"))
    else:
        monkeypatch.setattr(_clearance, "valid", lambda epoch: False)
    assert said in _address.hindrance()
    with pytest.raises(ReplicationError, match=f"was not added: .*{said}"):
        _address.present(VIP, "auto", check=False)
    assert _address.up()[0] == "remove 192.0.2.50 from eth0"
    assert host.addresses == ["192.0.2.11/24"]
    # It stays its own: as soon as the host may, it has it again.
    assert [each.address for each in _address.configured()] == [VIP]


def test_damaged_record_gives_the_address_up(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    _address.present(VIP, "auto", check=False)

    def damaged() -> None:
        raise ReplicationError("damaged")

    monkeypatch.setattr(_role, "read", damaged)
    with pytest.raises(ReplicationError, match="damaged"):
        _address.up()
    assert host.addresses == ["192.0.2.11/24"]


def test_up_and_down(host: Host) -> None:
    _address.present(VIP, "auto", check=False)
    assert _address.down() == ["remove 192.0.2.50 from eth0"]
    assert _address.down() == []
    assert _address.up() == ["add 192.0.2.50 to eth0"]
    assert _address.up() == []


def test_interface_is_chosen_by_its_network() -> None:
    own = [_address.Address("10.0.0.1/8", "eth0"), _address.Address("192.0.2.11/24", "eth1")]
    assert _address.choose_interface(VIP, own) == "eth1"
    with pytest.raises(ReplicationError, match="no interface here has a network with 2001:db8::5"):
        _address.choose_interface("2001:db8::5/64", own)


def test_what_is_no_address_is_refused() -> None:
    assert _address.parse("192.0.2.50") == "192.0.2.50/32"
    with pytest.raises(ReplicationError, match="address is 'x'"):
        _address.parse("x")
