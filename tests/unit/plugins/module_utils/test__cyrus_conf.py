# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""cyrus.conf: read as cyrmaster reads it, rendered for a role and back."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _cyrus_conf, _imapd_conf
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from hypothesis import given
from hypothesis import strategies as st

RECORDED = Path(__file__).parent / "recorded"
DEBIAN = (RECORDED / "debian-3.6.1-cyrus.conf").read_text()
OWN = {"privcsync": 'cmd="sync_server" listen="/run/cyrus/private/csync"'}


def running(text: str) -> list[str]:
    return [f"{entry.section} {entry.name}" for entry in _cyrus_conf.parse(text)]


def test_debian_default_is_read() -> None:
    assert running(DEBIAN) == [
        "START recover",
        "START delprune",
        "START tlsprune",
        "SERVICES imap",
        "SERVICES pop3",
        "SERVICES nntp",
        "SERVICES http",
        "SERVICES lmtpunix",
        "SERVICES sieve",
        "SERVICES notify",
        "EVENTS checkpoint",
        "EVENTS delprune",
        "EVENTS tlsprune",
        "EVENTS deleteprune",
        "EVENTS expungeprune",
    ]
    imap = _cyrus_conf.parse(DEBIAN)[3]
    assert imap.arguments == {
        "cmd": "imapd -U 30",
        "listen": "imap",
        "prefork": "0",
        "maxchild": "100",
    }


def test_replica_serves_nobody_and_expires_nothing() -> None:
    replica = _cyrus_conf.render(DEBIAN, "replica", OWN)
    assert running(replica) == [
        "START recover",
        "START tlsprune",
        "SERVICES privcsync",
        "EVENTS checkpoint",
        "EVENTS tlsprune",
    ]


def test_master_keeps_every_line_of_the_site() -> None:
    master = _cyrus_conf.render(DEBIAN, "master", OWN)
    assert [line for line in running(master) if line != "SERVICES privcsync"] == running(DEBIAN)
    assert _cyrus_conf.strip(master) == DEBIAN


def test_a_site_s_own_replication_is_replaced() -> None:
    site = """\
START {
  recover cmd="ctl_cyrusdb -r"
  syncclient cmd="/usr/lib/cyrus/bin/sync_client -r -n imap2"
}
SERVICES {
  imap cmd="imapd" listen="imap"
  csync cmd="sync_server" listen="csync"
}
DAEMON {
  offsite cmd="sync_client -r -n offsite"
  ptloader cmd="ptloader"
}
"""
    assert running(_cyrus_conf.render(site, "master", OWN, channels=["imap2"])) == [
        "START recover",
        "SERVICES imap",
        "SERVICES privcsync",
        "DAEMON offsite",
        "DAEMON ptloader",
    ]
    assert running(_cyrus_conf.render(site, "replica", OWN, channels=["imap2"])) == [
        "START recover",
        "SERVICES privcsync",
        "DAEMON ptloader",
    ]


def test_site_s_additions_replace_its_lines_and_rest_on_a_replica() -> None:
    extra = {"imap": 'cmd="imapd -p 2" listen="1143"'}
    master = _cyrus_conf.parse(_cyrus_conf.render(DEBIAN, "master", OWN, extra))
    assert [e.arguments["listen"] for e in master if e.name == "imap"] == ["1143"]
    assert "SERVICES imap" not in running(_cyrus_conf.render(DEBIAN, "replica", OWN, extra))


def test_clean_file_takes_and_drops_services() -> None:
    text = _cyrus_conf.clean({"sieve": "", "imaps": 'cmd="imapd -s" listen="993"'})
    assert _cyrus_conf.is_clean(text)
    names = [line.split()[1] for line in running(text) if line.startswith("SERVICES")]
    assert names == ["imap", "lmtpunix", "notify", "imaps"]


def test_file_without_services_gets_a_section() -> None:
    rendered = _cyrus_conf.render("START {\n}\n", "master", OWN)
    assert running(rendered) == ["SERVICES privcsync"]
    assert _cyrus_conf.strip(rendered) == "START {\n}\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("SERVICES {\n imap cmd=imapd listen=143\n", "no closing brace"),
        ("SERVICES {\n im-ap cmd=imapd\n}\n", "line 2: can't read"),
        ('SERVICES {\n imap cmd="imapd\n}\n', "line 2: can't read"),
        ('SERVICES {\n imap cmd="imapd"\n}\n', "has no listen"),
        ('SERVICES {\n imap listen="1"\n}\n', "has no cmd"),
        ("SERVICES {\n a cmd=x listen=1\n a cmd=y listen=2\n}\n", "is there twice"),
        ("START {\n}\nSTART {\n}\n", "two sections START"),
    ],
)
def test_what_cyrmaster_refuses_is_refused(text: str, said: str) -> None:
    with pytest.raises(ReplicationError, match=said):
        _cyrus_conf.parse(text)


def test_block_without_end_is_refused() -> None:
    broken = _cyrus_conf.render(DEBIAN, "master", OWN).replace(_imapd_conf.END, "")
    with pytest.raises(ReplicationError, match="without its end"):
        _cyrus_conf.render(broken, "master", OWN)


def test_name_of_ours_is_refused() -> None:
    site = 'SERVICES {\n privcsync cmd="x" listen="1"\n}\n'
    with pytest.raises(ReplicationError, match="rename service privcsync"):
        _cyrus_conf.render(site, "master", OWN)


def test_programs_that_are_not_installed_are_named() -> None:
    present = {"/usr/sbin/cyrus"} | {
        f"/usr/lib/cyrus/bin/{name}"
        for name in ("imapd", "lmtpd", "timsieved", "notifyd", "ctl_cyrusdb", "cyr_expire")
    }
    reasons = _cyrus_conf.check_services(
        _cyrus_conf.parse(DEBIAN), exists=lambda path: path in present
    )
    assert [reason.split(":")[1].split(" needs ")[0] for reason in reasons] == [
        " START entry tlsprune",
        " SERVICES entry pop3",
        " SERVICES entry nntp",
        " SERVICES entry http",
        " EVENTS entry tlsprune",
    ]
    assert reasons[1] == (
        "cyrus.conf, line 33: SERVICES entry pop3 needs pop3d, which is not installed: "
        "install the package cyrus-pop3d or remove the line"
    )


COMMANDS = [
    "imapd -U 30",
    "sync_server",
    "sync_client -r -n imap2",
    "sync_client -r -n other",
    "/usr/sbin/cyrus expire -E 3",
    "cyr_expire -X 28",
    "ptloader",
    "lmtpd -a",
    "ctl_cyrusdb -c",
]
comments = st.text(
    st.characters(codec="utf-8", exclude_characters="\n\r\v\f\x1c\x1d\x1e\x85\u2028\u2029"),
    max_size=30,
).map(lambda text: f"  #~{text}\n")
blanks = st.sampled_from(["\n", "  \n", "\t\n"])


def entries(section: str) -> st.SearchStrategy[str]:
    lines = st.lists(
        st.tuples(st.from_regex(r"\A[a-z]{3,6}[0-9]{0,2}\Z"), st.sampled_from(COMMANDS)),
        max_size=5,
        unique_by=lambda pair: pair[0],
    ).map(lambda pairs: [f'\t{name} cmd="{cmd}" listen="1"\n' for name, cmd in pairs])
    body = st.tuples(lines, st.lists(st.one_of(comments, blanks), max_size=3)).flatmap(
        lambda parts: st.permutations(parts[0] + parts[1])
    )
    return body.map(lambda body: f"{section} {{\n{''.join(body)}}}\n")


files = st.lists(st.sampled_from(["START", "SERVICES", "DAEMON", "EVENTS"]), unique=True).flatmap(
    lambda names: st.tuples(comments, *[entries(name) for name in names]).map("".join)
)
roles = st.sampled_from(["master", "replica", "fenced"])


def render(text: str, role: str) -> str:
    return _cyrus_conf.render(text, role, OWN, {"added": 'cmd="x" listen="2"'}, ["imap2"])


@given(files, roles)
def test_rendering_twice_changes_nothing(text: str, role: str) -> None:
    once = render(text, role)
    assert render(once, role) == once


@given(files, roles, roles)
def test_a_role_leaves_nothing_behind(text: str, first: str, then: str) -> None:
    assert render(render(text, first), then) == render(text, then)


@given(files, roles)
def test_the_site_s_text_comes_back(text: str, role: str) -> None:
    assert _cyrus_conf.strip(render(text, role)) == text


@given(files)
def test_a_replica_never_serves_sends_or_expires(text: str) -> None:
    for entry in _cyrus_conf.parse(render(text, "replica")):
        assert not entry.programs & {"sync_client", "cyr_expire"}
        if entry.section == "SERVICES":
            assert entry.name in OWN or "ptloader" in entry.programs


def test_client_without_a_channel_is_replaced_where_it_is_taken_over() -> None:
    text = 'START {\n  old cmd="sync_client -r"\n  far cmd="sync_client -r -n far"\n}\n'
    kept = _cyrus_conf.render(text, "master", {}, channels=["imap2"])
    assert kept == text
    taken = _cyrus_conf.render(text, "master", {}, channels=["imap2"], nameless=True)
    assert [entry.name for entry in _cyrus_conf.parse(taken)] == ["far"]
    assert _cyrus_conf.strip(taken) == text
