# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role failover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.mailops.cyrus.plugins.plugin_utils import _failover, _rivals


class FilterModule:
    """Names as playbooks use them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "failover_compared": _failover.compared,
            "failover_followed": _failover.followed,
            "failover_lines": _failover.lines,
            "failover_plan": _failover.plan,
            "failover_report": _failover.report,
            "failover_rivals": _rivals.rivals,
            "failover_seen": _failover.seen,
        }
