# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def test_text_is_what_the_administrator_reads() -> None:
    assert str(ReplicationError("imap2 does not answer: start it")) == (
        "imap2 does not answer: start it"
    )
