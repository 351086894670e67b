# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package cache: a flat apt repository a release, from which the offline hosts install."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from .command import run, run_job
from .errors import LabError
from .mirror import Source

MOUNT_POINT = "/var/cache/lab-packages"
SOURCE_LINE = f"deb [trusted=yes] file:{MOUNT_POINT} ./\n"

PACKAGES = (
    "acl",
    "attr",
    "bind9",
    "bind9-dnsutils",
    "btrfs-progs",
    "cron",
    "cyrus-admin",
    "cyrus-clients",
    "cyrus-common",
    "cyrus-imapd",
    "cyrus-pop3d",
    "cyrus-replication",
    "exim4-daemon-light",
    "libsasl2-modules",
    "libsasl2-modules-db",
    "nftables",
    "postfix",
    "python3-cryptography",
    "restic",
    "sasl2-bin",
    "stunnel4",
    "strace",
)


def digest(*more: str) -> str:
    return hashlib.sha256("\n".join([*more, *PACKAGES]).encode()).hexdigest()[:8]


def build(release: str, target: Path, tree: Path, sources: Sequence[Source], log: Path) -> None:
    """Download what the tree lacks for each package, then index it."""
    partial = target.with_name(f"{target.name}.partial")
    work = target.with_name(f"{target.name}.apt")
    for folder in (partial, work):
        shutil.rmtree(folder, ignore_errors=True)
    (partial / "partial").mkdir(parents=True)
    for name in ("lists/partial", "preferences"):
        (work / name).mkdir(parents=True)
    (work / "sources.list").write_text("".join(f"{source.line()}\n" for source in sources))
    apt = _apt_options(work, tree, partial)

    run_job(["apt-get", *apt, "-q", "update"], log)
    known = run(["apt-cache", *apt, "madison", *PACKAGES])
    available = {line.split("|")[0].strip() for line in known.splitlines()}
    if missing := sorted(set(PACKAGES) - available):
        raise LabError(f"Debian {release} has no {', '.join(missing)}: take it out of PACKAGES")
    # One by one, because packages that are fine alone may shut each other out, and because a
    # recommendation is dropped where something else of the list already satisfies it.
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for package in PACKAGES:
        run_job(["apt-get", *apt, "-qy", "--download-only", "install", package], log, env=env)

    shutil.rmtree(partial / "partial")
    (partial / "lock").unlink(missing_ok=True)
    _index(release, partial)
    shutil.rmtree(work)
    partial.rename(target)


def _apt_options(work: Path, tree: Path, archives: Path) -> list[str]:
    """Let the machine's apt, with its proxies, resolve against the tree and touch nothing else."""
    options = {
        "Dir::Etc::SourceList": work / "sources.list",
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::Etc::Preferences": "/dev/null",
        "Dir::Etc::PreferencesParts": work / "preferences",
        "Dir::State": work,
        "Dir::State::Lists": work / "lists",
        "Dir::State::Status": tree / "var/lib/dpkg/status",
        "Dir::Cache": work,
        "Dir::Cache::Archives": archives,
        "Dir::Cache::pkgcache": work / "pkgcache.bin",
        "Acquire::Languages": "none",
        "APT::Sandbox::User": "root",
        "APT::Install-Recommends": "true",
        "APT::Install-Suggests": "false",
        "Binary::apt-get::APT::Keep-Downloaded-Packages": "true",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def _index(release: str, folder: Path) -> None:
    stanzas = [_stanza(path) for path in sorted(folder.glob("*.deb"))]
    index = "\n".join(stanzas)
    (folder / "Packages").write_text(index)
    fields = [
        "Origin: Debian",
        "Label: Debian",
        f"Codename: {release}",
        "Date: " + run(["date", "-uR"]).strip().replace("+0000", "UTC"),
        "SHA256:",
        f" {hashlib.sha256(index.encode()).hexdigest()} {len(index.encode())} Packages",
    ]
    (folder / "Release").write_text("\n".join(fields) + "\n")


def _stanza(path: Path) -> str:
    control = run(["dpkg-deb", "--field", path]).rstrip("\n")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    size = path.stat().st_size
    return f"{control}\nFilename: ./{path.name}\nSize: {size}\nSHA256: {sha256}\n"
