# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import pytest

from tests.lab.errors import LabError
from tests.lab.mirror import Source, parse_deb822, parse_list, sources_for

DEB822 = """\
# The archive
Types: deb deb-src
URIs: http://mirror.test/debian
Suites: bookworm bookworm-updates
Components: main
 contrib
Signed-By: /usr/share/keyrings/debian.gpg

Enabled: no
Types: deb
URIs: http://elsewhere.test/debian
Suites: bookworm
Components: main
"""


def test_deb822_gives_one_source_a_suite_and_skips_what_is_disabled() -> None:
    options = ("signed-by=/usr/share/keyrings/debian.gpg",)
    assert parse_deb822(DEB822) == [
        Source("http://mirror.test/debian", "bookworm", ("main", "contrib"), options),
        Source("http://mirror.test/debian", "bookworm-updates", ("main", "contrib"), options),
    ]


def test_a_key_inside_the_file_is_left_out() -> None:
    text = "Types: deb\nURIs: http://m.test\nSuites: sid\nComponents: main\nSigned-By:\n -----BEGIN"
    assert parse_deb822(text) == [Source("http://m.test", "sid", ("main",))]


def test_one_line_sources() -> None:
    text = (
        "# deb http://old.test bookworm main\n"
        "deb [arch=amd64 signed-by=/k.gpg] http://m.test/debian bookworm main # ours\n"
        "deb-src http://m.test/debian bookworm main\n"
    )
    options = ("arch=amd64", "signed-by=/k.gpg")
    assert parse_list(text) == [Source("http://m.test/debian", "bookworm", ("main",), options)]
    assert parse_list(text)[0].line() == (
        "deb [arch=amd64 signed-by=/k.gpg] http://m.test/debian bookworm main"
    )


CONFIGURED = [
    Source("http://m.test/security", "bookworm-security", ("main",)),
    Source("http://m.test/debian", "bookworm", ("main",)),
    Source("http://other.test/apt", "nodistro", ("main",)),
]


def test_the_machines_own_release_has_all_its_suites_main_first() -> None:
    suites = [source.suite for source in sources_for("bookworm", "bookworm", CONFIGURED)]
    assert suites == ["bookworm", "bookworm-security"]


def test_another_release_has_the_main_suite_of_the_same_mirror() -> None:
    (source,) = sources_for("trixie", "bookworm", CONFIGURED)
    assert (source.uri, source.suite) == ("http://m.test/debian", "trixie")


def test_a_machine_without_debian_sources_is_told_so() -> None:
    with pytest.raises(LabError, match="no source for Debian bookworm main"):
        sources_for("bookworm", "bookworm", CONFIGURED[:1])
