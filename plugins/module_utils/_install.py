# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""This host's Cyrus: its version, its settings, and its tools run as the cyrus user."""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import threading
from collections.abc import Iterator, Mapping
from typing import IO, NamedTuple, cast

from . import _command, _cyrus_conf, _files, _imapd_conf
from ._command import Completed
from ._cyrus_conf import Entry
from ._errors import ReplicationError
from ._imapd_conf import switch

USER = "cyrus"
GROUP = "mail"

# Settings that decide where and under which name a message lies, with Cyrus's own defaults.
_SWITCHES = {
    "hashimapspool": "no",
    "fulldirhash": "no",
    "unixhierarchysep": "yes",
    "archive_enabled": "no",
}
_STRINGS = {"defaultdomain": "internal", "defaultpartition": ""}
_PARTITION_KINDS = ("partition", "metapartition", "archivepartition")
# Up to 3.10 a database sorted differently can't be searched by the other side.
_SORT_SWITCH = "improved_mboxlist_sort"
_SORT_SWITCH_GONE = (3, 12)


class ToolError(ReplicationError):
    """A tool of Cyrus failed; carries its command and what it said."""

    def __init__(self, message: str, done: Completed) -> None:
        super().__init__(message)
        self.done = done


class MailboxEntry(NamedTuple):
    """One line of the mailbox list; `name` is Cyrus's internal name."""

    name: str
    type: str
    partition: str
    acl: str
    uniqueid: str | None


def read_settings(path: str, seen: set[str] | None = None) -> dict[str, str]:
    """Options of an imapd.conf and of what it includes, keys in lower case."""
    seen = seen if seen is not None else set()
    if path in seen:
        raise ReplicationError(f"{path} is included twice: Cyrus refuses that, remove one line")
    seen.add(path)
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as stream:
            text = stream.read()
    except OSError as error:
        raise ReplicationError(f"can't read {path}: {error.strerror}") from error
    settings: dict[str, str] = {}
    for option in _imapd_conf.parse(text, path):
        if option.key == "@include":
            settings.update(read_settings(option.value, seen))
        else:
            settings[option.key] = option.value
    return settings


def site_settings(path: str) -> dict[str, str]:
    """As `read_settings`, but what the site itself has set, under what the collection has."""
    settings: dict[str, str] = {}
    for option in _imapd_conf.parse(_imapd_conf.strip(_files.read(path)), path):
        if option.key == "@include":
            settings.update(read_settings(option.value))
        else:
            settings[option.key] = option.value
    return settings


def parse_version(text: str) -> tuple[int, ...]:
    """The numbers of a version: "Cyrus IMAP 3.6.1-4+deb12u5-Debian" gives (3, 6, 1)."""
    match = re.search(r"\b(\d+(?:\.\d+)+)", text)
    if not match:
        raise ReplicationError(f"can't find a version in {text.strip()!r}")
    return tuple(int(number) for number in match.group(1).split("."))


def parse_mailbox(line: str) -> MailboxEntry | None:
    """One line of `ctl_mboxlist -d`; None for one that is no mailbox.

    JSON from 3.6, one object a line; before it `name TAB type partition acl`.
    """
    if line.startswith('"'):
        ((name, entry),) = json.loads("{" + line.rstrip().rstrip(",") + "}").items()
        if "d" in entry["mbtype"]:
            return None
        acl = "".join(f"{who}\t{rights}\t" for who, rights in (entry.get("acl") or {}).items())
        partition = entry.get("partition") or ""
        return MailboxEntry(name, entry["mbtype"], partition, acl, entry.get("uniqueid"))
    name, tab, rest = line.rstrip("\n").partition("\t")
    if not tab:
        return None
    kind, partition, acl = [*rest.split(" ", 2), "", ""][:3]
    deleted = 1 << 4
    if int(kind) & deleted:
        return None
    return MailboxEntry(name, kind, partition, acl, None)


class Install:
    """Cyrus as it is installed and configured on this host."""

    def __init__(
        self, bin_dir: str, imapd_conf: str, cyrus_conf: str, settings: Mapping[str, str]
    ) -> None:
        self.bin_dir = bin_dir
        self.imapd_conf = imapd_conf
        self.cyrus_conf = cyrus_conf
        self.settings = dict(settings)
        self._version_text: str | None = None

    @classmethod
    def discover(
        cls, imapd_conf: str = "/etc/imapd.conf", cyrus_conf: str = "/etc/cyrus.conf"
    ) -> Install:
        """Find Cyrus here, or say that there is none."""
        bin_dir = cls.find()
        if bin_dir is None:
            raise ReplicationError("Cyrus IMAP is not installed on this host: run setup first")
        return cls(bin_dir, imapd_conf, cyrus_conf, read_settings(imapd_conf))

    def with_settings(self, settings: Mapping[str, str]) -> Install:
        """The same Cyrus as it would be with other settings."""
        other = Install(self.bin_dir, self.imapd_conf, self.cyrus_conf, settings)
        other._version_text = self._version_text
        return other

    @staticmethod
    def find() -> str | None:
        """The directory of Cyrus's programs, None where it is not installed."""
        for directory in _cyrus_conf.LIBEXEC_DIRS:
            if os.path.isfile(os.path.join(directory, "cyr_info")):
                return directory
        return None

    def setting(self, name: str, default: str = "") -> str:
        """One option of imapd.conf."""
        return self.settings.get(name, default)

    @property
    def config_directory(self) -> str:
        try:
            return self.settings["configdirectory"]
        except KeyError:
            raise ReplicationError(f"{self.imapd_conf} has no configdirectory: add it") from None

    @property
    def version_text(self) -> str:
        """The version as the distribution names it."""
        if self._version_text is None:
            self._version_text = self.run("cyr_info", "version", timeout=20).stdout.strip()
        return self._version_text

    @property
    def version(self) -> tuple[int, ...]:
        return parse_version(self.version_text)

    @property
    def services(self) -> list[Entry]:
        """The parsed cyrus.conf."""
        try:
            with open(self.cyrus_conf, encoding="utf-8", errors="surrogateescape") as stream:
                return _cyrus_conf.parse(stream.read())
        except OSError as error:
            raise ReplicationError(f"can't read {self.cyrus_conf}: {error.strerror}") from error

    def partitions(self, kind: str = "partition") -> dict[str, str]:
        """Partitions by name, each with its path."""
        prefix = f"{kind}-"
        return {k[len(prefix) :]: v for k, v in self.settings.items() if k.startswith(prefix)}

    def layout(self) -> dict[str, str]:
        """What has to be equal on every host of a store, in one spelling."""
        found = {
            f"{kind} names": " ".join(sorted(self.partitions(kind))) for kind in _PARTITION_KINDS
        }
        for name, default in _STRINGS.items():
            found[name] = self.setting(name, default).lower()
        for name, default in _SWITCHES.items():
            found[name] = "yes" if switch(self.setting(name, default)) else "no"
        if self.version < _SORT_SWITCH_GONE:
            found[_SORT_SWITCH] = "yes" if switch(self.setting(_SORT_SWITCH, "no")) else "no"
        domains = self.setting("virtdomains", "off").lower()
        found["virtdomains"] = (
            "userid" if domains == "userid" else "on" if switch(domains) else "off"
        )
        files = self.setting("metapartition_files").lower().split()
        found["metapartition_files"] = " ".join(sorted(files))
        return found

    def _argv(self, tool: str, args: tuple[str, ...]) -> list[str]:
        program = os.path.join(self.bin_dir, tool)
        if not os.path.isfile(program):
            raise ReplicationError(f"Cyrus's tool {tool} is not installed: {program} is missing")
        config = [] if self.imapd_conf == "/etc/imapd.conf" else ["-C", self.imapd_conf]
        return [program, *config, *args]

    def _identity(self) -> dict[str, object]:
        if os.geteuid() != 0:
            return {}
        try:
            user = pwd.getpwnam(USER)
        except KeyError:
            raise ReplicationError(f"this host has no user {USER}: install Cyrus") from None
        groups = os.getgrouplist(USER, user.pw_gid)
        try:
            gid = grp.getgrnam(GROUP).gr_gid
        except KeyError:
            gid = user.pw_gid
        return {"user": user.pw_uid, "group": gid, "extra_groups": groups}

    def run(
        self,
        tool: str,
        *args: str,
        timeout: float = 60,
        input: str | None = None,
        check: bool = True,
    ) -> Completed:
        """Run one of Cyrus's tools as the cyrus user; never a shell, never for ever."""
        cmd = self._argv(tool, args)
        done = _command.run(cmd, timeout, input, self._identity())
        if check and done.rc != 0:
            said = (done.stderr or done.stdout).strip().splitlines()
            raise ToolError(f"{tool} failed: {said[-1] if said else f'exit {done.rc}'}", done)
        return done

    def mailboxes(self, timeout: float = 300) -> Iterator[MailboxEntry]:
        """The mailbox list, one after the other; what is deleted for good is left out."""
        default = f"{self.config_directory}/mailboxes.db"
        if not os.path.exists(self.setting("mboxlist_db_path", default)):
            # Cyrus was never started; its tool would make a list.
            return
        cmd = self._argv("ctl_mboxlist", ("-d",))
        process = _command.start(cmd, identity=self._identity())
        output, errors = cast(IO[str], process.stdout), cast(IO[str], process.stderr)
        killer = threading.Timer(timeout, process.kill)
        killer.start()
        try:
            for line in output:
                entry = parse_mailbox(line)
                if entry:
                    yield entry
            stderr = errors.read()
            rc = process.wait()
        finally:
            killer.cancel()
            process.kill()
            process.wait()
            output.close()
            errors.close()
        if rc != 0:
            raise ToolError(
                f"ctl_mboxlist -d ended with {rc}: {stderr.strip() or 'no reason given'}",
                Completed(cmd, rc, "", stderr),
            )
