# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The unit that makes a backup, and when one is the same as another."""

from __future__ import annotations

from dataclasses import replace

from ansible_collections.mailops.cyrus.plugins.module_utils import _backup
from ansible_collections.mailops.cyrus.plugins.module_utils._backup import Order

ORDER = Order("restic", "", "store1-imap3-20261101T100000Z", 60, "/etc/restic.env")


def test_the_end_of_the_unit_starts_cyrus_however_it_comes_about() -> None:
    text = _backup.unit(ORDER)
    assert "TimeoutStartSec=60\n" in text
    assert "EnvironmentFile=/etc/restic.env\n" in text
    assert "ExecStopPost=+/bin/systemctl --no-block start cyrus-imapd.service\n" in text


def test_cyrus_goes_on_while_a_snapshot_is_copied() -> None:
    assert "ExecStopPost" not in _backup.unit(replace(ORDER, root="/mnt"))
    assert "EnvironmentFile" not in _backup.unit(replace(ORDER, environment=""))


def test_another_time_is_the_same_backup() -> None:
    assert ORDER.same(replace(ORDER, name="store1-imap3-20261101T110000Z"))
    assert not ORDER.same(replace(ORDER, root="/mnt"))
    assert not ORDER.same(replace(ORDER, to="/srv"))
