# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import dns.exception
import dns.flags
import dns.message
import dns.query
import dns.rcode
import dns.rrset
import dns.tsig
import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _dns

KEY = _dns.Key("k", "c2VjcmV0", "hmac-sha256")
RECORD = _dns.Record("lab.test", "store1.lab.test", "192.0.2.53", KEY, timeout=0.3)
OLD = _dns.Answer(("192.0.2.11",), 300)


class Server:
    """Answers for one name, and takes updates as BIND does."""

    def __init__(self) -> None:
        self.records = {"A": ["192.0.2.11"], "AAAA": list[str]()}
        self.ttl = 300
        self.updates: list[str] = []
        self.says: Callable[[], Any] = lambda: dns.rcode.NOERROR
        self.asked = 0
        self.takes_over = True
        self.flags = dns.flags.AA

    def udp(self, query: Any, where: str, timeout: float, port: int) -> tuple[Any, bool]:
        self.asked += 1
        reply = dns.message.make_response(query)
        reply.flags |= self.flags
        question = query.question[0]
        kind = dns.rdatatype.to_text(question.rdtype)
        if self.records[kind]:
            reply.answer.append(
                dns.rrset.from_text(question.name, self.ttl, "IN", kind, *self.records[kind])
            )
        return reply, False

    def tcp(self, update: Any, where: str, timeout: float, port: int) -> Any:
        rcode = self.says()
        self.updates.append(update.to_text())
        reply = dns.message.Message(update.id)
        reply.set_rcode(rcode)
        if rcode == dns.rcode.NOERROR and self.takes_over:
            for rrset in update.update:
                kind = dns.rdatatype.to_text(rrset.rdtype)
                if rrset.deleting is not None:
                    self.records[kind] = []
                for item in rrset:
                    self.records[kind] = sorted({*self.records[kind], item.to_text()})
                    self.ttl = rrset.ttl
        return reply


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(dns.query, "udp_with_fallback", server.udp)
    monkeypatch.setattr(dns.query, "tcp", server.tcp)
    return server


def test_name_is_changed_by_one_update(server: Server) -> None:
    new = ["2001:db8:0::12", "192.0.2.12"]
    wanted = _dns.Answer(("192.0.2.12", "2001:db8::12"), 5)
    assert _dns.ensure(RECORD, new, 5, [], check=False) == (OLD, wanted)
    assert len(server.updates) == 1
    assert _dns.ensure(RECORD, new, 5, [], check=False) == (wanted, wanted)
    assert len(server.updates) == 1


def test_only_the_ttl_changes(server: Server) -> None:
    assert _dns.ensure(RECORD, None, 5, [], check=False)[1] == _dns.Answer(OLD.addresses, 5)
    assert (server.records["A"], server.ttl) == (["192.0.2.11"], 5)


def test_check_asks_for_what_is_there(server: Server) -> None:
    _dns.ensure(RECORD, ["2001:db8::12"], 5, [], check=True)
    (update,) = server.updates
    assert "store1.lab.test. 300 IN A 192.0.2.11" in update
    assert "2001:db8::12" not in update
    # Whether addresses of the other kind may be changed is asked as well.
    assert "ANY AAAA" in update
    assert (server.records, server.ttl) == ({"A": ["192.0.2.11"], "AAAA": []}, 300)


def test_change_holds_only_as_long_as_the_name_is_as_it_was() -> None:
    keyring = dns.tsigkeyring.from_text({"k": "c2VjcmV0"})
    update = _dns.request(RECORD, OLD, _dns.Answer((), None), ["A", "AAAA"], keyring)
    prerequisites = [rrset.to_text() for rrset in update.prerequisite]
    assert prerequisites == ["store1.lab.test. 0 IN A 192.0.2.11", "store1.lab.test. NONE AAAA"]


@pytest.mark.parametrize(
    ("rcode", "said"),
    [
        (dns.rcode.REFUSED, "let update-policy or allow-update of zone lab.test permit that"),
        (dns.rcode.NOTAUTH, "it is no primary server of zone lab.test"),
        (dns.rcode.NOTZONE, "the name is not in zone lab.test"),
        (dns.rcode.NXRRSET, "somebody else has changed it meanwhile"),
        (dns.rcode.SERVFAIL, "answers SERVFAIL to an update of store1.lab.test: see its log"),
    ],
)
def test_refusal_is_one_sentence(server: Server, rcode: dns.rcode.Rcode, said: str) -> None:
    server.says = lambda: rcode
    for check in (True, False):
        with pytest.raises(ReplicationError, match=said):
            _dns.ensure(RECORD, ["192.0.2.12"], 5, [], check=check)
    assert server.records["A"] == ["192.0.2.11"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (dns.tsig.PeerBadKey, "does not know the key k for hmac-sha256"),
        (dns.tsig.PeerBadSignature, "has another secret for the key k"),
        (dns.tsig.PeerBadTime, "clocks of the controller and of the name server"),
        (dns.exception.Timeout, "does not answer on port 53"),
        (ConnectionRefusedError, "ConnectionRefusedError"),
    ],
)
def test_error_is_one_sentence(server: Server, error: type[Exception], said: str) -> None:
    def fail() -> None:
        raise error()

    server.says = fail
    with pytest.raises(ReplicationError, match=said) as raised:
        _dns.ensure(RECORD, ["192.0.2.12"], 5, [], check=False)
    assert "c2VjcmV0" not in str(raised.value)


def test_key_that_is_not_in_base64_is_refused(server: Server) -> None:
    record = _dns.Record("lab.test", "s.lab.test", "192.0.2.53", _dns.Key("k", "%%", "hmac-sha256"))
    with pytest.raises(ReplicationError, match="key_secret of the key k is not in base64"):
        _dns.ensure(record, ["192.0.2.12"], 5, [], check=False)


def test_server_that_does_not_follow_is_named(server: Server) -> None:
    server.takes_over = False
    with pytest.raises(ReplicationError, match=r"still has 192.0.2.11 \(TTL 300\)"):
        _dns.ensure(RECORD, ["192.0.2.12"], 5, [], check=False)


def test_name_without_an_address_has_no_ttl(server: Server) -> None:
    server.records["A"] = []
    with pytest.raises(ReplicationError, match=r"store1.lab.test has no address"):
        _dns.ensure(RECORD, None, 5, [], check=False)


def test_resolver_is_refused(server: Server) -> None:
    server.flags = dns.flags.RA
    with pytest.raises(ReplicationError, match=r"does not serve lab.test itself"):
        _dns.ensure(RECORD, ["192.0.2.12"], 5, [], check=False)


def test_secret_is_not_shown() -> None:
    assert "c2VjcmV0" not in repr(RECORD)
