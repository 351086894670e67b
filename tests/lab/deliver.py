# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Delivery over LMTP."""

from __future__ import annotations

import smtplib

from .errors import LabError


class Delivery:
    """A session with lmtpd, which over TCP takes mail from administrators only."""

    def __init__(self, address: str, admin: str, password: str, port: int = 24) -> None:
        try:
            self._session = smtplib.LMTP(address, port)
            self._session.login(admin, password, initial_response_ok=True)
        except (OSError, smtplib.SMTPException) as error:
            raise LabError(f"LMTP to {address}: {error}") from error

    def __enter__(self) -> Delivery:
        return self

    def __exit__(self, *_: object) -> None:
        self._session.close()

    def send(self, recipient: str, message: bytes) -> None:
        """Deliver a message; raises where the server does not take it."""
        options = ["BODY=8BITMIME"]
        try:
            self._session.sendmail("sender@example.com", [recipient], message, options)
        except smtplib.SMTPException as error:
            raise LabError(f"LMTP to {recipient}: {error}") from error
