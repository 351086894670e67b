# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exim's option while domains are held, and its queue."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _exim_conf
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._holds import Hold

HELD = Hold("one", "exim", domains=("a.example.com", "b.example.com"))
OTHER = Hold("two", "exim", domains=("c.example.com",))
LISTED = """\
 25m  2.9K 0t5C6f-0000c8-00 <alice@wonderland.example>
          red.king@A.example.com
          white.rabbit@elsewhere.example

  3h   310 1vNcbl-0000Ow-1d <> *** frozen ***
          somebody@elsewhere.example

"""


@pytest.mark.parametrize("text", ["", "primary_hostname = x\n", "primary_hostname = x"])
def test_the_sites_text_comes_back(text: str) -> None:
    held = _exim_conf.configuration(text, [HELD], "conf")
    assert held is not None
    assert "hold_domains = a.example.com : b.example.com\n" in held
    both = _exim_conf.configuration(held, [HELD, OTHER], "conf")
    assert both is not None
    assert "hold_domains = a.example.com : b.example.com : c.example.com\n" in both
    assert _exim_conf.configuration(both, [], "conf") == (text or None)


def test_a_block_without_its_end_is_refused() -> None:
    with pytest.raises(ReplicationError, match="conf begins a block"):
        _exim_conf.configuration(_exim_conf.BEGIN, [], "conf")


def test_held_domains() -> None:
    assert _exim_conf.held_domains("hold_domains = a.test : b.test\n") == {"a.test", "b.test"}
    assert _exim_conf.held_domains("hold_domains = \n") == set()


def test_queue() -> None:
    first, second = _exim_conf.messages(LISTED)
    assert first.ident == "0t5C6f-0000c8-00"
    assert first.recipients == ["red.king@A.example.com", "white.rabbit@elsewhere.example"]
    assert _exim_conf.is_meant(first, HELD)
    assert not _exim_conf.is_meant(second, HELD)
