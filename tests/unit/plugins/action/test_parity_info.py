# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The action that starts the job, shows how far it is and returns what it returned."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import Any

import pytest
from ansible.plugins.action import ActionBase
from ansible_collections.mailops.cyrus.plugins.action import parity_info
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _job


class Remote:
    """The host: its job ends after some looks at the result."""

    def __init__(self) -> None:
        self.now = 0.0
        self.looks_until_done = 0
        self.result: dict[str, Any] = {"finished": 1, "report": {"in_sync": True}}
        self.started: dict[str, Any] = {"results_file": "/r", "ansible_job_id": "j"}
        self.progress = "77 3 of 8 users compared\n"
        self.arguments: dict[str, Any] = {}
        self.commands: list[str] = []

    def run(self, command: str, **_options: object) -> dict[str, str]:
        self.commands.append(command)
        if command.startswith("if cat"):
            return {"stdout": self.progress}
        if command.startswith("cat"):
            self.looks_until_done -= 1
            unfinished = {"ansible_job_id": "j", "started": 1, "finished": 0}
            return {"stdout": json.dumps(self.result if self.looks_until_done < 0 else unfinished)}
        return {"stdout": ""}

    def execute(self, module_args: dict[str, Any], **_options: object) -> dict[str, Any]:
        self.arguments = module_args
        return self.started


@pytest.fixture
def remote() -> Remote:
    return Remote()


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    lines: list[str] = []
    monkeypatch.setattr(_job, "display", SimpleNamespace(display=lines.append))
    return lines


def run(remote: Remote, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    def sleep(seconds: float) -> None:
        remote.now += seconds

    clock = SimpleNamespace(monotonic=lambda: remote.now, sleep=sleep)
    monkeypatch.setattr(_job, "time", clock)
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    action = object.__new__(parity_info.ActionModule)
    shell = SimpleNamespace(join_path=lambda *parts: "/".join(parts))
    action._connection = SimpleNamespace(_shell=shell)
    action._task = SimpleNamespace(args={"store": "store1"}, async_val=0)
    action._make_tmp_path = lambda: "/tmp/x"
    action._remove_tmp_path = lambda path, force: remote.commands.append(f"remove {path}")
    action._execute_module = remote.execute
    action._low_level_execute_command = remote.run
    result = action.run(None, {"inventory_hostname": "imap1"})
    assert action._task.async_val == 0, "else Ansible would wait for the job as well"
    assert remote.commands[-1] == "remove /tmp/x"
    return result


def test_short_job(remote: Remote, shown: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(remote, monkeypatch)
    assert result["report"] == {"in_sync": True}
    assert remote.arguments == {"store": "store1", "progress": "/tmp/x/progress"}
    assert shown == []
    assert remote.now < 1
    assert "rm -f /r" in remote.commands


def test_long_job_shows_its_progress(
    remote: Remote, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.looks_until_done = 20
    assert run(remote, monkeypatch)["report"] == {"in_sync": True}
    assert set(shown) == {"imap1: 3 of 8 users compared"}
    assert len(shown) > 2


def test_job_that_does_not_start(
    remote: Remote, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.started = {"failed": True, "msg": "no python"}
    assert run(remote, monkeypatch) == remote.started


def test_job_that_was_ended(
    remote: Remote, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    remote.looks_until_done = 10**6
    remote.progress = "77 3 of 8 users compared\ngone\n"
    result = run(remote, monkeypatch)
    assert result["failed"]
    assert "ended on the host: run it again" in result["msg"]


def test_job_that_ends_while_its_progress_is_shown(
    remote: Remote, shown: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def end(command: str, **_options: object) -> dict[str, str]:
        if command.startswith("if cat"):
            remote.looks_until_done = 0
        return said(command)

    said = remote.run
    remote.looks_until_done = 10**6
    remote.progress = "77 3 of 8 users compared\ngone\n"
    remote.run = end  # type: ignore[method-assign]
    assert run(remote, monkeypatch)["report"] == {"in_sync": True}
