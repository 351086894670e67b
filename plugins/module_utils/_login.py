# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A login as a client makes it, from the name it uses to the server's OK."""

from __future__ import annotations

import contextlib
import imaplib
import ssl
from dataclasses import asdict, dataclass
from typing import Any

from ._errors import ReplicationError


@dataclass
class Login:
    """How far a login came."""

    greeting: str | None = None
    encrypted: bool = False
    logged_in: bool = False

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def log_in(
    found: Login,
    host: str,
    port: int,
    tls: str,
    ca_file: str | None,
    user: str,
    password: str,
    timeout: int,
) -> None:
    """Fill in `found` step by step; a ReplicationError says what could not be done."""
    where = f"{host} port {port}"
    try:
        context = ssl.create_default_context(cafile=ca_file)
        session = _connect(host, port, tls, context, timeout)
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(where, error) from error
    except (OSError, imaplib.IMAP4.error) as error:
        raise ReplicationError(f"{where} does not greet as an IMAP server does: {error}") from error
    try:
        found.greeting = session.welcome.decode("utf-8", "replace")
        found.encrypted = tls == "implicit" or _encrypt(session, tls, context, where)
        session.login(user, password)
        found.logged_in = True
    except ssl.SSLCertVerificationError as error:
        raise _untrusted(where, error) from error
    except (OSError, imaplib.IMAP4.error) as error:
        raise ReplicationError(f"{user} can't log in at {where}: {error}") from error
    finally:
        with contextlib.suppress(OSError, imaplib.IMAP4.error):
            session.logout()


def _connect(
    host: str, port: int, tls: str, context: ssl.SSLContext, timeout: int
) -> imaplib.IMAP4:
    if tls == "implicit":
        return imaplib.IMAP4_SSL(host, port, ssl_context=context, timeout=timeout)
    return imaplib.IMAP4(host, port, timeout=timeout)


def _encrypt(session: imaplib.IMAP4, tls: str, context: ssl.SSLContext, where: str) -> bool:
    if tls == "none" or (tls == "auto" and "STARTTLS" not in session.capabilities):
        return False
    if "STARTTLS" not in session.capabilities:
        raise ReplicationError(f"{where} does not offer STARTTLS: set up its certificate")
    session.starttls(context)
    return True


def _untrusted(where: str, error: ssl.SSLCertVerificationError) -> ReplicationError:
    return ReplicationError(
        f"the certificate of {where} is not good for that name: {error.verify_message}"
    )
