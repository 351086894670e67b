# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A play has hosts, or is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.mailops.cyrus.plugins.filter.store import group_with_hosts

GROUPS = {"cyrus": ["imap1"], "empty": []}


def test_a_group_with_hosts_is_taken() -> None:
    assert group_with_hosts("cyrus", GROUPS) == "cyrus"


@pytest.mark.parametrize("name", ["empty", "missing"])
def test_a_group_without_hosts_is_refused(name: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"cyrus_hosts: there is no group {name} with"):
        group_with_hosts(name, GROUPS)
