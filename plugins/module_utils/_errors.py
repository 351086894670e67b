# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What the library raises. Its text is one sentence: what is wrong, and what to do about it."""

from __future__ import annotations


class ReplicationError(Exception):
    """Base of every error that an administrator gets to read."""


class StepError(ReplicationError):
    """A step of a plan that could not be carried out, or whose effect is not there."""
