# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The counter-check: does the replica have room."""

from __future__ import annotations

from typing import cast

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _room
from ansible_collections.mailops.cyrus.plugins.module_utils._ends import Ends
from ansible_collections.mailops.cyrus.plugins.module_utils._room import Room, StalledError
from ansible_collections.mailops.cyrus.plugins.module_utils._wire import WireError


class Replica:
    default_partition = "default"

    def __init__(self, room: int) -> None:
        self.room = room
        self.checks: list[int] = []
        self.now = 100.0
        self.setting: str | None = None
        self.settings = 0

    def refuses_message(self, partition: str, size: int) -> str | None:
        self.checks.append(size)
        if partition == "unknown":
            raise WireError("imap2: the connection broke")
        return None if size <= self.room else "IMAP_PROTOCOL_ERROR"

    def refuses_setting(self) -> str | None:
        self.settings += 1
        return self.setting

    def monotonic(self) -> float:
        return self.now


@pytest.fixture
def replica(monkeypatch: pytest.MonkeyPatch) -> Replica:
    replica = Replica(1 << 20)
    monkeypatch.setattr(_room, "time", replica)
    return replica


def test_a_replica_with_room_is_asked_once_in_a_while(replica: Replica) -> None:
    room = Room(cast(Ends, replica))
    room.check("default", 10)
    room.check(None, 20)
    assert len(replica.checks) == 1
    room.check("default", 1 << 20)
    replica.now += 10
    room.check("default", 10)
    assert len(replica.checks) == 4


def test_a_full_disk_is_nobodys_fault_until_there_is_room(replica: Replica) -> None:
    room = Room(cast(Ends, replica))
    with pytest.raises(StalledError, match=r"default.*full disk"):
        room.check("default", 2 << 20)
    del replica.checks[:]
    with pytest.raises(StalledError):
        room.recheck()
    # A small one goes first: a large one would be read as commands.
    assert replica.checks[0] == 65536
    replica.room = 4 << 20
    room.recheck()
    del replica.checks[:]
    room.recheck()
    assert replica.checks == []


def test_a_partition_over_which_the_replica_ends_is_another_matter(replica: Replica) -> None:
    Room(cast(Ends, replica)).check("unknown", 10)


def test_what_is_kept_beside_the_mailboxes_needs_room_as_well(replica: Replica) -> None:
    room = Room(cast(Ends, replica))
    replica.setting = "IMAP_IOERROR"
    with pytest.raises(StalledError, match=r"beside mailboxes.*full disk"):
        room.check("default", 10)
    with pytest.raises(StalledError):
        room.recheck()
    replica.setting = None
    room.recheck()
    asked = replica.settings
    room.recheck()
    assert replica.settings == asked
