# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Shows how long a backup takes."""

from __future__ import annotations

from ansible_collections.mailops.cyrus.plugins.plugin_utils._job import Job


class ActionModule(Job):
    """The module backup as a job."""

    module = "mailops.cyrus.backup"
    ended = "the waiting was ended on the host: run backup again, which goes on from here"
