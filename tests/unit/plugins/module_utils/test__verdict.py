# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a guard concludes from what its peers say."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _terms, _verdict
from ansible_collections.mailops.cyrus.plugins.module_utils._peers import Answer
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record
from ansible_collections.mailops.cyrus.plugins.module_utils._terms import Terms
from ansible_collections.mailops.cyrus.plugins.module_utils._verdict import (
    CLEAR,
    EXPIRE,
    FENCE,
    HOLD,
    SERVE,
    STAY,
    SUPERSEDE,
    WAIT,
    judge,
)

WAITS = Terms("wait", 120.0, ())


def record(host: str, master: str, epoch: int) -> Record:
    role = "master" if host == master else "replica"
    return Record("s", host, role, master, epoch, "2026-11-01T10:00:00Z")


MINE = record("imap1", "imap1", 3)


def says(host: str, master: str, epoch: int) -> Answer:
    return Answer(record(host, master, epoch), False)


@pytest.mark.parametrize("cleared", [True, False])
@pytest.mark.parametrize(
    ("answers", "what", "reason"),
    [
        ([says("imap2", "imap1", 3)], CLEAR, None),
        ([says("imap2", "imap1", 2)], CLEAR, None),
        ([says("imap2", "imap2", 2)], CLEAR, None),
        ([says("imap2", "imap2", 4)], SUPERSEDE, "imap2 is master in epoch 4, and imap1 was it"),
        ([says("imap3", "imap2", 4)], SUPERSEDE, "imap3 says that imap2 is master in epoch 4"),
        ([says("imap3", "imap1", 3), says("imap2", "imap2", 4)], SUPERSEDE, "imap2 says"),
        ([says("imap2", "imap2", 4), says("imap3", "imap3", 5)], SUPERSEDE, "imap3 says"),
        ([says("imap2", "imap1", 4)], FENCE, "restored from an old copy"),
        ([says("imap2", "imap2", 3)], FENCE, "and so is imap1"),
        ([says("imap2", "imap1", 3), says("imap3", "imap2", 3)], FENCE, "and so is imap1"),
    ],
)
def test_what_a_peer_says_decides(
    answers: list[Answer], what: str, reason: str | None, cleared: bool
) -> None:
    verdict = judge(MINE, answers, cleared, None, WAITS)
    assert verdict.what == what
    assert (verdict.reason is None) if reason is None else reason in str(verdict.reason)
    assert (verdict.newer is not None) == (what == SUPERSEDE)


@pytest.mark.parametrize(("alone", "what"), [("wait", WAIT), ("serve", SERVE), ("fence", HOLD)])
def test_after_a_boot_without_a_peer_the_administrator_has_chosen(alone: str, what: str) -> None:
    verdict = judge(MINE, [], False, 999.0, Terms(alone, 120.0, ()))
    assert verdict.what == what
    assert "no peer has answered" in str(verdict.reason)


@pytest.mark.parametrize(
    ("lonely", "lease", "what"),
    [
        (None, 120.0, STAY),
        (119.9, 120.0, STAY),
        (120.0, 120.0, EXPIRE),
        (99999.0, 0.0, STAY),
        (0.0, 120.0, STAY),
    ],
)
@pytest.mark.parametrize("alone", _terms.ALONE)
def test_a_running_master_has_a_lease(
    lonely: float | None, lease: float, what: str, alone: str
) -> None:
    assert judge(MINE, [], True, lonely, Terms(alone, lease, ())).what == what


def test_a_replica_says_what_it_has_missed() -> None:
    mine = record("imap2", "imap1", 3)
    assert _verdict.passed_by(None, [says("imap1", "imap1", 9)]) is None
    assert _verdict.passed_by(mine, [says("imap1", "imap1", 3), says("imap3", "imap3", 2)]) is None
    missed = _verdict.passed_by(mine, [says("imap3", "imap3", 4)])
    assert missed is not None
    assert missed.startswith("imap3 says that imap3 is master in epoch 4")
