# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the role switchover."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.mailops.cyrus.plugins.plugin_utils import _switchover


class FilterModule:
    """Names as playbooks use them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "host_troubles": _switchover.troubles,
            "phase_seconds": _switchover.seconds,
            "switchover_lines": _switchover.lines,
            "switchover_plan": _switchover.plan,
            "switchover_report": _switchover.report,
        }
