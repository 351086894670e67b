# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What the hosts of a store tell each other: one line of JSON for whoever connects.

With a link of TLS both ends are verified by their names, with a plain one a host answers the
store's own addresses only. An answer that is not whole is none.
"""

from __future__ import annotations

import functools
import json
import socket
import ssl
import time
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Union

from . import _link, _role, _terms, _together
from ._errors import ReplicationError
from ._role import Record
from ._store import Store
from ._terms import Terms

SECONDS = 3.0

_MAX_LINE = 65536


@dataclass(frozen=True)
class Answer:
    """A host's role record, whether it is fenced for a time, and the terms of its guard; None of
    one that does not tell them."""

    record: Record
    fenced: bool
    terms: Terms | None = None


Heard = Mapping[str, Union[Answer, ReplicationError]]


def line(record: Record | None, fenced: bool, terms: Terms) -> bytes:
    """What a host answers."""
    described = None if record is None else asdict(record)
    told = {"record": described, "fenced": fenced, "terms": asdict(terms)}
    return json.dumps(told).encode() + b"\n"


def failure(reason: str) -> bytes:
    """What a host answers that can't read its own role."""
    return json.dumps({"error": reason}).encode() + b"\n"


def parse(data: bytes, store: str, name: str) -> Answer:
    """What the host `name` of a store has answered."""
    where = f"the answer of {name}"
    try:
        loaded: Any = json.loads(data)
        if "error" in loaded:
            raise ReplicationError(f"{name} does not know its role: {loaded['error']}")
        record, fenced = loaded["record"], loaded["fenced"]
        if not isinstance(fenced, bool):
            raise ValueError("fenced is neither true nor false")
        terms = _told(loaded.get("terms"))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise ReplicationError(f"{where} can't be understood ({error}): run setup") from error
    if record is None:
        raise ReplicationError(f"{name} has no role record: run setup")
    found = _role.parse(json.dumps(record), where)
    if (found.store, found.host) != (store, name):
        raise ReplicationError(
            f"{name} answers as host {found.host} of store {found.store}: correct its address in "
            "cyrus_link_address"
        )
    return Answer(found, fenced, terms)


def _told(terms: Any) -> Terms | None:
    """Whatever a guard of another version says of its terms, its epoch counts."""
    try:
        return _terms.of(terms)
    except (ValueError, TypeError, KeyError):
        return None


def ask(store: Store, name: str, seconds: float = SECONDS) -> Answer:
    """Ask one host of the store."""
    host = store.host(name)
    end = time.monotonic() + seconds
    try:
        with socket.create_connection((host.address, store.guard_port), seconds) as plain:
            if store.link == "plain":
                data = _read_line(plain, end)
            else:
                plain.settimeout(_left(end))
                with _context().wrap_socket(plain, server_hostname=name) as secured:
                    data = _read_line(secured, end)
    except OSError as error:
        raise ReplicationError(
            f"{name} gives no answer at {host.address} port {store.guard_port} "
            f"({_reason(error, seconds)}): look at cyrus-guard and the link there"
        ) from None
    return parse(data, store.name, name)


def ask_all(store: Store, names: Iterable[str], seconds: float = SECONDS) -> Heard:
    """Ask several hosts at once; what keeps one from an answer is in its place."""
    names = list(names)

    def heard(name: str) -> Answer | ReplicationError:
        try:
            return ask(store, name, seconds)
        except ReplicationError as error:
            return error

    late = {
        name: ReplicationError(f"{name} gives no answer within {seconds:g} s") for name in names
    }
    return {**late, **_together.ask(heard, names, seconds)}


def shown(heard: Heard) -> dict[str, dict[str, Any]]:
    """The answers as plain data."""
    return {name: _shown(said) for name, said in sorted(heard.items())}


def _shown(said: Answer | ReplicationError) -> dict[str, Any]:
    if isinstance(said, ReplicationError):
        return {"reached": False, "role": None, "epoch": None, "fenced": None, "reason": str(said)}
    record = said.record
    return {
        "reached": True,
        "role": record.role,
        "epoch": record.epoch,
        "fenced": said.fenced,
        "reason": None,
    }


# Who asks again and again is restarted for new certificates.
@functools.lru_cache(maxsize=1)
def _context() -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=f"{_link.DIR}/ca.pem")
    context.load_cert_chain(f"{_link.DIR}/cert.pem", f"{_link.DIR}/key.pem")
    return context


def _left(end: float) -> float:
    # Zero would mean not to wait at all, and say something else than that the time is over.
    return max(0.001, end - time.monotonic())


def _read_line(connection: socket.socket, end: float) -> bytes:
    found = b""
    while b"\n" not in found and len(found) < _MAX_LINE:
        connection.settimeout(_left(end))
        data = connection.recv(_MAX_LINE)
        if not data:
            raise ConnectionError("the connection ended early")
        found += data
    return found.partition(b"\n")[0]


def _reason(error: OSError, seconds: float) -> str:
    if isinstance(error, socket.timeout):
        return f"nothing within {seconds:g} s"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not accepted: {error.verify_message}"
    if isinstance(error, ssl.SSLError) and error.reason:
        return error.reason.lower().replace("_", " ")
    return error.strerror or str(error)
