# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host of a store has to run in each role."""

from __future__ import annotations

import re

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _store
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._store import Store

V3_6 = (3, 6, 1)
V3_2 = (3, 2, 6)


def store(**options: object) -> Store:
    hosts = [{"name": f"imap{n}", "address": f"198.51.100.1{n}"} for n in (2, 1, 3)]
    return Store.load({"name": "s", "hosts": hosts, **options})


def test_master_sends_to_every_replica_through_its_link() -> None:
    plan = _store.plan(store(), "imap1", "master", "imap1", {}, V3_6)
    assert plan.channels == ["imap2", "imap3"]
    assert plan.settings["sync_log_channels"] == "audit imap2 imap3"
    # In another order the file would be written anew, and Cyrus restarted for it.
    first = ["sync_log", "sync_log_channels", "sync_reconnect_maxwait", "imap2_sync_host"]
    ours = [key for key in plan.settings if "sync" in key]
    assert ours[:4] == first
    assert plan.settings["imap3_sync_host"] == "127.0.0.4"
    assert plan.settings["imap3_sync_port"] == "12007"
    assert "accept = 127.0.0.4:12007\nconnect = 198.51.100.13:2015" in plan.links["imap3"]
    assert "checkHost = imap3" in plan.links["imap3"]
    assert "verifyChain = yes" in plan.links["imap3"]
    assert set(plan.services) == {"privcsync", "privimap"}


def test_no_two_channels_share_the_name_of_a_lock() -> None:
    settings = _store.plan(store(), "imap1", "master", "imap1", {}, V3_6).settings
    assert settings["imap2_sync_host"] != settings["imap3_sync_host"]


def test_replica_listens_to_its_upstream_only() -> None:
    plan = _store.plan(store(), "imap2", "replica", "imap1", {"autocreate_quota": "0"}, V3_6)
    assert plan.channels == []
    assert plan.settings["sync_log"] == "0"
    assert plan.settings["readonly"] == "yes"
    assert plan.settings["autocreate_quota"] == "-1"
    assert plan.services["replcsync"].endswith('listen="127.0.0.1:2005"')
    assert plan.links["server"].count("checkHost = imap1") == 2
    assert plan.links["server"].count("verifyChain = yes") == 1
    assert plan.settings["replcsync_admins"] == "replication"


def chain(**upstreams: str) -> Store:
    hosts = [
        {
            "name": f"imap{n}",
            "address": f"198.51.100.1{n}",
            "upstream": upstreams.get(f"imap{n}", ""),
        }
        for n in (1, 2, 3, 4)
    ]
    return Store.load({"name": "s", "hosts": hosts})


def test_a_replica_passes_on_what_it_gets() -> None:
    described = chain(imap3="imap2")
    plan = _store.plan(described, "imap2", "replica", "imap1", {}, V3_6)
    assert plan.channels == ["imap3"]
    logs = {key: value for key, value in plan.settings.items() if key.startswith("sync_log")}
    assert logs == {"sync_log": "1", "sync_log_chain": "1", "sync_log_channels": "imap3"}
    assert plan.settings["readonly"] == "yes"
    assert plan.settings["imap3_sync_host"] == "127.0.0.4"
    assert set(plan.links) == {"imap3", "server", _store.GUARD_LINK}
    assert not {"sync_log_channels", "sync_log_chain"} & plan.absent
    master = _store.plan(described, "imap1", "master", "imap1", {}, V3_6)
    assert master.channels == ["imap2", "imap4"]
    last = _store.plan(described, "imap3", "replica", "imap1", {}, V3_6)
    assert "checkHost = imap2" in last.links["server"]
    assert "checkHost = imap1" not in last.links["server"]
    assert (last.channels, last.settings["sync_log"]) == ([], "0")


@pytest.mark.parametrize(
    ("master", "fed"),
    [
        ("imap1", {"imap1": ["imap2", "imap4"], "imap2": ["imap3"]}),
        # Whoever is master feeds who follows nobody else, and those whose upstream it is.
        ("imap2", {"imap2": ["imap1", "imap3", "imap4"]}),
        ("imap3", {"imap3": ["imap1", "imap2", "imap4"]}),
        ("imap4", {"imap4": ["imap1", "imap2"], "imap2": ["imap3"]}),
    ],
)
def test_everybody_is_fed_by_one_host_whoever_is_master(
    master: str, fed: dict[str, list[str]]
) -> None:
    described = chain(imap3="imap2")
    found = {}
    for name in ("imap1", "imap2", "imap3", "imap4"):
        role = "master" if name == master else "replica"
        channels = list(described.fed_by(name, role, master))
        assert described.fed_by(name, "fenced", master) == {}
        if channels:
            found[name] = channels
    assert found == fed
    straight = described.without_chains()
    assert list(straight.fed_by("imap1", "master", "imap1")) == ["imap2", "imap3", "imap4"]


def test_the_heartbeat_comes_by_the_first_channel_of_the_way() -> None:
    described = chain(imap3="imap2", imap4="imap3")
    firsts = [described.first_channel(name, "imap1") for name in ("imap2", "imap3", "imap4")]
    assert firsts == ["imap2", "imap2", "imap2"]
    assert described.first_channel("imap4", "imap2") == "imap3"


@pytest.mark.parametrize(
    ("upstreams", "said"),
    [
        ({"imap3": "imap9"}, "cyrus_upstream of imap3 names imap9, which is no host of store s"),
        ({"imap3": "imap3"}, "in a circle (imap3 -> imap3)"),
        ({"imap2": "imap4", "imap4": "imap2"}, "in a circle (imap2 -> imap4 -> imap2)"),
    ],
)
def test_a_chain_ends_at_the_master(upstreams: dict[str, str], said: str) -> None:
    with pytest.raises(ReplicationError, match=re.escape(said)):
        chain(**upstreams)


def test_a_channel_of_a_chain_is_not_named_like_the_link_to_its_upstream() -> None:
    hosts = [
        {"name": "imap1", "address": "198.51.100.11"},
        {"name": "server", "address": "198.51.100.12", "upstream": "imap1"},
    ]
    with pytest.raises(ReplicationError, match="rename it"):
        Store.load({"name": "s", "hosts": hosts})


def test_the_description_is_read_as_it_was_written() -> None:
    described = chain(imap3="imap2")
    assert Store.load(described.described()) == described
    assert described.described()["hosts"][0] == {"name": "imap1", "address": "198.51.100.11"}


def test_old_version_gets_no_option_that_it_does_not_know() -> None:
    assert "readonly" not in _store.plan(store(), "imap2", "replica", "imap1", {}, V3_2).settings
    master = _store.plan(store(), "imap1", "master", "imap1", {}, V3_2)
    assert "sync_reconnect_maxwait" not in master.settings


def test_fenced_host_neither_sends_nor_receives_and_its_successor_reads_it() -> None:
    plan = _store.plan(store(), "imap2", "fenced", "imap1", {}, V3_6)
    assert set(plan.services) == {"privcsync", "privimap"}
    assert (set(plan.links), plan.channels) == ({"guard-answer", "server"}, [])
    assert plan.settings["sync_log"] == "0"
    link = plan.links["server"]
    assert re.findall("accept = (.*)\nconnect = (.*)", link) == [("2016", _store.IMAP_SOCKET)]
    assert re.findall("checkHost = (.*)", link) == ["imap1"]


def test_fenced_host_is_read_over_a_plain_link() -> None:
    plan = _store.plan(store(link="plain"), "imap2", "fenced", "imap1", {}, V3_6)
    assert set(plan.services) == {"privcsync", "privimap", "replimap"}
    assert [allowed.split()[0] for allowed in plan.hosts_allow] == ["replimap:"]
    assert plan.settings["replimap_admins"] == "cyrus replication"


@pytest.mark.parametrize("role", ["master", "replica", "fenced"])
def test_a_host_of_any_role_answers_all_others(role: str) -> None:
    link = _store.plan(store(), "imap1", role, "imap1", {}, V3_6).links["guard-answer"]
    assert "accept = 2017\nconnect = /run/cyrus-replication/guard.sock\n" in link
    assert re.findall("checkHost = (.*)", link) == ["imap2", "imap3"]
    assert "verifyChain = yes" in link


@pytest.mark.parametrize(
    ("site", "channels"),
    [
        ({}, "audit imap2 imap3"),
        ({"sync_log_channels": "squatter imap3"}, "audit squatter imap3 imap2"),
        ({"sync_log": "yes"}, 'audit "" imap2 imap3'),
        ({"sync_log": "no"}, "audit imap2 imap3"),
    ],
)
def test_a_site_s_own_channels_stay(site: dict[str, str], channels: str) -> None:
    plan = _store.plan(store(), "imap1", "master", "imap1", site, V3_6)
    assert plan.settings["sync_log_channels"] == channels


def test_a_site_s_own_replication_to_the_store_is_taken_over() -> None:
    site = {"sync_log": "yes", "sync_log_channels": '"" squatter', "sync_host": "imap2"}
    plan = _store.plan(store(), "imap1", "master", "imap1", site, V3_6)
    assert plan.taken_over
    assert plan.settings["sync_log_channels"] == "audit squatter imap2 imap3"
    elsewhere = _store.plan(
        store(), "imap1", "master", "imap1", {**site, "sync_host": "offsite"}, V3_6
    )
    assert not elsewhere.taken_over
    assert elsewhere.settings["sync_log_channels"] == 'audit "" squatter imap2 imap3'


def test_a_site_s_administrators_stay() -> None:
    plan = _store.plan(store(), "imap1", "master", "imap1", {"admins": "root anna"}, V3_6)
    assert plan.settings["admins"] == "root anna cyrus"


def test_plain_link_serves_its_upstream_s_address_only() -> None:
    plan = _store.plan(store(link="plain"), "imap2", "replica", "imap1", {}, V3_6)
    assert plan.links == {}
    assert 'listen="198.51.100.12:2015"' in plan.services["replcsync"]
    assert "replcsync: 198.51.100.11 : ALLOW\nreplcsync: ALL : DENY\n" in plan.hosts_allow
    assert "replimap: 198.51.100.11 : ALLOW\nreplimap: ALL : DENY\n" in plan.hosts_allow
    master = _store.plan(store(link="plain"), "imap1", "master", "imap1", {}, V3_6)
    assert (master.links, master.hosts_allow) == ({}, [])
    assert master.settings["imap2_sync_host"] == "198.51.100.12"


def test_plain_link_needs_addresses() -> None:
    hosts = [{"name": "a", "address": "a.example"}, {"name": "b", "address": "::1"}]
    named = Store.load({"name": "s", "hosts": hosts, "link": "plain"})
    with pytest.raises(ReplicationError, match="IP address in cyrus_link_address of a"):
        _store.plan(named, "b", "replica", "a", {}, V3_6)


def test_ipv6_addresses_are_written_in_brackets() -> None:
    hosts = [{"name": "a", "address": "2001:db8::1"}, {"name": "b", "address": "2001:db8::2"}]
    six = Store.load({"name": "s", "hosts": hosts})
    assert (
        "connect = [2001:db8::2]:2015" in _store.plan(six, "a", "master", "a", {}, V3_6).links["b"]
    )
    assert "accept = :::2015" in _store.plan(six, "b", "replica", "a", {}, V3_6).links["server"]


def test_channel_names_that_fall_together_are_refused() -> None:
    hosts = [{"name": name, "address": ""} for name in ("imap-1", "imap.1")]
    with pytest.raises(ReplicationError, match=r"imap-1 and imap\.1 would share the channel imap1"):
        Store.load({"name": "s", "hosts": hosts})


def test_the_name_of_the_audit_is_taken() -> None:
    hosts = [{"name": name, "address": ""} for name in ("imap1", "Audit")]
    with pytest.raises(ReplicationError, match="the channel of Audit would be audit"):
        Store.load({"name": "s", "hosts": hosts})
    with pytest.raises(ReplicationError, match="names audit, which is taken"):
        _store.plan(
            store(), "imap1", "master", "imap1", {"sync_log_channels": "squatter audit"}, V3_6
        )


def test_nobody_replicates_the_audit() -> None:
    plan = _store.plan(store(), "imap1", "master", "imap1", {}, V3_6)
    assert "audit" not in plan.channels
    assert not any(key.startswith("audit_") for key in plan.settings)


def test_secrets_are_the_same_in_every_role() -> None:
    text = _store.secrets(store(), "imap1", "pw")
    assert text.splitlines()[1:] == ["imap2_sync_password: pw", "imap3_sync_password: pw"]
    for bad in ("", " pw", "p\nw", "pw\\"):
        with pytest.raises(ReplicationError, match="cyrus_replication_password"):
            _store.secrets(store(), "imap1", bad)
