# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What the modules of a delivery host have in common."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._delivery import Driver
from ._errors import ReplicationError
from ._exim import Exim
from ._holds import ADMINISTRATOR, Hold, wish
from ._postfix import Postfix

ARGUMENTS: dict[str, Any] = {
    "store": {"type": "str", "required": True},
    "driver": {"type": "str", "choices": ["postfix", "exim"], "default": "postfix"},
    "domains": {"type": "list", "elements": "str", "default": []},
    "transports": {"type": "list", "elements": "str", "default": []},
}


def meant(asked: Mapping[str, Any]) -> tuple[Driver, Hold]:
    """The mail server, and the mail that a module's options mean."""
    if not asked["domains"] and not asked["transports"]:
        raise ReplicationError(
            f"nothing says which mail is for store {asked['store']}: name cyrus_mta_domains or "
            "cyrus_mta_transports"
        )
    driver: Driver = Postfix() if asked["driver"] == "postfix" else Exim()
    driver.dead = asked.get("dead", ())
    wanted = wish(
        asked["store"],
        asked["driver"],
        asked["domains"],
        asked["transports"],
        asked.get("by", ADMINISTRATOR),
    )
    return driver, wanted
