# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Postfix's files as text: what they say, and the same files while mail is held. Pure.

A block of ours stands at the top, and the site's lines that it replaces are commented out with a
mark; so the site's text can be had back to the byte, whatever else has changed in it since.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ._errors import ReplicationError
from ._holds import Hold

BEGIN = "# BEGIN mailops.cyrus: deliveries to a store are held (changes inside are lost)\n"
END = "# END mailops.cyrus\n"
MARK = "#site# "
# A transport of ours, which defers all that it is given. Mail for Postfix's own `retry` would not
# even be taken: smtpd refuses it for the time being.
DEFERRING = "cyrus-held"

# The longest that Postfix takes. A message that waits for us must not go back to its sender, nor
# may the sender be told that it waits.
PATIENCE = {
    "maximal_queue_lifetime": "100d",
    "bounce_queue_lifetime": "100d",
    "delay_warning_time": "0h",
}


class Entry(NamedTuple):
    """One logical line, without its line breaks, and the numbers of its physical lines."""

    text: str
    lines: list[int]


def entries(text: str) -> list[Entry]:
    """The logical lines: one that begins with a blank continues the one before."""
    found: list[Entry] = []
    for number, line in enumerate(text.splitlines()):
        bare = line.strip()
        if not bare or bare.startswith("#"):
            continue
        if line[0].isspace() and found:
            found[-1].lines.append(number)
            found[-1] = Entry(f"{found[-1].text} {bare}", found[-1].lines)
        else:
            found.append(Entry(bare, [number]))
    return found


def site(text: str, name: str) -> str:
    """The site's own text."""
    if text.startswith(BEGIN):
        _block, end, text = text.partition(END)
        if not end:
            raise ReplicationError(
                f"{name} begins a block of mailops.cyrus without its end: put back {END.strip()!r}"
            )
    lines = text.splitlines(keepends=True)
    return "".join(line[len(MARK) :] if line.startswith(MARK) else line for line in lines)


def main_cf(text: str, holds: Sequence[Hold], table: str) -> str:
    """main.cf while these are held."""
    base = site(text, "main.cf")
    if not holds:
        return base
    settings = dict(PATIENCE)
    if any(hold.domains for hold in holds):
        # The first table that knows a recipient decides, so not even a user's own entry counts.
        settings["transport_maps"] = " ".join([f"regexp:{table}", _value(base, "transport_maps")])
    block = [f"{name} = {value}".rstrip() + "\n" for name, value in settings.items()]
    replaced = [entry for entry in entries(base) if _name(entry) in settings]
    return _with_block(base, block, replaced)


def master_cf(text: str, holds: Sequence[Hold]) -> str:
    """master.cf while these are held: the transports defer all that they are given.

    `defer_transports` in main.cf would not do: each `postqueue -f`, and each ETRN, overrides it.
    """
    base = site(text, "master.cf")
    names = {name: hold.store for hold in holds for name in hold.transports}
    if any(hold.domains for hold in holds):
        names[DEFERRING] = "$nexthop"
    if not names:
        return base
    block = []
    for name, store in names.items():
        # A program that can't be started counts as a temporary failure too.
        told = f"printf '4.3.2 deliveries to the store {store} are held'"
        block += [
            f"{name} unix - n n - - pipe\n",
            f"  flags= user=nobody argv=/bin/sh -c {{{told}; exit 75}}\n",
        ]
    replaced = [entry for entry in entries(base) if _service(entry) in names]
    return _with_block(base, block, replaced)


def table(holds: Sequence[Hold]) -> str | None:
    """The transport table of the domains, None where there are none."""
    lines = [
        f"/@{re.escape(domain)}$/ {DEFERRING}:{hold.store}\n"
        for hold in holds
        for domain in hold.domains
    ]
    return "".join(lines) or None


def services(text: str) -> set[str]:
    """What a message can be handed to, as master.cf has it."""
    return {_service(entry) for entry in entries(text)} - {""}


def _service(entry: Entry) -> str:
    words = entry.text.split()
    return words[0] if words[1:2] == ["unix"] else ""


def _name(entry: Entry) -> str:
    return entry.text.partition("=")[0].strip()


def _value(text: str, name: str) -> str:
    """A parameter's value: the last one counts."""
    found = [
        entry.text.partition("=")[2].strip() for entry in entries(text) if _name(entry) == name
    ]
    return found[-1] if found else ""


def _with_block(base: str, block: Sequence[str], replaced: Sequence[Entry]) -> str:
    lines = base.splitlines(keepends=True)
    for number in (number for entry in replaced for number in entry.lines):
        lines[number] = MARK + lines[number]
    return "".join([BEGIN, *block, END, *lines])
