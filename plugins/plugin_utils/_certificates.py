# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which of the link's certificates can stay as they are."""

from __future__ import annotations

import datetime
from collections.abc import Mapping

from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.serialization import load_pem_private_key
except ImportError:
    HAS_CRYPTOGRAPHY = False
else:
    HAS_CRYPTOGRAPHY = True


def fits(own: Mapping[str, str], authority: str, name: str, days: int = 0) -> bool:
    """Whether a certificate was made for its key and for this name by this authority, and is valid
    for so many days; what can't be read does not fit."""
    if not HAS_CRYPTOGRAPHY:
        raise ReplicationError("the controller needs cryptography: install it with pip")
    try:
        found = x509.load_pem_x509_certificate(own["certificate"].encode())
        found.verify_directly_issued_by(x509.load_pem_x509_certificate(authority.encode()))
        public_key = load_pem_private_key(own["key"].encode(), None).public_key()
    except (ValueError, TypeError, InvalidSignature):
        return False
    names = found.subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
    now = datetime.datetime.now(datetime.timezone.utc)
    return (
        [one.value for one in names] == [name]
        and found.public_key() == public_key
        and found.not_valid_before_utc <= now
        and found.not_valid_after_utc >= now + datetime.timedelta(days=days)
    )
