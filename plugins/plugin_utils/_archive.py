# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The library as one file that Python runs: a zip archive, the same bytes wherever it is made."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Iterator, Mapping

PACKAGE = "cyrus_replication"

# What the command begins with; whatever else is needed is found from there.
ENTRY = "_cli"
_MAIN = f"""\
import sys

from {PACKAGE}.{ENTRY} import main

sys.exit(main())
"""
# What else it takes for a name is no module. To parse every source takes ten times as long.
_IMPORT = re.compile(r"^ *from \.(\w*) import (\([^)]*\)|.*)$", re.MULTILINE)
_WORD = re.compile(r"\w+")
# The first time that a zip archive can hold.
_TIME = (1980, 1, 1, 0, 0, 0)


def build(sources: Mapping[str, str]) -> bytes:
    """The archive; `sources` are the library's files by module name, such as `_cli`."""
    files = {"__main__.py": _MAIN, f"{PACKAGE}/__init__.py": ""}
    files.update({f"{PACKAGE}/{name}.py": sources[name] for name in needed(sources)})
    written = io.BytesIO()
    # Stored, because what deflate makes of it depends on the zlib at hand.
    with zipfile.ZipFile(written, "w", zipfile.ZIP_STORED) as archive:
        for path, text in sorted(files.items()):
            entry = zipfile.ZipInfo(path, _TIME)
            entry.create_system = 3  # Unix
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, text.encode())
    return written.getvalue()


def needed(sources: Mapping[str, str]) -> list[str]:
    """The modules that the command reaches by imports, sorted: a change elsewhere is none here."""
    found: set[str] = set()
    ahead = [ENTRY]
    while ahead:
        name = ahead.pop()
        if name in sources and name not in found:
            found.add(name)
            ahead += _imports(sources[name])
    return sorted(found)


def _imports(source: str) -> Iterator[str]:
    for module, names in _IMPORT.findall(source):
        if module:
            yield module
        else:
            yield from _WORD.findall(names)
