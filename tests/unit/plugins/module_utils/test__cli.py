# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The command that hosts run outside Ansible."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml
from ansible_collections.mailops.cyrus.plugins.module_utils import _cli, _doubt, _posture
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

ROOT = Path(__file__).resolve().parents[4]


def test_version_is_the_collection_s(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _cli.main(["--version"])
    assert ended.value.code == 0
    version = yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert capsys.readouterr().out == f"cyrus-replication {version}\n"


@pytest.mark.parametrize("arguments", [[], ["guard"], ["guard", "paused"], ["replicator"], ["x"]])
def test_wrong_use_is_one_line(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        _cli.main(arguments)
    assert ended.value.code == os.EX_USAGE
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("cyrus-replication")


def test_name_that_is_no_channel_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert _cli.main(["replicator", "../imap2"]) == 1
    assert capsys.readouterr().err == (
        "cyrus-replication: '../imap2' is no channel: name one in lower-case letters and digits\n"
    )


def test_guard_takes_systemd_s_word(monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    monkeypatch.setattr(_doubt, "started", lambda now: said.append("started"))
    monkeypatch.setattr(_posture, "at_start", lambda: said.append("at start"))
    monkeypatch.setattr(_doubt, "ended", lambda result, now: said.append(result))
    monkeypatch.setenv("SERVICE_RESULT", "signal")
    assert _cli.main(["guard", "started"]) == 0
    assert _cli.main(["guard", "ended"]) == 0
    monkeypatch.delenv("SERVICE_RESULT")
    assert _cli.main(["guard", "ended"]) == 0
    assert said == ["started", "at start", "signal", ""]


def test_error_is_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(result: str, now: str) -> None:
        raise ReplicationError("the disk is full: make room")

    monkeypatch.setattr(_doubt, "ended", fail)
    assert _cli.main(["guard", "ended"]) == 1
    assert capsys.readouterr().err == "cyrus-replication: the disk is full: make room\n"


def test_start_is_held_up_by_the_posture_alone(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def doubt(now: str) -> None:
        raise ReplicationError("no doubt can be noted")

    def posture() -> None:
        raise ReplicationError("no role record")

    monkeypatch.setattr(_doubt, "started", doubt)
    monkeypatch.setattr(_posture, "at_start", lambda: None)
    assert _cli.main(["guard", "started"]) == 0
    monkeypatch.setattr(_posture, "at_start", posture)
    assert _cli.main(["guard", "started"]) == 1
    said = capsys.readouterr().err.splitlines()
    assert said[-1] == "cyrus-replication: no role record"
