# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _activities
from ansible_collections.mailops.cyrus.plugins.module_utils._activities import Activity
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

SINCE = "2026-11-01T10:00:00Z"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_activities, "_PREFIX", str(tmp_path / "activity-"))
    return tmp_path


def test_what_is_noted_is_told_until_it_is_over() -> None:
    assert _activities.begin(Activity("reseed", "a reseed of imap3", SINCE), False)
    assert not _activities.begin(Activity("reseed", "a reseed of imap3", "later"), False)
    assert _activities.told() == [f"a reseed of imap3 is under way since {SINCE}"]
    with pytest.raises(ReplicationError, match="a reseed of imap3 is under way since"):
        _activities.begin(Activity("reseed", "a reseed of imap4", SINCE), False)
    assert _activities.begin(Activity("backup", "a backup", SINCE), True)
    assert _activities.end("reseed", True)
    assert len(_activities.told()) == 1
    assert _activities.end("reseed", False)
    assert not _activities.end("reseed", False)
    assert _activities.told() == []


def test_a_note_that_can_not_be_read_is_told_of(folder: Path) -> None:
    (folder / "activity-backup.json").write_text("{")
    assert "something is under way" in _activities.told()[0]
