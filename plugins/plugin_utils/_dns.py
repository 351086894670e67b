# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The addresses of a name, changed by a signed update (RFC 2136, RFC 8945) and asked for again."""

from __future__ import annotations

import base64
import binascii
import ipaddress
import socket
import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

try:
    import dns.exception
    import dns.flags
    import dns.message
    import dns.name
    import dns.query
    import dns.rcode
    import dns.rdatatype
    import dns.tsig
    import dns.tsigkeyring
    import dns.update
except ImportError:
    HAS_DNSPYTHON = False
else:
    HAS_DNSPYTHON = True

_TYPES = ("A", "AAAA")
_ASK_EVERY = 0.1


@dataclass(frozen=True)
class Answer:
    """What a server says of a name; the TTL is None where there are no addresses."""

    addresses: tuple[str, ...]
    ttl: int | None = None

    def of_type(self, kind: str) -> list[str]:
        version = 4 if kind == "A" else 6
        return [a for a in self.addresses if ipaddress.ip_address(a).version == version]

    def serves(self, wanted: Answer) -> bool:
        """Whether it has these addresses, for no longer than wanted."""
        fits = self.ttl is None or wanted.ttl is None or self.ttl <= wanted.ttl
        return self.addresses == wanted.addresses and fits


@dataclass(frozen=True)
class Key:
    name: str
    secret: str = field(repr=False)
    algorithm: str


@dataclass(frozen=True)
class Record:
    """A name in a zone, and the server that takes its updates."""

    zone: str
    name: str
    server: str
    key: Key
    port: int = 53
    timeout: float = 10

    def absolute(self) -> Any:
        return dns.name.from_text(self.name)


def normal(addresses: Iterable[str]) -> tuple[str, ...]:
    """The addresses, each once, in one order and one way of writing."""
    parsed = {ipaddress.ip_address(address) for address in addresses}
    return tuple(str(a) for a in sorted(parsed, key=lambda a: (a.version, int(a))))


def _host(server: str, port: int) -> str:
    try:
        return str(socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0][4][0])
    except OSError as error:
        raise ReplicationError(
            f"the name server {server} has no address here ({error.strerror}): "
            "give its address in server or verify"
        ) from error


def _silent(record: Record, server: str, error: Exception) -> ReplicationError:
    return ReplicationError(
        f"the name server {server} does not answer on port {record.port} "
        f"({str(error) or type(error).__name__}): see whether it runs and lets the controller in"
    )


def ask(record: Record, server: str, timeout: float) -> Answer:
    """What a server says of the name by itself, without asking others."""
    addresses: list[str] = []
    ttls: list[int] = []
    host = _host(server, record.port)
    for kind in _TYPES:
        query = dns.message.make_query(record.absolute(), kind, flags=0)
        try:
            reply, _tcp = dns.query.udp_with_fallback(query, host, timeout, record.port)
        except (OSError, dns.exception.DNSException) as error:
            raise _silent(record, server, error) from error
        if reply.rcode() not in (dns.rcode.NOERROR, dns.rcode.NXDOMAIN):
            raise ReplicationError(
                f"the name server {server} answers {dns.rcode.to_text(reply.rcode())} "
                f"to a question for {record.name}: let it serve {record.zone}"
            )
        if not reply.flags & dns.flags.AA:
            raise ReplicationError(
                f"the name server {server} does not serve {record.zone} itself: "
                "name one that does in server or verify"
            )
        for found in reply.answer:
            if found.rdtype == dns.rdatatype.CNAME:
                raise ReplicationError(
                    f"{record.name} is an alias at {server}: name what it stands for"
                )
            addresses += [item.to_text() for item in found if found.rdtype in (1, 28)]
            ttls.append(found.ttl)
    return Answer(normal(addresses), max(ttls, default=None))


def request(
    record: Record, before: Answer, after: Answer, types: Collection[str], keyring: Any
) -> Any:
    """The update that holds only as long as the name is as it was.

    Where nothing is to change it asks for what is there, which shows whether the server lets it.
    """
    key = record.key
    update = dns.update.UpdateMessage(
        record.zone,
        keyring=keyring,
        keyname=dns.name.from_text(key.name),
        keyalgorithm=key.algorithm,
    )
    name = record.absolute()
    for kind in types:
        old, new = before.of_type(kind), after.of_type(kind)
        if old:
            update.present(name, kind, *old)
        else:
            update.absent(name, kind)
        if old != new or before.ttl != after.ttl or not new:
            update.delete(name, kind)
        if new:
            update.add(name, after.ttl, kind, *new)
    return update


def refusal(record: Record, rcode: str) -> str:
    """Why an update was not taken, as a sentence; empty where it was. Pure."""
    if rcode == "NOERROR":
        return ""
    said = f"the name server {record.server} answers {rcode} to an update of {record.name}"
    return said + {
        "REFUSED": f": let update-policy or allow-update of zone {record.zone} permit that to "
        f"the key {record.key.name}",
        "NOTAUTH": f": it is no primary server of zone {record.zone}",
        "NOTZONE": f": the name is not in zone {record.zone}",
        "NXRRSET": ": somebody else has changed it meanwhile, run it again",
        "YXRRSET": ": somebody else has changed it meanwhile, run it again",
    }.get(rcode, ": see its log")


def _keyring(key: Key) -> Any:
    try:
        base64.b64decode(key.secret, validate=True)
        return dns.tsigkeyring.from_text({key.name: key.secret})
    except (binascii.Error, ValueError):
        raise ReplicationError(
            f"key_secret of the key {key.name} is not in base64: take it as the server has it"
        ) from None


def _send(record: Record, before: Answer, after: Answer, types: Collection[str]) -> None:
    """Have the primary server change the name; an error unless it says that it has."""
    key = record.key
    host = _host(record.server, record.port)
    try:
        update = request(record, before, after, types, _keyring(key))
        reply = dns.query.tcp(update, host, record.timeout, record.port)
    except dns.tsig.PeerBadKey:
        raise ReplicationError(
            f"the name server {record.server} does not know the key {key.name} for "
            f"{key.algorithm}: see key_name and key_algorithm"
        ) from None
    except dns.tsig.PeerBadSignature:
        raise ReplicationError(
            f"the name server {record.server} has another secret for the key {key.name}: "
            "see key_secret"
        ) from None
    except dns.tsig.PeerBadTime:
        raise ReplicationError(
            f"the clocks of the controller and of the name server {record.server} are too far "
            "apart for a signed update: set them"
        ) from None
    except NotImplementedError:
        raise ReplicationError(f"key_algorithm names {key.algorithm}, which is unknown") from None
    except (OSError, dns.exception.DNSException) as error:
        raise _silent(record, record.server, error) from error
    said = refusal(record, dns.rcode.to_text(reply.rcode()))
    if said:
        raise ReplicationError(said)


def _verify(record: Record, servers: Collection[str], wanted: Answer) -> None:
    end = time.monotonic() + record.timeout
    for server in servers:
        while True:
            found = ask(record, server, record.timeout)
            if found.serves(wanted):
                break
            if time.monotonic() > end:
                raise ReplicationError(
                    f"the name server {server} still has {', '.join(found.addresses) or 'nothing'}"
                    f" (TTL {found.ttl}) for {record.name} after {record.timeout:g} s: "
                    f"see whether it gets zone {record.zone} from {record.server}"
                )
            time.sleep(_ASK_EVERY)


def ensure(
    record: Record,
    addresses: Collection[str] | None,
    ttl: int,
    verify: Collection[str],
    check: bool,
) -> tuple[Answer, Answer]:
    """Give the name these addresses, or keep those it has, and the TTL; returns before and after.

    A check has the server take what is there already, so that it fails where the change would.
    """
    if not HAS_DNSPYTHON:
        raise ReplicationError("the controller has no dnspython: install it for Ansible's Python")
    servers = [server for server in dict.fromkeys(verify) if server != record.server]
    before = ask(record, record.server, record.timeout)
    if addresses is None and not before.addresses:
        raise ReplicationError(f"{record.name} has no address at {record.server}: give it one")
    wanted = Answer(before.addresses if addresses is None else normal(addresses), ttl)
    types = [kind for kind in _TYPES if before.of_type(kind) or wanted.of_type(kind)]
    if check:
        _send(record, before, before, types)
        for server in servers:
            ask(record, server, record.timeout)
        return before, wanted
    if before != wanted:
        _send(record, before, wanted, types)
    _verify(record, [record.server, *servers], wanted)
    return before, wanted
