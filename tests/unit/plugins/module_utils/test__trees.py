# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Of what a copy consists, and when it would not be all."""

from __future__ import annotations

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _trees

SETTINGS = {
    "configdirectory": "/var/lib/cyrus",
    "partition-default": "/var/spool/cyrus/mail",
    "metapartition-default": "/srv/meta/",
    "sievedir": "/var/spool/sieve",
}


def test_the_folders_of_a_host() -> None:
    found = {tree.name: tree.path for tree in _trees.trees(SETTINGS)}
    assert found == {
        "partition-default": "/var/spool/cyrus/mail",
        "metapartition-default": "/srv/meta",
        "sieve": "/var/spool/sieve",
        "config": "/var/lib/cyrus",
    }
    assert list(_trees.troubles(SETTINGS)) == []


def test_what_is_this_hosts_own_is_left_where_it_is() -> None:
    spool, *_others, config = _trees.trees(SETTINGS)
    assert spool.means("user")
    assert spool.means("A")
    assert not spool.means("sync.")
    assert not spool.means("reseed-new.")
    assert "- /stage." in spool.filters()
    assert config.means("mailboxes.db")
    assert config.means("user")
    for own in ("sync", "proc", "socket", "db", "deliver.db", "statuscache.db", "log", "msg"):
        assert not config.means(own), own
    assert config.filters()[-1] == "- /*"
    assert "+ /quota" in config.filters()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"mboxlist_db_path": "/srv/mailboxes.db"}, "mboxlist_db_path puts a database"),
        ({"sieveusehomedir": "yes"}, "sieveusehomedir keeps scripts"),
        ({"partition-b": "/var/spool/cyrus/mail/b"}, "lies in partition-default"),
        ({"partition-b": "/var/spool/cyrus/mail"}, "lies in partition-default"),
        ({"sievedir": "/var/lib/cyrus/user"}, "sieve (/var/lib/cyrus/user) lies in config"),
    ],
)
def test_a_copy_that_would_not_be_all_is_refused(more: dict[str, str], said: str) -> None:
    assert any(said in trouble for trouble in _trees.troubles({**SETTINGS, **more}))


def test_scripts_beside_what_is_copied_are_a_folder_of_their_own() -> None:
    assert list(_trees.troubles({**SETTINGS, "sievedir": "/var/lib/cyrus/sieve"})) == []
