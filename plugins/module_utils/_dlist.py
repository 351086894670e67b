# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The data format of Cyrus's sync protocol (imap/dlist.c): parse and serialise. Pure.

A value is an atom or string (``str``; bytes that are not UTF-8 as surrogate escapes), ``NIL``
(``None``), a list ``(a b)`` (``list``) or a key-value list ``%(KEY value)`` (``dict``).
Numbers stay strings: only the reader of a field knows that it is one.
"""

from __future__ import annotations

import re
from typing import Union

from ._errors import ReplicationError

Value = Union[None, str, "list[Value]", "dict[str, Value]"]

MAX_DEPTH = 32

# Old servers write literals as {n+}, newer ones as {n} (lib/prot.c).
_TOKEN = re.compile(
    rb" +"
    rb"|(?P<open>%?\()"
    rb"|(?P<close>\))"
    rb'|"(?P<quoted>(?:[^"\\\r\n]|\\["\\])*)"'
    rb"|\{(?P<literal>\d{1,10})\+?\}\r?\n"
    rb"|(?P<atom>[^\x00-\x20\x7f()\"{%]+)"
)
_UNESCAPE = re.compile(rb'\\(["\\])')
# A flag is a word behind a backslash.
_ATOM = re.compile(r"\\?[^\x00-\x20\x7f-\U0010ffff()\"{}%*\\\]]+\Z")


class FormatError(ReplicationError):
    """What came is not in the format."""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


class _Open:
    """A list that is being filled; of a key-value list, the key that waits for its value."""

    def __init__(self, keyed: bool) -> None:
        self.keyed = keyed
        self.items: list[Value] = []
        self.pairs: dict[str, Value] = {}
        self.key: str | None = None

    def add(self, value: Value) -> None:
        if not self.keyed:
            self.items.append(value)
        elif self.key is not None:
            self.pairs[self.key] = value
            self.key = None
        elif isinstance(value, str):
            self.key = value.upper()
        else:
            raise FormatError("a key-value list has a key that is no word")

    def close(self) -> Value:
        if self.key is not None:
            raise FormatError(f"the key {self.key} has no value")
        return self.pairs if self.keyed else self.items


def parse(data: bytes) -> list[Value]:
    """All values of one logical line (its literals included, its line end not).

    Raises FormatError where the line is cut off, too deep or not in the format.
    """
    top = _Open(keyed=False)
    stack = [top]
    pos, end = 0, len(data)
    while pos < end:
        token = _TOKEN.match(data, pos)
        if token is None:
            raise FormatError(f"unexpected {data[pos : pos + 40]!r}")
        pos = token.end()
        kind = token.lastgroup
        if kind == "atom":
            word = token.group()
            is_nil = word == b"NIL" and not (stack[-1].keyed and stack[-1].key is None)
            stack[-1].add(None if is_nil else _text(word))
        elif kind == "quoted":
            stack[-1].add(_text(_UNESCAPE.sub(rb"\1", token.group("quoted"))))
        elif kind == "literal":
            size = int(token.group("literal"))
            if pos + size > end:
                raise FormatError(f"a literal of {size} bytes is cut off")
            stack[-1].add(_text(data[pos : pos + size]))
            pos += size
        elif kind == "open":
            if len(stack) > MAX_DEPTH:
                raise FormatError(f"lists are nested deeper than {MAX_DEPTH}")
            stack.append(_Open(keyed=token.group().startswith(b"%")))
        elif kind == "close":
            if len(stack) == 1:
                raise FormatError("a list ends that never began")
            done = stack.pop()
            stack[-1].add(done.close())
    if len(stack) > 1:
        raise FormatError("a list is cut off")
    return top.items


def end_of_value(data: bytes | bytearray, pos: int) -> int | None:
    """Where the value that begins at `pos` ends; None where more data is needed to tell.

    A value at the very end of `data` counts as unfinished, since an atom may go on.
    """
    depth = 0
    size = len(data)
    while pos < size:
        token = _TOKEN.match(data, pos)
        if token is None:
            # An opening quote or brace whose end has not come yet is no error, nor a last `%`.
            begun = data[pos : pos + 1] in (b'"', b"{") and b"\n" not in data[pos:]
            if begun or data[pos:] == b"%":
                return None
            raise FormatError(f"unexpected {bytes(data[pos : pos + 40])!r}")
        pos = token.end()
        kind = token.lastgroup
        if kind == "open":
            depth += 1
            if depth > MAX_DEPTH:
                raise FormatError(f"lists are nested deeper than {MAX_DEPTH}")
        elif kind == "close":
            depth -= 1
            if depth < 0:
                raise FormatError("a list ends that never began")
        elif kind == "literal":
            pos += int(token.group("literal"))
        elif kind is None:
            continue
        if depth == 0:
            return pos if pos < size else None
    return None


def serialise(value: Value) -> bytes:
    """The value as a client sends it: literals as ``{n+}``, which the server does not confirm."""
    if value is None:
        return b"NIL"
    if isinstance(value, dict):
        pairs = [serialise(key) + b" " + serialise(item) for key, item in value.items()]
        return b"%(" + b" ".join(pairs) + b")"
    if isinstance(value, list):
        return b"(" + b" ".join(serialise(item) for item in value) + b")"
    if _ATOM.match(value) and value.upper() != "NIL":
        return value.encode("ascii")
    data = value.encode("utf-8", "surrogateescape")
    if len(data) < 128 and not re.search(rb'[\x00-\x1f\x7f-\xff"\\]', data):
        return b'"' + data + b'"'
    return b"{%d+}\r\n" % len(data) + data
