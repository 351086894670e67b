# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The library as one file: the same bytes everywhere, and Python runs it."""

from __future__ import annotations

import base64
import hashlib
import io
import re
import subprocess
import sys
import zipfile
from pathlib import Path

from ansible_collections.mailops.cyrus.plugins.lookup.library import LIBRARY, LookupModule
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _archive

SOURCES = {
    "_cli": "from . import _a\nfrom ._b import word\n\ndef main():\n    print(word + _a.word)\n",
    "_a": "word = '\\u00e4'\n",
    "_b": "def late():\n    from . import _c\n\nword = 'b'\n",
    "_c": "",
    "_unused": "import nothing\n",
}


def test_only_what_is_reached_is_in_it() -> None:
    assert _archive.needed(SOURCES) == ["_a", "_b", "_c", "_cli"]


def test_bytes_are_the_same_on_every_controller() -> None:
    backwards = dict(reversed(SOURCES.items()))
    assert _archive.build(backwards) == _archive.build(SOURCES)
    digest = hashlib.sha256(_archive.build(SOURCES)).hexdigest()
    assert digest == "4702930118016a40893e27449e2d4c74130eab9ea43b1190e7c929764bb2ed9d"


def run(archive: bytes, tmp_path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    path = tmp_path / "library.pyz"
    path.write_bytes(archive)
    return subprocess.run(
        [sys.executable, "-I", str(path), *arguments],
        capture_output=True,
        check=False,
        encoding="utf-8",
        env={"PYTHONUTF8": "1"},
    )


def test_python_runs_it(tmp_path: Path) -> None:
    done = run(_archive.build(SOURCES), tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, "b\u00e4\n", "")


def test_library_needs_nothing_of_ansible(tmp_path: Path) -> None:
    (written,) = LookupModule().run([])
    archive = base64.b64decode(written)
    with zipfile.ZipFile(io.BytesIO(archive)) as opened:
        names = opened.namelist()
        texts = [opened.read(name).decode() for name in names]
    assert {"__main__.py", "cyrus_replication/__init__.py", "cyrus_replication/_cli.py"} <= {*names}
    assert not [text for text in texts if re.search(r"^\s*(from|import) ansible", text, re.M)]
    assert len(names) < len(list(LIBRARY.glob("_*.py")))
    done = run(archive, tmp_path, "--version")
    assert (done.returncode, done.stderr) == (0, "")
