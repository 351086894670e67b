# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the lab raises. Its text is one sentence: what is wrong, and what to do about it."""

from __future__ import annotations


class LabError(Exception):
    """Shown to the person at the terminal without a traceback."""
