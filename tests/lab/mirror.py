# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The machine's own Debian mirror, read from its apt configuration. Parsing is pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from .errors import LabError

_APT = Path("/etc/apt")
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")


@dataclass(frozen=True)
class Source:
    """One archive: where it is, which suite of it, and how it is trusted."""

    uri: str
    suite: str
    components: tuple[str, ...]
    options: tuple[str, ...] = ()

    def line(self) -> str:
        options = f"[{' '.join(self.options)}] " if self.options else ""
        return f"deb {options}{self.uri} {self.suite} {' '.join(self.components)}"


def parse_list(text: str) -> list[Source]:
    """Read one-line sources (sources.list)."""
    found = []
    for line in text.splitlines():
        words = line.partition("#")[0].split()
        if not words or words[0] != "deb":
            continue
        rest = " ".join(words[1:])
        options = ""
        if rest.startswith("["):
            options, rest = rest[1:].partition("]")[::2]
        uri, suite, *components = rest.split()
        found.append(Source(uri, suite, tuple(components), tuple(shlex.split(options))))
    return found


def parse_deb822(text: str) -> list[Source]:
    """Read deb822 sources (.sources)."""
    found = []
    for fields in _stanzas(text):
        if fields.get("enabled", "yes").lower() in ("no", "false", "0"):
            continue
        if "deb" not in fields.get("types", "").split():
            continue
        # A key written into the file itself has no one-line form; the Debian keyring has it too.
        signed_by = fields.get("signed-by", "")
        options = (f"signed-by={signed_by}",) if signed_by.startswith("/") else ()
        for uri in fields.get("uris", "").split():
            for suite in fields.get("suites", "").split():
                components = tuple(fields.get("components", "").split())
                found.append(Source(uri, suite, components, options))
    return found


def _stanzas(text: str) -> Iterable[dict[str, str]]:
    fields: dict[str, str] = {}
    name = ""
    for line in [*text.splitlines(), ""]:
        if not line.strip():
            if fields:
                yield fields
            fields = {}
        elif line.startswith("#"):
            continue
        elif line[0].isspace():
            fields[name] = f"{fields[name]} {line.strip()}"
        else:
            name, value = line.partition(":")[::2]
            name = name.strip().lower()
            fields[name] = value.strip()


def sources_for(release: str, own: str, configured: Iterable[Source]) -> list[Source]:
    """Return the sources of a release: the machine's own set, or the main suite of another."""
    debian = [
        source
        for source in configured
        if "main" in source.components and source.suite.partition("-")[0] == own
    ]
    main = [source for source in debian if source.suite == own]
    if not main:
        raise LabError(f"apt on this machine has no source for Debian {own} main: add one")
    if release == own:
        return [main[0], *(source for source in debian if source.suite != own)]
    return [replace(main[0], suite=release, options=(f"signed-by={_KEYRING}",))]


def configured_sources() -> list[Source]:
    found = []
    parts = _APT / "sources.list.d"
    for path in [_APT / "sources.list", *sorted(parts.glob("*.list"))]:
        if path.exists():
            found += parse_list(path.read_text())
    for path in sorted(parts.glob("*.sources")):
        found += parse_deb822(path.read_text())
    return found


def own_release() -> str:
    for line in Path("/etc/os-release").read_text().splitlines():
        name, value = line.partition("=")[::2]
        if name == "VERSION_CODENAME":
            return value.strip('"')
    raise LabError("/etc/os-release names no VERSION_CODENAME: the lab needs a Debian release")
