# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""How long a certificate of this host is valid."""

from __future__ import annotations

import re
import ssl
from dataclasses import dataclass

from . import _command
from ._errors import ReplicationError
from ._state import timestamp

_SECONDS = 10
_DAY = 86400
_END = re.compile(r"^notAfter=(.*)$", re.MULTILINE)


@dataclass(frozen=True)
class Validity:
    """Until when (ISO 8601, UTC), and how many days are left; below 0 it is over."""

    not_after: str
    days_left: float


def validity(path: str, now: float) -> Validity:
    """Of the first certificate in a file; `now` is in seconds since 1970."""
    done = _command.run(["openssl", "x509", "-noout", "-enddate", "-in", path], timeout=_SECONDS)
    found = _END.search(done.stdout)
    if done.rc != 0 or found is None:
        said = done.stderr.strip().splitlines()
        raise ReplicationError(
            f"the certificate {path} can't be read ({said[0] if said else 'no end'}): run setup"
        )
    try:
        end = ssl.cert_time_to_seconds(found.group(1))
    except ValueError as error:
        raise ReplicationError(f"the end of the certificate {path} is no time: {error}") from None
    return Validity(timestamp(end), round((end - now) / _DAY, 2))
