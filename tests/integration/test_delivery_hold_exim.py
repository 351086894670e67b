# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The same with Exim, in front of the mail exchanger, as Debian configures it.

TEST_LONG=1 tries its other way of configuration too, and ends the module at more points.
"""

from __future__ import annotations

import smtplib
import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab import site
from tests.lab.mail import generate, the_store

from . import lab
from .ledger import Ledger, idents
from .load import SmtpLoad, at, message

RELAY, MASTER = "ns1", "imap1"
USERS = [f"u{number:05}" for number in range(1, 5)]
MEANT: dict[str, Any] = {"store": "store1", "driver": "exim", "domains": ["lab.test"]}

SPLIT = pytest.param("true", id="split")
ONE_FILE = pytest.param("false", id="one file")

_SETTINGS = """
dc_eximconfig_configtype='internet'
dc_other_hostnames='ns1.lab.test'
dc_local_interfaces=''
dc_relay_domains='lab.test:other.test'
dc_relay_nets='{network}'
dc_use_split_config='{split}'
CFILEMODE='644'
dc_mailname_in_oh='true'
dc_localdelivery='mail_spool'
"""
_INSTALL = """
set -e
dpkg -s exim4-daemon-light > /dev/null 2>&1 ||
    DEBIAN_FRONTEND=noninteractive apt-get -qq install --no-install-recommends exim4-daemon-light
cat > /etc/exim4/update-exim4.conf.conf
printf 'lab.test: {mta}\\nother.test: {mta}\\n' > /etc/exim4/hubbed_hosts
update-exim4.conf
systemctl restart exim4
"""


@pytest.fixture(scope="module", params=[SPLIT, ONE_FILE] if lab.LONG else [SPLIT])
def relay(request: pytest.FixtureRequest) -> Iterator[None]:
    store = the_store()
    site.surround(store)
    generate(store, len(USERS), seed=4, folders=1, count=1)
    network = lab.address(RELAY).rpartition(".")[0] + ".0/24"
    lab.ssh(
        RELAY,
        _INSTALL.replace("{mta}", lab.address("mx1")),
        data=_SETTINGS.format(network=network, split=request.param),
        timeout=300,
    )
    yield
    lab.ssh(RELAY, "systemctl stop exim4")


def hold(check: bool = False, stop_at: str = "", **more: Any) -> Any:
    wanted = {**MEANT, **more}
    return lab.module(RELAY, "delivery_hold", check=check, stop_at=stop_at, state="held", **wanted)


def release(check: bool = False, stop_at: str = "") -> Any:
    return lab.module(
        RELAY, "delivery_hold", check=check, stop_at=stop_at, state="released", **MEANT
    )


def info() -> Any:
    return lab.module(RELAY, "delivery_info", **MEANT)


def files() -> str:
    return lab.ssh(RELAY, "find /etc/exim4 -type f -exec sha256sum {} + | sort -k2").stdout


def queue() -> str:
    return lab.ssh(RELAY, "exim4 -bp").stdout


def send(ledger: Ledger, domain: str) -> str:
    ident = ledger.new_ident()
    with smtplib.SMTP(lab.address(RELAY), 25, "load.lab.test", timeout=30) as session:
        session.sendmail("sender@example.com", [f"{USERS[0]}@{domain}"], message(ident, USERS[0]))
    return ident


def test_a_hold_under_load(relay: None) -> None:
    ledger = Ledger()
    before = files()
    assert info()["held"] is False
    assert hold(check=True)["changed"]
    assert files() == before
    with SmtpLoad(ledger, USERS, rate=5, where=at(RELAY)):
        lab.until(lambda: len(ledger.accepted()) >= 5, 20)
        held = hold()
        assert (held.get("msg"), held["held"]) == (None, True)
        time.sleep(1)
        there = sum(map(len, idents(MASTER, USERS).values()))
        assert hold()["changed"] is False
        send(ledger, "other.test")
        lab.until(lambda: queue().count("sender@example.com") >= 20, 30)
        assert "other.test" not in queue()
    assert sum(map(len, idents(MASTER, USERS).values())) == there
    found = info()
    assert (found["held"], found["reason"]) == (True, None)
    assert found["queued"] >= 20
    released = release()
    assert (released["held"], released["queued"]) == (False, found["queued"])
    ledger.check_soon(MASTER, 30).assert_exactly_once()
    assert files() == before
    lab.until(lambda: not queue().strip(), 20, what="an empty queue")
    assert release()["changed"] is False


def test_killed_and_undone(relay: None) -> None:
    before = files()
    for point in ("noted", "installed", "reloaded") if lab.LONG else ("installed",):
        assert hold(stop_at=f"{point}:1")["failed"]
        assert release()["held"] is False
        assert files() == before


def test_refusals(relay: None) -> None:
    refused = lab.module(
        RELAY, "delivery_hold", state="held", store="store1", driver="exim", transports=["x"]
    )
    assert "Exim holds domains" in refused["msg"]
    lab.ssh(RELAY, "systemctl stop exim4")
    try:
        assert "does not run" in hold()["msg"]
        assert info()["running"] is False
    finally:
        lab.ssh(RELAY, "systemctl start exim4")
