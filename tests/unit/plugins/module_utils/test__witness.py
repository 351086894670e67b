# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a delivery host can be seen."""

from __future__ import annotations

import socket

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _witness


def test_who_answers_is_seen_if_only_by_a_refusal(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {"open": None, "refuses": ConnectionRefusedError(), "gone": TimeoutError()}

    class Connection:
        def close(self) -> None:
            pass

    def connect(where: tuple[str, int], _seconds: float) -> Connection:
        assert where[1] == 25
        error = answers.get(where[0], socket.gaierror("no such host"))
        if error is not None:
            raise error
        return Connection()

    monkeypatch.setattr(socket, "create_connection", connect)
    assert _witness.seen(["open", "refuses", "gone", "unknown"]) == ["open", "refuses"]
    assert _witness.seen([]) == []
