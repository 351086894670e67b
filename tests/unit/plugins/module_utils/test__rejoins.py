# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Old masters that are awaited, and what rests meanwhile."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _cyrus_conf, _rejoins
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._rejoins import Rejoin

SINCE = "2026-01-01T00:00:00Z"
FOURTH = Rejoin(4, "imap1", _rejoins.base_of(4), SINCE)
FIFTH, BESIDE = (Rejoin(5, old, _rejoins.base_of(5), SINCE) for old in ("imap2", "imap3"))


@pytest.fixture(autouse=True)
def path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    found = tmp_path / "rejoin.json"
    monkeypatch.setattr(_rejoins, "PATH", str(found))
    return found


def test_several_may_be_awaited(path: Path) -> None:
    assert not _rejoins.pending()
    _rejoins.add(5, ["imap3", "imap2"], SINCE)
    _rejoins.add(4, ["imap1"], SINCE)
    _rejoins.add(5, ["imap2"], "later")
    assert _rejoins.read() == [FOURTH, FIFTH, BESIDE]
    assert _rejoins.awaited(5) == ["imap2", "imap3"]
    _rejoins.remove(5, "imap3")
    _rejoins.remove(5, "imap1")
    assert _rejoins.read() == [FOURTH, FIFTH]
    _rejoins.remove(5, "imap2")
    assert (_rejoins.read(), _rejoins.pending()) == ([FOURTH], True)
    _rejoins.remove(4, "imap1")
    _rejoins.remove(4, "imap1")
    assert (_rejoins.read(), _rejoins.pending(), path.exists()) == ([], False, False)


@pytest.mark.parametrize("text", ["{", "[1]", '[{"epoch": 4}]', "3"])
def test_what_can_t_be_read_is_awaited_all_the_same(path: Path, text: str) -> None:
    path.write_text(text)
    assert _rejoins.pending()
    with pytest.raises(ReplicationError, match="restore it"):
        _rejoins.add(4, ["imap1"], SINCE)


def test_nothing_is_expired_meanwhile() -> None:
    text = _cyrus_conf.clean({})
    resting = _cyrus_conf.render(text, _cyrus_conf.RESTING, {})
    stopped = {entry.name for entry in _cyrus_conf.parse(text)}
    stopped -= {entry.name for entry in _cyrus_conf.parse(resting)}
    assert stopped == {"delprune", "deleteprune", "expungeprune"}
    assert _cyrus_conf.strip(resting) == text
    extra = {"http": 'cmd="httpd" listen="80"'}
    assert "httpd" in _cyrus_conf.render(text, _cyrus_conf.RESTING, {}, extra)
