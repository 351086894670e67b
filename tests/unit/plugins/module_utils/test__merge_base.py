# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may keep a merge base, and what is told of it."""

from __future__ import annotations

from dataclasses import replace

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _merge_base
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._gap import Gap
from ansible_collections.mailops.cyrus.plugins.module_utils._merge_base import Kept, Order
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Counts, Holding

ORDER = Order("store1", 4, "imap1", Gap(1, 1))
MASTER = Record("store1", "imap2", "master", "imap2", 4, "2026-01-01T00:00:00Z")


def test_the_master_of_the_epoch_keeps_it() -> None:
    _merge_base.refuse(ORDER, MASTER)


@pytest.mark.parametrize(
    ("order", "record", "said"),
    [
        (ORDER, replace(MASTER, store="other"), "is in store other"),
        (ORDER, replace(MASTER, epoch=3), "is master in epoch 3"),
        (ORDER, replace(MASTER, role="replica", master="imap3"), "is replica in epoch 4"),
        (replace(ORDER, old="imap2"), MASTER, "does not leave itself behind"),
        (replace(ORDER, others=("imap3", "imap2")), MASTER, "does not leave itself behind"),
    ],
)
def test_nobody_else_does(order: Order, record: Record, said: str) -> None:
    with pytest.raises(ReplicationError, match=said):
        _merge_base.refuse(order, record)


def test_what_is_in_it_is_noted_on_the_way() -> None:
    kept = Kept("/x", changed=True)
    holdings = [Holding(None), Holding("anna", unknown=["imap2: user.anna can't be opened: x"])]
    assert list(kept.note(holdings)) == holdings
    assert kept.counts == Counts(users=1)
    assert kept.unknown == ["imap2: user.anna can't be opened: x"]
