# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tests.integration.ledger import Ledger
from tests.integration.load import Turn, Writers, in_turns


def test_each_is_to_be_there_once() -> None:
    ledger = Ledger()
    one, two, three, unanswered = (ledger.new_ident() for _number in range(4))
    for ident in (one, two, three):
        ledger.accept(ident, "anna", "smtp", "mx1")
    found = {"anna": [one, two, two, unanswered, "<other@example.com>"], "ben": [three]}
    verdict = ledger.judge(ledger.accepted(), found)
    # What another user has got is not where it belongs.
    assert [entry.ident for entry in verdict.lost] == [three]
    assert verdict.duplicated == {two: 2}
    assert verdict.accepted == 3


def test_what_was_not_answered_for_must_not_be_there_twice_either() -> None:
    ledger = Ledger()
    ident = ledger.new_ident()
    assert ledger.judge([], {"anna": [ident], "ben": [ident]}).duplicated == {ident: 2}


def writes(*taken: tuple[str, float, float]) -> list[Turn]:
    return [Turn(host, sent, answered, answered) for host, sent, answered in taken]


def test_turns() -> None:
    found = in_turns(writes(("a", 1.0, 1.1), ("a", 1.2, 1.3), ("b", 4.0, 4.2), ("a", 9.0, 9.1)))
    assert found == [
        Turn("a", 1.0, 1.1, 1.3, 2),
        Turn("b", 4.0, 4.2, 4.2, 1),
        Turn("a", 9.0, 9.1, 9.1, 1),
    ]


@pytest.mark.parametrize("sent", [1.2, 1.4])
def test_two_at_a_time_are_found(sent: float, monkeypatch: pytest.MonkeyPatch) -> None:
    writers = Writers(["a", "b"], "probe")
    found = in_turns(writes(("a", 1.0, 1.3), ("b", sent, 1.5)))
    monkeypatch.setattr(writers, "turns", lambda: found)
    if sent < 1.3:
        with pytest.raises(AssertionError, match="two hosts took writes"):
            writers.assert_one_at_a_time()
    else:
        assert writers.assert_one_at_a_time() == found
        assert writers.outages() == [pytest.approx(0.2)]
