# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!


"""cyrus.conf as text: what it starts, and the same text for a master or for a replica.

A line that must not run in a role is commented out with a mark, our services stand in a block of
their own; so the text for one role can be made from the text for the other.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Mapping
from typing import NamedTuple

from ._errors import ReplicationError
from ._imapd_conf import BEGIN, END, remove_block

# Off while the host is no master or is fenced, or an old master is awaited; on again afterwards.
REPLICA_MARK = "#replica# "
# Off in every role: what it did is done by us.
REPLACED_MARK = "#replaced# "
CLEAN = "# Written by mailops.cyrus from cyrus_services; without this line it is the site's file.\n"

# A master that forgets nothing of what was expunged.
RESTING = "resting"

SECTIONS = ("START", "SERVICES", "DAEMON", "EVENTS")
LIBEXEC_DIRS = ("/usr/lib/cyrus/bin", "/usr/lib/cyrus-imapd", "/usr/libexec/cyrus-imapd")
SBIN_DIRS = ("/usr/sbin",)

# Not a service for clients: without it imapd can't authorise the accounts of the link.
_KEPT_ON_REPLICA = {"ptloader"}
_PACKAGES = {
    "httpd": "cyrus-caldav",
    "idled": "cyrus-imapd",
    "imapd": "cyrus-imapd",
    "mupdate": "cyrus-murder",
    "nntpd": "cyrus-nntpd",
    "pop3d": "cyrus-pop3d",
    "proxyd": "cyrus-murder",
    "squatter": "cyrus-imapd",
    "sync_client": "cyrus-replication",
    "sync_server": "cyrus-replication",
}

# What serves a mailbox server where the site has not said anything else.
DEFAULT_SERVICES = {
    "imap": 'cmd="imapd -U 30" listen="143" prefork=0 maxchild=100',
    "lmtpunix": 'cmd="lmtpd" listen="/run/cyrus/socket/lmtp" prefork=0 maxchild=20',
    "sieve": 'cmd="timsieved" listen="4190" prefork=0 maxchild=100',
    "notify": 'cmd="notifyd" listen="/run/cyrus/socket/notify" proto="udp" prefork=1',
}
_CLEAN_TEXT = """\
START {{
\trecover\t\tcmd="/usr/sbin/cyrus ctl_cyrusdb -r"
\tdelprune\tcmd="/usr/sbin/cyrus expire -E 3"
\ttlsprune\tcmd="/usr/sbin/cyrus tls_prune"
}}

SERVICES {{
{services}}}

EVENTS {{
\tcheckpoint\tcmd="/usr/sbin/cyrus ctl_cyrusdb -c" period=30
\tdelprune\tcmd="/usr/sbin/cyrus expire -E 3" at=0401
\ttlsprune\tcmd="/usr/sbin/cyrus tls_prune" at=0401
\tdeleteprune\tcmd="/usr/sbin/cyrus expire -E 4 -D 28" at=0430
\texpungeprune\tcmd="/usr/sbin/cyrus expire -E 4 -X 28" at=0445
}}
"""

_OPENING = re.compile(rf"({'|'.join(SECTIONS)})(?![A-Za-z0-9])(.*)", re.IGNORECASE)
_NAME = re.compile(r"[A-Za-z0-9]+(?=\s|$)")
_ARGUMENT = re.compile(r'\s*([A-Za-z0-9]+)=(?:"([^"]*)"|([^"\s]\S*|))(?=\s|$|[A-Za-z0-9])')


class Entry(NamedTuple):
    """One line of a section."""

    section: str
    name: str
    arguments: dict[str, str]
    line: int

    @property
    def command(self) -> list[str]:
        return self.arguments.get("cmd", "").split()

    @property
    def programs(self) -> set[str]:
        """Names of Cyrus programs that the command may run, also behind the wrapper `cyrus`."""
        found = {os.path.basename(word) for word in self.command}
        if "cyrus" in found:
            found |= {f"cyr_{word}" for word in found}
        return found


class _Sections:
    def __init__(self) -> None:
        self.entries: list[Entry] = []
        self.ends: dict[str, int] = {}


def _arguments(text: str, number: int) -> dict[str, str]:
    found: dict[str, str] = {}
    position = 0
    while text[position:].strip():
        match = _ARGUMENT.match(text, position)
        if not match:
            raise ReplicationError(
                f"cyrus.conf, line {number + 1}: can't read {text[position:].strip()!r}"
            )
        value = match.group(2) if match.group(2) is not None else match.group(3)
        found.setdefault(match.group(1), value)
        position = match.end()
    return found


def _read(text: str) -> _Sections:
    # As master/masterconf.c: sections open on their own line, entries are one line each.
    read = _Sections()
    section = ""
    skipped = 0
    for number, raw in enumerate(text.splitlines()):
        line = raw.split("#", 1)[0].strip()
        if not line:
            continue
        if section:
            if line.startswith("}"):
                read.ends[section] = number
                section = ""
                continue
            name = _NAME.match(line)
            if not name:
                raise ReplicationError(f"cyrus.conf, line {number + 1}: can't read {line!r}")
            rest = _arguments(line[name.end() :], number)
            read.entries.append(Entry(section, name.group(), rest, number))
            continue
        opening = _OPENING.match(line) if skipped == 0 else None
        if opening and opening.group(2).count("{") - opening.group(2).count("}") == 1:
            section = opening.group(1).upper()
            if section in read.ends:
                raise ReplicationError(
                    f"cyrus.conf has two sections {section}: Cyrus reads the first only, join them"
                )
        else:
            skipped += line.count("{") - line.count("}")
    if section:
        raise ReplicationError(f"cyrus.conf: section {section} has no closing brace")
    return read


def parse(text: str) -> list[Entry]:
    """Every entry in order; raises where cyrmaster would refuse the file."""
    entries = _read(text).entries
    seen: set[str] = set()
    for entry in entries:
        where = f"cyrus.conf, line {entry.line + 1}: {entry.section} entry {entry.name}"
        if not entry.command:
            raise ReplicationError(f"{where} has no cmd")
        if entry.section == "SERVICES":
            if not entry.arguments.get("listen"):
                raise ReplicationError(f"{where} has no listen")
            if entry.name in seen:
                raise ReplicationError(f"{where} is there twice")
            seen.add(entry.name)
    return entries


def strip(text: str) -> str:
    """The site's own text, as it was before we wrote into it."""
    return remove_block(text, "cyrus.conf", {REPLICA_MARK, REPLACED_MARK})


def clean(services: Mapping[str, str]) -> str:
    """A cyrus.conf of ours, for a host whose administrator never wrote one."""
    wanted = {**DEFAULT_SERVICES, **services}
    lines = "".join(f"\t{name}\t{wanted[name]}\n" for name in wanted if wanted[name])
    return CLEAN + _CLEAN_TEXT.format(services=lines)


def is_clean(text: str) -> bool:
    """Whether the file is one that `clean` made."""
    return text.startswith(CLEAN)


def _mark(
    entry: Entry, role: str, extra: Collection[str], channels: Collection[str], nameless: bool
) -> str | None:
    programs = entry.programs
    master = role in ("master", RESTING)
    if entry.section == "SERVICES":
        if entry.name in extra or "sync_server" in programs:
            return REPLACED_MARK
        return None if master or programs & _KEPT_ON_REPLICA else REPLICA_MARK
    if "sync_client" in programs and _runs_on(entry.command, channels, nameless):
        return REPLACED_MARK
    if role == "fenced" and entry.section != "START":
        return REPLICA_MARK
    if not master and "sync_client" in programs:
        return REPLICA_MARK
    if role != "master" and "cyr_expire" in programs:
        return REPLICA_MARK
    return None


def _runs_on(command: Collection[str], channels: Collection[str], nameless: bool) -> bool:
    if any(channel in command for channel in channels):
        return True
    return nameless and "-n" not in command


def render(
    text: str,
    role: str,
    own: Mapping[str, str],
    extra: Mapping[str, str] | None = None,
    channels: Collection[str] = (),
    nameless: bool = False,
) -> str:
    """The site's text for a role, with our services `own` and the site's additions `extra`.

    `channels` are ours: a client that the site runs on one of them is turned off; with `nameless`
    also the one on the channel without a name.
    """
    base = strip(text)
    if base and not base.endswith("\n"):
        base += "\n"
    extra = extra or {}
    read = _read(base)
    lines = base.splitlines(keepends=True)
    for entry in read.entries:
        if entry.section == "SERVICES" and entry.name in own:
            raise ReplicationError(
                f"cyrus.conf, line {entry.line + 1}: rename service {entry.name}, "
                "the collection needs this name for its own"
            )
        mark = _mark(entry, role, extra, channels, nameless)
        if mark:
            lines[entry.line] = mark + lines[entry.line]
    services = {**own, **(extra if role in ("master", RESTING) else {})}
    block = [f"\t{name}\t{services[name]}\n" for name in services if services[name]]
    if not block:
        return "".join(lines)
    if "SERVICES" in read.ends:
        at = read.ends["SERVICES"]
        lines[at:at] = ["\t" + BEGIN, *block, "\t" + END]
    else:
        lines += [BEGIN, "SERVICES {\n", *block, "}\n", END]
    return "".join(lines)


def executables(entry: Entry, libexec: Collection[str] = LIBEXEC_DIRS) -> list[str]:
    """Paths of which one has to exist for the entry to start."""
    program = entry.command[0]
    if os.path.basename(program) == "cyrus" and len(entry.command) > 1:
        tool = entry.command[1]
        names = [tool, f"cyr_{tool}", f"ctl_{tool}"] + (["chk_cyrus"] if tool == "check" else [])
        return [os.path.join(d, n) for d in libexec for n in names]
    if program.startswith("/"):
        return [program]
    return [os.path.join(d, program) for d in (*libexec, *SBIN_DIRS)]


def check_services(
    entries: Collection[Entry],
    libexec: Collection[str] = LIBEXEC_DIRS,
    exists: Callable[[str], bool] = os.path.isfile,
) -> list[str]:
    """One sentence for each entry whose program is not installed: cyrmaster would not start."""
    reasons = []
    for entry in entries:
        paths = executables(entry, libexec)
        if any(exists(path) for path in paths):
            continue
        program = os.path.basename(paths[0])
        package = _PACKAGES.get(program)
        hint = f"install the package {package} or " if package else "install it or "
        reasons.append(
            f"cyrus.conf, line {entry.line + 1}: {entry.section} entry {entry.name} needs "
            f"{program}, which is not installed: {hint}remove the line"
        )
    return reasons
