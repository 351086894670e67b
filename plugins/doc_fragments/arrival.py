# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that look for one message."""

from __future__ import annotations


class ModuleDocFragment:
    """Which message is meant, and where."""

    DOCUMENTATION = r"""
options:
  user:
    description: Userid of the mailbox's owner.
    type: str
    required: true
  mailbox:
    description: The user's mailbox, as IMAP names it.
    type: str
    default: INBOX
  message_id:
    description: The message's Message-ID, in angle brackets.
    type: str
    required: true
"""
