# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role traffic."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.mailops.cyrus.plugins.plugin_utils import _traffic


class FilterModule:
    """Names as the role uses them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "traffic_failures": _traffic.failures,
            "traffic_lines": _traffic.lines,
            "traffic_nexthop": _traffic.nexthop,
            "traffic_numbers": _traffic.numbers,
            "traffic_problems": _traffic.problems,
            "traffic_share": _traffic.share,
        }
