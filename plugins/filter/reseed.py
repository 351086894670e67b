# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role reseed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.mailops.cyrus.plugins.plugin_utils import _reseed


class FilterModule:
    """Names as playbooks use them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "reseed_lines": _reseed.lines,
            "reseed_plan": _reseed.plan,
            "reseed_report": _reseed.report,
        }
