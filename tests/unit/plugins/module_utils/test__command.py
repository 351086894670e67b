# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Programs are run to their end, without a shell and not for ever."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _command
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def test_what_it_did_is_returned_however_it_ended() -> None:
    cmd = ["sh", "-c", 'cat; echo "$1" >&2; exit 3', "sh", "$(a) b"]
    assert _command.run(cmd, timeout=30, input="in") == (cmd, 3, "in", "$(a) b\n")


def test_without_input_there_is_nothing_to_read() -> None:
    assert _command.run(["cat"], timeout=30).stdout == ""


def test_bytes_that_are_no_text_survive() -> None:
    printed = _command.run(["printf", r"\377"], timeout=30).stdout
    assert printed == "\udcff"
    assert _command.run(["cat"], timeout=30, input=printed).stdout == printed


def test_output_is_in_one_language(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LANG", "de_DE.UTF-8")
    said = _command.run(["env"], timeout=30).stdout.splitlines()
    assert "LC_ALL=C" in said
    assert not [line for line in said if line.startswith("LANG=")]


def test_missing_program_is_named() -> None:
    with pytest.raises(_command.MissingError, match="the program no-such-tool is missing"):
        _command.run(["no-such-tool"], timeout=30)


def test_file_that_is_no_program(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match=r"^can't run /.*: Permission denied"):
        _command.run([str(tmp_path)], timeout=30)


def test_stalling_program_is_ended() -> None:
    with pytest.raises(ReplicationError, match=r"^sleep did not end within 0\.2 s$"):
        _command.run(["sleep", "30"], timeout=0.2)
