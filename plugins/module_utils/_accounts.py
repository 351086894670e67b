# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Accounts in a SASL database. It shows no password, so what was set last is kept as a hash."""

from __future__ import annotations

import grp
import hashlib
import hmac
import json
import os
import stat
from dataclasses import dataclass, field

from . import _command, _files
from ._errors import ReplicationError

REMEMBERED = "/etc/cyrus-replication/accounts.json"
_MODE = 0o640


@dataclass(frozen=True)
class Account:
    """A login in one SASL database."""

    user: str
    password: str = field(repr=False)
    database: str
    realm: str
    group: str

    @property
    def key(self) -> str:
        return f"{self.database} {self.user}@{self.realm}"


def _hash(password: str, salt: bytes) -> str:
    return hashlib.scrypt(password.encode(), salt=salt, n=2**14, r=8, p=1).hex()


def remember(password: str) -> str:
    """What is kept of a password."""
    salt = os.urandom(16)
    return f"{salt.hex()}${_hash(password, salt)}"


def is_same(password: str, remembered: str) -> bool:
    """Whether this is the password that was set last."""
    salt, dollar, digest = remembered.partition("$")
    return bool(dollar) and hmac.compare_digest(_hash(password, bytes.fromhex(salt)), digest)


def parse_users(listed: str) -> set[str]:
    """Logins from the output of sasldblistusers2: "user@realm: userPassword"."""
    return {line.rpartition(":")[0] for line in listed.splitlines() if line.endswith("Password")}


def names(database: str) -> list[str] | None:
    """Whose logins there are, in whatever realm; None where that can't be found out."""
    try:
        done = _command.run(["sasldblistusers2", "-f", database], timeout=30)
    except ReplicationError:
        return None
    found = {login.rpartition("@")[0] for login in parse_users(done.stdout)}
    return sorted(found) if done.rc == 0 else None


def _users(database: str) -> set[str]:
    if not os.path.exists(database):
        return set()
    try:
        done = _command.run(["sasldblistusers2", "-f", database], timeout=30)
    except _command.MissingError:
        return set()
    return parse_users(done.stdout)


def _untouched(database: str, remembered: str) -> bool:
    """Whether our own database is as we have left it; in others the site has logins too."""
    if os.path.dirname(database) != os.path.dirname(remembered):
        return True
    found, noted = os.stat(database), os.stat(remembered)
    readable = stat.S_IMODE(found.st_mode) == _MODE and found.st_uid == 0
    return readable and found.st_mtime <= noted.st_mtime


def _set(account: Account) -> None:
    command = ["saslpasswd2", "-p", "-c", "-f", account.database, "-u", account.realm, account.user]
    try:
        done = _command.run(command, timeout=30, input=account.password)
    except _command.MissingError:
        raise ReplicationError("saslpasswd2 is missing: install the package sasl2-bin") from None
    if done.rc != 0:
        raise ReplicationError(
            f"saslpasswd2 can't set the password of {account.user}: {done.stderr.strip()}"
        )
    os.chown(account.database, 0, grp.getgrnam(account.group).gr_gid)
    os.chmod(account.database, _MODE)


def ensure(accounts: list[Account], check: bool, remembered: str = REMEMBERED) -> list[str]:
    """Set the passwords that are not set yet; returns the logins that were, or would be."""
    known: dict[str, str] = json.loads(_files.read(remembered) or "{}")
    changed = []
    for account in accounts:
        present = f"{account.user}@{account.realm}" in _users(account.database)
        same = is_same(account.password, known.get(account.key, ""))
        if present and same and _untouched(account.database, remembered):
            continue
        changed.append(account.key)
        known[account.key] = remember(account.password)
        if not check:
            _set(account)
            _files.write(remembered, json.dumps(known, sort_keys=True) + "\n", 0o600)
    return changed
