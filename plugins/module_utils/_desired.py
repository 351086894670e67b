# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What setup last asked for and a host can't know otherwise, so that it can render its files in
another role by itself. The rest is in the store's description, the record and the secrets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from . import _files
from ._errors import ReplicationError
from ._store import CONFIG_DIR

PATH = f"{CONFIG_DIR}/desired.json"


@dataclass(frozen=True)
class Desired:
    """Options of imapd.conf and services of cyrus.conf, as the role's variables give them."""

    settings: Mapping[str, str]
    services: Mapping[str, str]

    def text(self) -> str:
        return json.dumps(asdict(self), sort_keys=True, indent=1) + "\n"


def read() -> Desired:
    """As setup has left it here."""
    try:
        return Desired(**json.loads(_files.read(PATH)))
    except (OSError, ValueError, TypeError) as error:
        raise ReplicationError(f"{PATH} can't be read ({error}): run setup") from error
