# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how far a comparison is."""

from __future__ import annotations

from ansible_collections.mailops.cyrus.plugins.plugin_utils._job import Job


class ActionModule(Job):
    """The module parity_info as a job."""

    module = "mailops.cyrus.parity_info"
    ended = "the comparison was ended on the host: run it again"
