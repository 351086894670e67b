# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""sync_client run and watched: programs of a few lines stand for it."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _client
from ansible_collections.mailops.cyrus.plugins.module_utils._client import Client, Outcome


def client(folder: Path, body: str, alive: bool = True, ticks: list[int] | None = None) -> Client:
    program = folder / "sync_client"
    program.write_text(f"#!/bin/sh\n{body}\n")
    program.chmod(program.stat().st_mode | stat.S_IXUSR)

    def tick() -> None:
        if ticks is not None:
            ticks.append(1)

    return Client(str(program), "imap2", str(folder / "batch"), lambda: alive, tick)


def test_it_is_given_the_lines_and_its_channel(tmp_path: Path) -> None:
    found = client(tmp_path, f'echo "$@" > {tmp_path}/args; cp "$3" {tmp_path}/lines').run(["A b"])
    assert found == Outcome(0)
    batch = tmp_path / "batch"
    assert (tmp_path / "args").read_text() == f"-R -f {batch} -n imap2\n"
    assert (tmp_path / "lines").read_text() == "A b\n"
    assert stat.S_IMODE(batch.stat().st_mode) == 0o600


def test_its_exit_code_is_told(tmp_path: Path) -> None:
    assert client(tmp_path, "exit 39").run([]).rc == 39


def test_one_that_cannot_connect_is_ended_at_once(tmp_path: Path) -> None:
    body = "echo \"Can not connect to server '127.0.0.2', retrying in 15 seconds\" >&2; sleep 60"
    begun = time.monotonic()
    assert not client(tmp_path, body).run([]).connected
    assert time.monotonic() - begun < 5


def test_of_all_it_says_only_its_own_lines_are_kept(tmp_path: Path) -> None:
    body = (
        'echo "cyrus/sync_client[$$]: MAILBOX received NO response" >&2\n'
        'echo "cyrus/sync_client[1]: from a message" >&2\n'
        'echo "<1795450808<* MAILBOX secret" >&2\n'
        "head -c 300000 /dev/zero >&2\n"
    )
    assert client(tmp_path, body).run([], talkative=True).said == ("MAILBOX received NO response",)


def test_one_that_stands_still_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "_TICK", 0.05)
    ticks: list[int] = []
    found = client(tmp_path, "exec sleep 60", ticks=ticks).run([], limit=0.3)
    assert found.stuck
    assert found.connected
    assert ticks


def test_one_that_stands_still_without_a_replica_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_client, "_TICK", 0.05)
    monkeypatch.setattr(_client, "_SUSPICIOUS", 0.1)
    found = client(tmp_path, "exec sleep 60", alive=False).run([])
    assert not found.connected


def test_one_that_moves_is_let_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_client, "_TICK", 0.05)
    body = "for i in 1 2 3 4 5 6 7 8; do sleep 0.1; cat /proc/self/stat > /dev/null; echo; done"
    assert client(tmp_path, body).run([], limit=0.5) == Outcome(0)
