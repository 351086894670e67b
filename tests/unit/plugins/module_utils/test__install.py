# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is read of a host's Cyrus."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _install
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._install import Install, ToolError

RECORDED = Path(__file__).parent / "recorded"


def install(tmp_path: Path, script: str = "", **settings: str) -> Install:
    tool = tmp_path / "tool"
    tool.write_text(f"#!/bin/sh\n{script}\n")
    tool.chmod(tool.stat().st_mode | stat.S_IXUSR)
    found = Install(str(tmp_path), "/etc/imapd.conf", "/etc/cyrus.conf", settings)
    found._version_text = "cyrus-imapd 3.6.1-4+deb12u5-Debian"
    return found


@pytest.fixture(autouse=True)
def _as_whoever_runs_the_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Install, "_identity", lambda self: {})


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("cyrus-imapd 3.6.1-Debian-3.6.1-4+deb12u5", (3, 6, 1)),
        ("cyrus-imapd 3.2.6-Debian-3.2.6-2+deb11u2", (3, 2, 6)),
        ("cyrus-imapd 3.12.3", (3, 12, 3)),
    ],
)
def test_version(text: str, version: tuple[int, ...]) -> None:
    assert _install.parse_version(text) == version


def test_version_that_is_none_is_refused() -> None:
    with pytest.raises(ReplicationError, match="can't find a version"):
        _install.parse_version("usage: ...")


def test_mailboxes_from_3_6() -> None:
    lines = (RECORDED / "3.6.1-mboxlist.txt").read_text().splitlines(keepends=True)
    found = [entry for line in lines if (entry := _install.parse_mailbox(line))]
    assert [entry.name for entry in found] == [
        "DELETED.user.gone.6B0441E9",
        "shared",
        "user.o^hara",
        "user.t1",
    ]
    assert found[3] == (
        "user.t1",
        "e",
        "default",
        "t1	lrswipkxtecdan	cyrus	lrswipkxtecda	",
        "g6tctymcl78cv8nm1rac9jeq",
    )


def test_mailboxes_before_3_6() -> None:
    lines = (RECORDED / "3.2.6-mboxlist.txt").read_text().splitlines(keepends=True)
    found = [entry for line in lines if (entry := _install.parse_mailbox(line))]
    assert [entry.name for entry in found] == ["shared", "user.t1", "user.t1.Sent Items"]
    assert found[2] == ("user.t1.Sent Items", "0", "default", "t1\tlrswipkxtecdan\t", None)


def test_layout_speaks_of_what_holds(tmp_path: Path) -> None:
    unset = install(tmp_path, **{"partition-default": "/x"}).layout()
    said = install(
        tmp_path,
        **{
            "partition-default": "/y",
            "hashimapspool": "off",
            "unixhierarchysep": "1",
            "virtdomains": "no",
            "fulldirhash": "f",
        },
    ).layout()
    assert said == unset
    assert unset["unixhierarchysep"] == "yes"
    assert unset["partition names"] == "default"
    other = install(tmp_path, **{"partition-news": "/x", "virtdomains": "userid"}).layout()
    assert {k for k in other if other[k] != unset[k]} == {"partition names", "virtdomains"}


def test_settings_include_files(tmp_path: Path) -> None:
    (tmp_path / "more.conf").write_text("Sync_Host: x\n")
    main = tmp_path / "imapd.conf"
    main.write_text(f"configdirectory: /c\n@include: {tmp_path}/more.conf\n")
    assert _install.read_settings(str(main)) == {"configdirectory": "/c", "sync_host": "x"}
    (tmp_path / "more.conf").write_text(f"@include: {main}\n")
    with pytest.raises(ReplicationError, match="included twice"):
        _install.read_settings(str(main))
    with pytest.raises(ReplicationError, match="can't read"):
        _install.read_settings(str(tmp_path / "none"))


def test_tool_runs_with_input(tmp_path: Path) -> None:
    done = install(tmp_path, 'cat; echo "$1" >&2').run("tool", "a b", input="in")
    assert (done.rc, done.stdout, done.stderr) == (0, "in", "a b\n")


def test_failing_tool_says_why(tmp_path: Path) -> None:
    with pytest.raises(ToolError, match="tool failed: the reason") as caught:
        install(tmp_path, 'echo "the reason" >&2; exit 3').run("tool")
    assert caught.value.done.rc == 3
    assert install(tmp_path, "exit 3").run("tool", check=False).rc == 3


def test_stalling_tool_is_ended(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match=r"^tool did not end within 0\.2 s$"):
        install(tmp_path, "exec sleep 30").run("tool", timeout=0.2)


def test_missing_tool_is_named(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match="sync_client is not installed"):
        install(tmp_path).run("sync_client")


def test_mailbox_list_that_breaks_off_is_no_list(tmp_path: Path) -> None:
    found = install(tmp_path, configdirectory=str(tmp_path))
    assert list(found.mailboxes()) == []
    (tmp_path / "mailboxes.db").touch()
    (tmp_path / "ctl_mboxlist").write_text(
        "#!/bin/sh\nprintf 'user.a\\t0 default a\\tlrs\\t\\n'; echo broken >&2; exit 75\n"
    )
    (tmp_path / "ctl_mboxlist").chmod(0o755)
    listed = found.mailboxes()
    assert next(listed).name == "user.a"
    with pytest.raises(ToolError, match="ended with 75: broken"):
        next(listed)
