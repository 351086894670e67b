# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What reaches systemd's socket."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _notify
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


@pytest.fixture(params=["file", "abstract"])
def systemd(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[socket.socket]:
    """A socket as systemd has it, with a name in the file system or without."""
    name = str(tmp_path / "n") if request.param == "file" else f"@mailops-{os.getpid()}"
    monkeypatch.setenv("NOTIFY_SOCKET", name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(name.replace("@", "\0", 1))
        listener.settimeout(5)
        yield listener


def test_assignments_arrive_together(systemd: socket.socket) -> None:
    _notify.notify("READY=1", "STATUS=it works\nREADY=0")
    assert systemd.recv(1000) == b"READY=1\nSTATUS=it works READY=0"


def test_without_systemd_nothing_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    _notify.notify("READY=1")


def test_socket_that_is_gone_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "gone"))
    with pytest.raises(ReplicationError, match=r"systemd can't be told READY=1: No such file"):
        _notify.notify("READY=1")


@pytest.mark.parametrize(
    ("allowed", "asked", "seconds"),
    [
        ("60000000", str(os.getpid()), 30.0),
        ("60000000", None, 30.0),
        ("60000000", "1", None),
        ("0", None, None),
        ("much", None, None),
        (None, None, None),
    ],
)
def test_watchdog_is_told_twice_in_its_time(
    allowed: str | None, asked: str | None, seconds: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("WATCHDOG_USEC", allowed), ("WATCHDOG_PID", asked)):
        if value is None:
            monkeypatch.delenv(name, raising=False)
        else:
            monkeypatch.setenv(name, value)
    assert _notify.watchdog_interval() == seconds
