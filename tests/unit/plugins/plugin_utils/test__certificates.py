# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A certificate stays as long as it fits, and nothing else does."""

from __future__ import annotations

import datetime

import pytest
from ansible_collections.mailops.cyrus.plugins.plugin_utils._certificates import fits
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

Pair = dict[str, str]
NOW = datetime.datetime.now(datetime.timezone.utc)


def named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def made(
    name: str,
    key: ec.EllipticCurvePrivateKey,
    signer: ec.EllipticCurvePrivateKey,
    days: tuple[int, int] = (-1, 100),
    issuer: str = "authority",
) -> Pair:
    certificate = (
        x509.CertificateBuilder()
        .subject_name(named(name))
        .issuer_name(named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(NOW + datetime.timedelta(days=days[0]))
        .not_valid_after(NOW + datetime.timedelta(days=days[1]))
        .sign(signer, hashes.SHA256())
    )
    return {
        "certificate": certificate.public_bytes(Encoding.PEM).decode(),
        "key": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode(),
    }


SIGNER, KEY, OTHER = (ec.generate_private_key(ec.SECP256R1()) for _key in range(3))
AUTHORITY = made("authority", SIGNER, SIGNER)
OWN = made("imap1", KEY, SIGNER)


def test_what_fits() -> None:
    assert fits(AUTHORITY, AUTHORITY["certificate"], "authority")
    assert fits(OWN, AUTHORITY["certificate"], "imap1", 99)


@pytest.mark.parametrize(
    "own",
    [
        pytest.param({"certificate": "", "key": ""}, id="nothing"),
        pytest.param({**OWN, "certificate": "nonsense"}, id="no certificate"),
        pytest.param({**OWN, "key": "nonsense"}, id="no key"),
        pytest.param({**OWN, "key": made("imap1", OTHER, SIGNER)["key"]}, id="another key"),
        pytest.param(made("imap2", KEY, SIGNER), id="another name"),
        pytest.param(made("imap1", KEY, OTHER), id="another authority of that name"),
        pytest.param(made("imap1", KEY, SIGNER, issuer="other"), id="another authority's name"),
        pytest.param(made("imap1", KEY, SIGNER, (-9, 29)), id="soon over"),
        pytest.param(made("imap1", KEY, SIGNER, (1, 100)), id="not yet"),
    ],
)
def test_what_does_not_fit(own: Pair) -> None:
    assert not fits(own, AUTHORITY["certificate"], "imap1", 30)


def test_nothing_fits_without_an_authority() -> None:
    assert not fits(OWN, "", "imap1")
