# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from tests.lab.one_sided import configuration


def test_configuration_replaces_settings_and_keeps_the_rest() -> None:
    text = "readonly: yes\nsync_log:1\n# readonly: no\nsync_log_channels: a\n@include: /x\n"
    assert configuration(text, {"readonly": "no", "sync_log": "0"}) == (
        "# readonly: no\nsync_log_channels: a\n@include: /x\nreadonly: no\nsync_log: 0\n"
    )
