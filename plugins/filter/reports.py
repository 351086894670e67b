# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters of the roles parity, quarantine and status."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ansible_collections.mailops.cyrus.plugins.module_utils._store import channel_name
from ansible_collections.mailops.cyrus.plugins.plugin_utils import (
    _parity,
    _quarantine,
    _status,
)


class FilterModule:
    """Names as playbooks use them."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {
            "channel_name": channel_name,
            "parity_pairs": _parity.pairs,
            "parity_endpoint": _parity.endpoint,
            "parity_reports": _parity.reports,
            "parity_summary": _parity.summary,
            "parity_lines": _parity.lines,
            "quarantine_summary": _quarantine.summary,
            "status_reports": _status.reports,
            "status_lines": _status.lines,
        }
