# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A transport table of Postfix: where mail for some of its keys goes next."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Collection, Sequence

from . import _command, _files
from ._errors import ReplicationError

# Tables that Postfix reads from the file itself, by every process at its start.
_TEXT = ("texthash",)


def table_type(configuration: str, table: str) -> str:
    """As what the configuration reads a table, from what `postconf -n` says. Pure."""
    found = re.search(rf"(\w+):{re.escape(table)}(?=[\s,]|$)", configuration, re.MULTILINE)
    if found is None:
        raise ReplicationError(
            f"Postfix does not read {table}: name it in transport_maps of main.cf, "
            "or the right file in table"
        )
    return found[1]


def with_nexthop(text: str, keys: Sequence[str], nexthop: str) -> str:
    """The text of a table in which these keys have this next hop; every key has to be there."""
    lines: list[str] = []
    missing = list(keys)
    replaced = False
    for line in text.splitlines():
        if replaced and line[:1].isspace():
            continue
        key = "" if line[:1].isspace() or line.startswith("#") else line.partition(" ")[0]
        key = key.partition("\t")[0]
        replaced = key in keys
        if replaced:
            missing = [each for each in missing if each != key]
            gap = re.match(r"\S+(\s*)", line)
            line = f"{key}{gap[1] if gap and gap[1] else ' '}{nexthop}"
        lines.append(line)
    if missing:
        raise ReplicationError(f"the table has no line for {', '.join(missing)}: see keys")
    return "\n".join(lines) + "\n"


def _run(*cmd: str) -> str:
    done = _command.run(list(cmd), timeout=60)
    if done.rc != 0:
        raise ReplicationError(f"{' '.join(cmd)} failed: {done.stderr.strip() or done.rc}")
    return done.stdout


def _is_served(kind: str, table: str, keys: Collection[str], nexthop: str) -> bool:
    for key in keys:
        asked = _command.run(["postmap", "-q", key, f"{kind}:{table}"], timeout=60)
        if asked.stdout.strip() != nexthop:
            return False
    return True


def _reload() -> None:
    # A Postfix that does not run reads it all when it starts.
    if _command.run(["postfix", "status"], timeout=60).rc == 0:
        _run("postfix", "reload")


def ensure(table: str, keys: Sequence[str], nexthop: str, check: bool) -> tuple[str, str, bool]:
    """Let the keys of a table have this next hop.

    Returns the text before and after, and whether Postfix had something else.
    """
    kind = table_type(_run("postconf", "-n"), table)
    if not os.path.exists(table):
        raise ReplicationError(f"there is no {table}: see table")
    before = _files.read(table)
    try:
        after = with_nexthop(before, keys, nexthop)
    except ReplicationError as error:
        raise ReplicationError(f"{table}: {error}") from error
    changed = after != before or not _is_served(kind, table, keys, nexthop)
    if check or not changed:
        return before, after, changed
    if after != before:
        about = os.stat(table)
        _files.write(table, after, stat.S_IMODE(about.st_mode), about.st_uid, about.st_gid)
    if kind not in _TEXT:
        _run("postmap", f"{kind}:{table}")
    # What has opened the table keeps it for up to ten seconds.
    _reload()
    if not _is_served(kind, table, keys, nexthop):
        raise ReplicationError(
            f"Postfix still has another next hop for {', '.join(keys)} in {table}: "
            f"see `postmap -q KEY {kind}:{table}`"
        )
    return before, after, True
