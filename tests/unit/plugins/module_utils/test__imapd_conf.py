# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""imapd.conf: read as Cyrus reads it, our settings put in and taken out again."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _imapd_conf
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parent / "recorded"
VERSIONS = ["3.2.6", "3.6.1", "3.10.2"]
SECRETS = "/etc/cyrus-replication/secrets.conf"


def values(text: str) -> dict[str, str]:
    return {option.key: option.value for option in _imapd_conf.parse(text)}


@pytest.mark.parametrize("version", VERSIONS)
def test_debian_default_comes_back(version: str) -> None:
    text = (RECORDED / f"debian-{version}-imapd.conf").read_text()
    assert values(text)["configdirectory"] == "/var/lib/cyrus"
    rendered = _imapd_conf.render(
        text, {"allowplaintext": "no", "sync_log": "1"}, {"altnamespace"}, SECRETS
    )
    found = values(rendered)
    assert found.pop("allowplaintext") == "no"
    assert found.pop("sync_log") == "1"
    assert found.pop("@include") == SECRETS
    kept = values(text)
    del kept["allowplaintext"], kept["altnamespace"]
    assert found == kept
    assert _imapd_conf.strip(rendered) == text


def test_no_option_is_ever_there_twice() -> None:
    text = f"Sync_Log: 0\n@include: {SECRETS}\n@include: /etc/site.conf\n"
    rendered = _imapd_conf.render(text, {"sync_log": "1"}, include=SECRETS)
    assert [(o.key, o.value) for o in _imapd_conf.parse(rendered)] == [
        ("@include", "/etc/site.conf"),
        ("sync_log", "1"),
        ("@include", SECRETS),
    ]


def test_continued_option_is_commented_out_whole() -> None:
    text = "admins: a \\\n  b\nservername: x\n"
    assert values(text) == {"admins": "a   b", "servername": "x"}
    rendered = _imapd_conf.render(text, {"admins": "c"})
    assert values(rendered) == {"servername": "x", "admins": "c"}
    assert _imapd_conf.strip(rendered) == text


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a b: c\n", "line 1: this is no option"),
        ("# x\nadmins:\n", "line 2: option admins has no value"),
        ("admins: a\\\n", "ends in a backslash"),
        ("# BEGIN mailops.cyrus (written by its setup; changes inside are lost)\n", "without its"),
    ],
)
def test_broken_text_is_refused(text: str, said: str) -> None:
    with pytest.raises(ReplicationError, match=said):
        _imapd_conf.render(text, {})


@pytest.mark.parametrize("value", ["", " x", "x ", "x\ny: z", "x\\"])
def test_value_that_would_break_the_file_is_refused(value: str) -> None:
    with pytest.raises(ReplicationError, match="needs a value"):
        _imapd_conf.render("", {"admins": value})


keys = st.sampled_from(["admins", "sync_log", "partition-default", "autocreate_quota", "x_y"])
words = st.from_regex(r"\A[A-Za-z0-9/:@{}\"#-]{1,12}\Z")
options = st.tuples(keys, words).map(lambda pair: f"{pair[0]}: {pair[1]}\n")
continued = st.tuples(keys, words, words).map(lambda x: f"  {x[0]}:{x[1]} \\\n\t{x[2]}\n")
comments = st.from_regex(r"\A#~[ -Z]{0,20}\Z").map(lambda text: text + "\n")
texts = st.lists(st.one_of(options, continued, comments, st.just("\n"))).map("".join)
settings = st.dictionaries(keys, words, max_size=4)


@given(texts, settings, st.sets(keys, max_size=2))
def test_rendering_twice_changes_nothing(
    text: str, wanted: dict[str, str], absent: set[str]
) -> None:
    once = _imapd_conf.render(text, wanted, absent, SECRETS)
    assert _imapd_conf.render(once, wanted, absent, SECRETS) == once


@given(texts, settings, settings)
def test_settings_leave_nothing_behind(
    text: str, first: dict[str, str], then: dict[str, str]
) -> None:
    between = _imapd_conf.render(text, first, (), SECRETS)
    assert _imapd_conf.render(between, then) == _imapd_conf.render(text, then)
    assert _imapd_conf.strip(between) == text


@given(texts, settings)
def test_ours_hold_and_the_rest_is_kept(text: str, wanted: dict[str, str]) -> None:
    found = _imapd_conf.parse(_imapd_conf.render(text, wanted))
    for key, value in wanted.items():
        assert [o.value for o in found if o.key == key] == [value]
    kept = [(o.key, o.value) for o in _imapd_conf.parse(text) if o.key not in wanted]
    assert [(o.key, o.value) for o in found if o.key not in wanted] == kept


@pytest.mark.parametrize("value", ["0", "n", "No", "f", "FALSE", "off"])
def test_switch_is_off(value: str) -> None:
    assert not _imapd_conf.switch(value)


@pytest.mark.parametrize("value", ["1", "y", "Yes", "t", "true", "ON", "userid"])
def test_switch_is_on(value: str) -> None:
    assert _imapd_conf.switch(value)
