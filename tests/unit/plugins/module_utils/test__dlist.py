# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data format of the sync protocol: there and back, cut off, and hostile."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _dlist
from ansible_collections.mailops.cyrus.plugins.module_utils._dlist import FormatError, Value
from hypothesis import example, given
from hypothesis import strategies as st

ODD_WORDS = [
    "",
    "NIL",
    "nil",
    "Nil",
    "(",
    ")",
    "%",
    "%(",
    "{3}",
    "{3+}\r\n",
    "a%b",
    '"',
    "\\",
    "\n",
]


def text_of(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


words = st.one_of(
    st.sampled_from(ODD_WORDS),
    st.text('abz019.!^/@ \t\r\n\x00"\\(){}%*+]\u00e4\u20ac\U0001f4e7', max_size=12),
    st.binary(max_size=12).map(text_of),
    st.integers(0, 2**64).map(str),
    st.integers(120, 140).map(lambda size: "x y" * (size // 3)),
)
# Keys are names of fields, which Cyrus reads in any case.
keys = words.filter(lambda word: word.upper() == word)
values: st.SearchStrategy[Value] = st.recursive(
    st.one_of(st.none(), words),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(keys, inner, max_size=4)),
    max_leaves=12,
)
# What a tokenizer may stumble over, more often than chance would bring it.
PIECES = (
    *(b"(", b")", b"%", b"%(", b'"', b"\\", b" ", b"{", b"}", b"{+}", b"\r\n"),
    *(b"{3}\r\n", b"{3+}\n", b"{9999999999}\r\n", b"{99999999999}\r\n"),
    *(b"NIL", b"a", b"\xff", b"\x00"),
)
hostile = st.one_of(
    st.binary(max_size=60), st.lists(st.sampled_from(PIECES), max_size=25).map(b"".join)
)


@given(values)
@example("\U0001f4e7")
def test_there_and_back(value: Value) -> None:
    assert _dlist.parse(_dlist.serialise(value)) == [value]


@given(st.lists(values, max_size=4))
def test_values_of_a_line(line: list[Value]) -> None:
    assert _dlist.parse(b" ".join(_dlist.serialise(value) for value in line)) == line


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", []),
        (b"  a  b ", ["a", "b"]),
        (b"NIL nil", [None, "nil"]),
        (b'"NIL" {3}\r\nNIL', ["NIL", "NIL"]),
        (b"%(NIL NIL)", [{"NIL": None}]),
        (b"%(uid 3 Flags (\\Seen $x))", [{"UID": "3", "FLAGS": ["\\Seen", "$x"]}]),
        (b'"a\\"b\\\\"', ['a"b\\']),
        (b"()", [[]]),
        (b"%()", [{}]),
        (b"(a (b) %(C (d)))", [["a", ["b"], {"C": ["d"]}]]),
        # Servers up to 3.6.4 and 3.8.2 answer with {n+}, newer ones with {n}.
        (b"{4+}\r\na)\r\n", ["a)\r\n"]),
        (b"{4}\r\na)\r\n", ["a)\r\n"]),
        (b"{0}\r\n x", ["", "x"]),
        (b"\xe4", ["\udce4"]),
        ("ä".encode(), ["ä"]),
    ],
)
def test_parsed(data: bytes, expected: list[Value]) -> None:
    assert _dlist.parse(data) == expected


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"(a", "a list is cut off"),
        (b"a)", "never began"),
        (b'"a', "unexpected"),
        (b'"a\\n"', "unexpected"),
        (b"%", "unexpected"),
        (b"% (a b)", "unexpected"),
        (b"{3}\r\nab", "literal of 3 bytes is cut off"),
        (b"{9999999999}\r\n", "cut off"),
        (b"{99999999999}\r\n", "unexpected"),
        (b"{3}", "unexpected"),
        (b"%(A)", "the key A has no value"),
        (b"%((a) b)", "a key that is no word"),
        (b"a\nb", "unexpected"),
        (b"(" * 100000, "nested deeper than 32"),
        (b"%(A " * 100000, "nested deeper than 32"),
    ],
)
def test_refused(data: bytes, said: str) -> None:
    with pytest.raises(FormatError, match=said):
        _dlist.parse(data)


def test_depth_that_is_taken() -> None:
    deepest = b"(" * _dlist.MAX_DEPTH + b")" * _dlist.MAX_DEPTH
    _dlist.parse(deepest)
    assert _dlist.end_of_value(deepest + b" ", 0) == len(deepest)
    with pytest.raises(FormatError):
        _dlist.parse(b"(" + deepest + b")")
    with pytest.raises(FormatError):
        _dlist.end_of_value(b"(" + deepest + b")", 0)


@given(hostile)
def test_any_bytes_are_parsed_or_refused(data: bytes) -> None:
    try:
        parsed = _dlist.parse(data)
    except FormatError:
        return
    assert _dlist.parse(b" ".join(map(_dlist.serialise, parsed))) == parsed


@given(hostile, st.integers(0, 10))
def test_any_bytes_have_an_end_or_none(data: bytes, pos: int) -> None:
    try:
        end = _dlist.end_of_value(data, pos)
    except FormatError:
        return
    if end is not None:
        assert pos < end < len(data)


@given(hostile)
def test_what_ends_is_one_value(data: bytes) -> None:
    try:
        end = _dlist.end_of_value(data, 0)
        parsed = _dlist.parse(data[:end]) if end is not None else None
    except FormatError:
        return
    assert parsed is None or len(parsed) == 1


@given(values)
@example("a%b")
@example("%")
@example("\n")
@example(['a\\"b\r\n', {"A": "{3}"}])
def test_end_of_every_prefix(value: Value) -> None:
    data = _dlist.serialise(value)
    for cut in range(len(data)):
        assert _dlist.end_of_value(data[:cut], 0) is None
    assert _dlist.end_of_value(data, 0) is None
    for behind in (b" ", b")", b"\r"):
        assert _dlist.end_of_value(data + behind, 0) == len(data)
        assert _dlist.end_of_value(bytearray(b"x " + data + behind), 2) == len(data) + 2


@given(st.binary(max_size=40))
def test_end_of_a_quoted_string_that_servers_send(data: bytes) -> None:
    plain = data.translate(None, b"\r\n").replace(b"\\", b"\\\\").replace(b'"', b'\\"')
    quoted = b'"' + plain + b'"'
    for cut in range(len(quoted) + 1):
        assert _dlist.end_of_value(quoted[:cut], 0) is None
    assert _dlist.end_of_value(quoted + b" ", 0) == len(quoted)
    assert _dlist.parse(quoted) == [text_of(data.translate(None, b"\r\n"))]


@pytest.mark.parametrize(
    "data", [b")", b"\n", b"\x00", b'"a\n" ', b"{x}\n", b"%\n", b"%)", b"%a", b"))"]
)
def test_no_end_of_what_is_no_value(data: bytes) -> None:
    with pytest.raises(FormatError):
        _dlist.end_of_value(data, 0)


@pytest.mark.parametrize("size", [127, 128, 1000])
def test_long_words_are_literals(size: int) -> None:
    word = "a b " * (size // 4) + "c" * (size % 4)
    assert _dlist.serialise(word).startswith(b'"' if size < 128 else b"{%d+}\r\n" % size)


def test_hostile_sizes_take_no_time() -> None:
    for data in (
        b'"' + b"\\" * 500000,
        b"{" * 500000,
        b"a" * 500000 + b"\n",
        b" " * 500000 + b"\0",
    ):
        with pytest.raises(FormatError):
            _dlist.parse(data)
