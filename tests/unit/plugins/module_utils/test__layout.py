# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""In what the hosts of a store differ."""

from __future__ import annotations

from ansible_collections.mailops.cyrus.plugins.module_utils import _layout


def test_each_difference_names_every_host() -> None:
    layouts = {"a": {"x": "1", "y": ""}, "b": {"x": "1", "y": "news"}, "c": {"x": "1", "y": ""}}
    assert _layout.differences(layouts) == ["y: a (none), b news, c (none)"]


def test_what_a_version_does_not_know_is_no_difference() -> None:
    assert _layout.differences({"a": {"x": "1", "old": "1"}, "b": {"x": "1"}}) == []


def test_versions_are_only_spoken_of() -> None:
    assert _layout.version_note({"a": "3.6.1", "b": "3.6.1"}) == ""
    assert _layout.version_note({"a": "3.6.1", "b": "3.10.2"}).startswith("a 3.6.1, b 3.10.2:")
