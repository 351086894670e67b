# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signs of life of another machine."""

from __future__ import annotations

import errno
import socket
from typing import Any

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _liveness

Answers = dict[tuple[str, int], Any]


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> Answers:
    """What each place does: an error, or None for a connection; silence by default."""
    found: Answers = {}

    class Connection:
        def close(self) -> None:
            pass

    def connect(where: tuple[str, int], _seconds: float) -> Connection:
        said = found.get(where, socket.timeout())
        if said is not None:
            raise said
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    monkeypatch.setattr(_liveness, "_PAUSE", 0.01)
    return found


def test_a_refusal_is_a_sign_of_life(answers: Answers) -> None:
    answers["a", 22] = None
    answers["a", 143] = ConnectionRefusedError()
    look = _liveness.watch(["a"], [22, 143, 993], 1)
    assert [(s.port, s.sign) for s in look.signs] == [(22, "accepts"), (143, "refuses")]
    assert look.unknown == []


@pytest.mark.parametrize("number", [errno.EHOSTUNREACH, errno.ENETUNREACH])
def test_silence_is_none(answers: Answers, number: int) -> None:
    answers["a", 22] = OSError(number, "no way")
    look = _liveness.watch(["a"], [22, 143], 1)
    assert (look.signs, look.unknown) == ([], [])


def test_what_can_not_be_tried_is_not_known(answers: Answers) -> None:
    answers["a", 22] = PermissionError(errno.EPERM, "Operation not permitted")
    answers["b", 22] = socket.gaierror(-2, "Name or service not known")
    assert _liveness.watch(["a", "b"], [22], 1).unknown == [
        "a port 22 can't be tried: Operation not permitted",
        "b port 22 can't be tried: Name or service not known",
    ]


def test_it_looks_until_the_time_is_over_or_something_answers(answers: Answers) -> None:
    assert _liveness.watch(["a"], [22], 0.01, 0.2).seconds >= 0.2
    answers["a", 22] = None
    assert _liveness.watch(["a"], [22], 0.01, 60).seconds < 10
