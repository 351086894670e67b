# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from tests.lab.mta import service, settings, transports


def test_the_store_has_a_transport_of_its_own() -> None:
    assert "lab.test store1:inet:store1.lab.test:24\n" in transports()
    assert service().startswith("store1 unix - - n - - lmtp -o ")


def test_mail_is_taken_from_the_lab_alone() -> None:
    found = settings("198.51.100.0/24")
    assert found["mynetworks"].endswith(" 198.51.100.0/24")
    assert found["smtpd_relay_restrictions"] == "permit_mynetworks, reject_unauth_destination"
