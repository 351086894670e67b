# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Exim's configuration as text while domains are held, and its queue's listing. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from ._errors import ReplicationError
from ._holds import Hold

BEGIN = "# BEGIN mailops.cyrus: deliveries to a store are held (changes inside are lost)\n"
END = "# END mailops.cyrus\n"
OPTION = "hold_domains"

# As in " 2h  2.9K 1tQrXK-0000c8-2x <sender@example.com>", perhaps with "*** frozen ***".
_HEAD = re.compile(r"\s*\d+[smhdw]\s+\S+\s+(\S+-\S+-\S+)\s+<")


class Message(NamedTuple):
    """A message in the queue, with those of its recipients that have not got it."""

    ident: str
    recipients: list[str]


def site(text: str, name: str) -> str:
    """The site's own text."""
    if text.startswith(BEGIN):
        _block, end, text = text.partition(END)
        if not end:
            raise ReplicationError(
                f"{name} begins a block of mailops.cyrus without its end: put back {END.strip()!r}"
            )
    return text


def configuration(text: str, holds: Sequence[Hold], name: str) -> str | None:
    """The text while these are held; None for a file with nothing in it."""
    base = site(text, name)
    domains = sorted({domain for hold in holds for domain in hold.domains})
    if domains:
        base = f"{BEGIN}{OPTION} = {' : '.join(domains)}\n{END}{base}"
    return base or None


def held_domains(printed: str) -> set[str]:
    """What `exim -bP hold_domains` says."""
    value = printed.partition("=")[2]
    return {word.strip() for word in value.split(":") if word.strip()}


def messages(listing: str) -> list[Message]:
    """The messages of `exim -bpu`: a head line each, its recipients indented below."""
    found: list[Message] = []
    for line in listing.splitlines():
        head = _HEAD.match(line)
        if head:
            found.append(Message(head.group(1), []))
        elif line.strip() and found:
            found[-1].recipients.append(line.strip())
    return found


def is_meant(message: Message, hold: Hold) -> bool:
    """Whether somebody in a held domain waits for it."""
    return any(name.rpartition("@")[2].lower() in hold.domains for name in message.recipients)
