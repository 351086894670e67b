# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The terms of a guard: its own, and what is kept of those of others."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _terms
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._terms import Terms

TERMS = Terms("serve", 5.0, ("198.51.100.21",))


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_terms, "SETTINGS", str(tmp_path / "guard.json"))
    return tmp_path / "guard.json"


@pytest.fixture
def heard(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(_terms, "HEARD", str(tmp_path / "guards.json"))
    return tmp_path / "guards.json"


@pytest.mark.parametrize(
    "written",
    [
        "",
        "[]",
        '{"host": "a", "alone": "never", "lease": 1, "delivery_hosts": []}',
        '{"host": "a"}',
    ],
)
def test_what_is_not_whole(written: str, settings: Path) -> None:
    settings.write_text(written)
    with pytest.raises(ReplicationError, match="run setup"):
        _terms.own()


def test_its_own(settings: Path) -> None:
    given = {"host": "a", "alone": "serve", "lease": 5, "delivery_hosts": ["198.51.100.21"]}
    settings.write_text(json.dumps(given))
    assert _terms.own() == ("a", TERMS)


def test_the_last_word_of_each_is_kept(heard: Path) -> None:
    _terms.keep({"imap1": TERMS, "imap2": TERMS})
    _terms.keep({"imap2": Terms("wait", 120.0, ())})
    assert _terms.heard() == {
        "imap1": {"alone": "serve", "lease": 5.0, "delivery_hosts": ("198.51.100.21",)},
        "imap2": {"alone": "wait", "lease": 120.0, "delivery_hosts": ()},
    }


def test_what_is_the_same_is_not_written(heard: Path) -> None:
    _terms.keep({"imap1": TERMS})
    before = heard.stat().st_ino
    _terms.keep({"imap1": TERMS})
    _terms.keep({})
    assert heard.stat().st_ino == before


@pytest.mark.parametrize("written", ["", "{", "[]", '{"imap1": {"alone": "wait"}}'])
def test_what_can_not_be_read_was_not_heard(written: str, heard: Path) -> None:
    heard.write_text(written)
    assert _terms.heard() == {}
    _terms.keep({"imap1": TERMS})
    assert set(_terms.heard()) == {"imap1"}
