# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sets of UIDs, read and written."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _uidset
from hypothesis import given
from hypothesis import strategies as st


@given(st.sets(st.integers(1, 50)), st.sets(st.integers(1, 50)))
def test_a_union_has_what_either_has(one: set[int], other: set[int]) -> None:
    both = _uidset.parse(
        _uidset.text_of(
            _uidset.parse(_uidset.text_of_uids(one)) + _uidset.parse(_uidset.text_of_uids(other))
        )
    )
    assert {uid for low, high in both for uid in range(low, high + 1)} == one | other
    assert _uidset.text_of(both) == _uidset.text_of_uids(one | other)


def test_the_form() -> None:
    assert _uidset.text_of_uids([3, 1, 2, 9]) == "1:3,9"
    assert _uidset.parse("") == []
    with pytest.raises(ValueError, match="invalid"):
        _uidset.parse("1:*")
