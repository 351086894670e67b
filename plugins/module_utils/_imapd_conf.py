# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!


"""imapd.conf as text: what it says, and the same text with our settings in it.

A site's lines stay where they are. A line whose key we set is commented out with a mark, ours stand
in one block at the end; so the site's text can be had back from what we wrote, and what we write
depends on that text and our settings alone.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from ._errors import ReplicationError

BEGIN = "# BEGIN mailops.cyrus (written by its setup; changes inside are lost)\n"
END = "# END mailops.cyrus\n"
MARK = "#site# "

_KEY = re.compile(r"@?[A-Za-z0-9_-]*")

_OFF = {"0", "n", "no", "f", "false", "off"}


def switch(value: str) -> bool:
    """Whether an option's value turns it on."""
    return value.lower() not in _OFF


class Setting(NamedTuple):
    """One option of imapd.conf and the physical lines it stands on (first, one past the last)."""

    key: str
    value: str
    first: int
    last: int


def _logical(lines: list[str]) -> Iterator[tuple[int, int, str]]:
    # A backslash continues a line, a comment's too: Cyrus joins before it looks for "#".
    first = 0
    text = ""
    for number, line in enumerate(lines):
        line = line.rstrip("\n")
        if line.endswith("\\"):
            text += line[:-1]
            continue
        yield first, number + 1, text + line
        first = number + 1
        text = ""
    if first < len(lines):
        raise ReplicationError(
            "the last line of imapd.conf ends in a backslash: remove it, nothing follows"
        )


def parse(text: str, name: str = "imapd.conf") -> list[Setting]:
    """Every option in order, includes as the key "@include"."""
    found = []
    for first, last, line in _logical(text.splitlines(keepends=True)):
        line = line.lstrip()
        if not line or line.startswith("#"):
            continue
        match = _KEY.match(line)
        key = match.group() if match else ""
        if not key or line[len(key) : len(key) + 1] != ":":
            raise ReplicationError(f"{name}, line {first + 1}: this is no option: {key or line!r}")
        value = line[len(key) + 1 :].strip()
        if not value:
            raise ReplicationError(f"{name}, line {first + 1}: option {key} has no value")
        found.append(Setting(key.lower(), value, first, last))
    return found


def as_text(settings: Mapping[str, Any]) -> dict[str, str]:
    """Options as a playbook gives them, the way and in the order they are written to the file."""
    return {
        key.lower(): ("yes" if value else "no") if isinstance(value, bool) else str(value)
        for key, value in sorted(settings.items())
    }


def strip(text: str) -> str:
    """The site's own text, as it was before we wrote into it."""
    return remove_block(text, "imapd.conf", {MARK})


def remove_block(text: str, name: str, marks: Collection[str]) -> str:
    """Drop our block and uncomment marked lines."""
    kept = []
    inside = False
    for line in text.splitlines(keepends=True):
        bare = line.strip()
        if bare == BEGIN.strip():
            inside = True
        elif inside:
            inside = bare != END.strip()
        else:
            mark = next((m for m in marks if line.startswith(m)), "")
            kept.append(line[len(mark) :])
    if inside:
        raise ReplicationError(
            f"{name} has the line {BEGIN.strip()!r} without its end: put back {END.strip()!r}"
        )
    return "".join(kept)


def _checked(settings: Mapping[str, str]) -> Iterator[str]:
    for key, value in settings.items():
        if not value or value != value.strip() or "\n" in value or value.endswith("\\"):
            raise ReplicationError(
                f"imapd.conf option {key} needs a value on one line, without blanks around it"
            )
        yield f"{key}: {value}\n"


def render(
    text: str, settings: Mapping[str, str], absent: Collection[str] = (), include: str | None = None
) -> str:
    """The site's text with our settings; options in `absent` are commented out."""
    base = strip(text)
    if base and not base.endswith("\n"):
        base += "\n"
    lines = base.splitlines(keepends=True)
    for option in parse(base):
        ours = option.key in settings or option.key in absent
        if ours or (option.key == "@include" and option.value == include):
            for number in range(option.first, option.last):
                lines[number] = MARK + lines[number]
    block = list(_checked(settings))
    if include:
        block.append(f"@include: {include}\n")
    if block:
        lines += [BEGIN, *block, END]
    return "".join(lines)
