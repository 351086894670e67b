# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""All files of a host, checked together before the first is replaced."""

from __future__ import annotations

import glob
import grp
import hashlib
import json
import os
import pathlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from . import (
    _command,
    _cyrus_conf,
    _desired,
    _files,
    _imapd_conf,
    _rejoins,
    _rendered,
    _role,
    _seed,
    _store,
)
from ._errors import ReplicationError
from ._install import GROUP, Install, read_settings, site_settings
from ._rendered import File
from ._store import CONFIG_DIR, Store

UNIT_DIR = "/etc/systemd/system"
# The command that a host runs outside Ansible, and the library that it starts.
COMMAND = "/usr/bin/cyrus-replication"
LIBRARY = "/usr/lib/cyrus-replication/cyrus-replication.pyz"
# Channels that began with everything there was.
CHANNELS = f"{_role.STATE_DIR}/channels.json"
HOSTS_ALLOW = "/etc/hosts.allow"
_ASSUMED_VERSION = (3, 6)


@dataclass
class Outcome:
    """What was done, or would be done."""

    changed_files: list[str] = field(default_factory=list)
    backup_files: list[str] = field(default_factory=list)
    removed_files: list[str] = field(default_factory=list)
    diff: list[dict[str, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Request:
    """What the role asks for."""

    store: Store
    host: str
    role: str
    master: str
    # None: the secrets stay as they are.
    password: str | None
    settings: Mapping[str, str]
    services: Mapping[str, str]
    files: Sequence[File] = ()
    # A master that does not serve keeps its imapd.conf, and logs and replicates.
    serving: bool = True
    # New channels whose replica is known to have everything.
    proven: Sequence[str] = ()
    imapd_conf: str = "/etc/imapd.conf"
    cyrus_conf: str = "/etc/cyrus.conf"


def _packaged(path: str, text: str) -> bool:
    """Whether the file is the one that the package brought, untouched."""
    if not text:
        return True
    query = ["dpkg-query", "-W", "-f", "${Conffiles}\n", "cyrus-common"]
    try:
        listed = _command.run(query, timeout=30)
    except ReplicationError:
        return False
    if listed.rc != 0:
        return False
    digest = hashlib.md5(text.encode("utf-8", "surrogateescape"), usedforsecurity=False).hexdigest()
    return any(line.split()[:2] == [path, digest] for line in listed.stdout.splitlines())


class Configuration:
    """The files of one host, made from what is there and what is asked for."""

    def __init__(self, request: Request) -> None:
        self.request = request
        self.install = self._install()
        self._imapd_text = _files.read(request.imapd_conf)
        self._site = {
            option.key: option.value
            for option in _imapd_conf.parse(_imapd_conf.strip(self._imapd_text))
        }
        version = self.install.version if self.install else _ASSUMED_VERSION
        self.plan = _store.plan(
            request.store, request.host, request.role, request.master, self._site, version
        )
        self.imapd = self._render_imapd()
        self.cyrus = self._render_cyrus()

    def _install(self) -> Install | None:
        found = Install.find()
        if found is None:
            return None
        return Install(found, self.request.imapd_conf, self.request.cyrus_conf, {})

    def _render_imapd(self) -> str:
        settings = {**self.plan.settings, **self.request.settings}
        taken = sorted(set(self.plan.settings) & set(self.request.settings))
        if taken:
            raise ReplicationError(
                f"cyrus_imapd_settings must not set {', '.join(taken)}: setup does"
            )
        return _imapd_conf.render(
            self._imapd_text, settings, self.plan.absent, include=_store.SECRETS
        )

    def _render_cyrus(self) -> str:
        request = self.request
        text = _cyrus_conf.strip(_files.read(request.cyrus_conf))
        extra = request.services
        if _cyrus_conf.is_clean(text) or self._never_served(text):
            text = _cyrus_conf.clean(extra)
            extra = {}
        return _cyrus_conf.render(
            text,
            self._starts(),
            self.plan.services,
            extra,
            list(request.store.channels().values()),
            self.plan.taken_over,
        )

    def _starts(self) -> str:
        """The role that cyrus.conf is for."""
        if not self.request.serving:
            return "fenced"
        resting = self.request.role == "master" and _rejoins.pending()
        return _cyrus_conf.RESTING if resting else self.request.role

    def _never_served(self, text: str) -> bool:
        # Debian's default names services of packages that need not be here; cyrmaster can't have
        # run with it then, and no administrator has chosen what it names.
        if not _packaged(self.request.cyrus_conf, text):
            return False
        return not text or bool(_cyrus_conf.check_services(_cyrus_conf.parse(text)))

    def files(self) -> list[File]:
        """Every file, in an order in which none names one that is not there yet."""
        request = self.request
        described = json.dumps(request.store.described(), sort_keys=True, indent=1) + "\n"
        desired = _desired.Desired(request.settings, request.services).text()
        found = [
            File(f"{CONFIG_DIR}/store.json", described, 0o640, GROUP),
            File(_desired.PATH, desired, 0o640, GROUP, secret=True),
            File(_store.SECRETS, self._secrets(), 0o640, GROUP, secret=True),
            *request.files,
        ]
        found += [
            File(f"{CONFIG_DIR}/link-{name}.conf", text, 0o640, GROUP)
            for name, text in self.plan.links.items()
        ]
        allow = _files.read(HOSTS_ALLOW)
        # The first match counts, so ours stand before what the site allows in general.
        rest = _imapd_conf.remove_block(allow, HOSTS_ALLOW, ())
        ours = [_imapd_conf.BEGIN, *self.plan.hosts_allow, _imapd_conf.END]
        allowed = "".join(ours) + rest if self.plan.hosts_allow else rest
        if allowed != allow:
            found.append(File(HOSTS_ALLOW, allowed, site=True))
        found.append(File(request.imapd_conf, self.imapd, site=True))
        found.append(File(request.cyrus_conf, self.cyrus, site=True))
        return found

    def _secrets(self) -> str:
        request = self.request
        if request.password is not None:
            return _store.secrets(request.store, request.host, request.password)
        kept = _files.read(_store.SECRETS)
        if not kept:
            raise ReplicationError(f"{_store.SECRETS} is missing: run setup")
        return kept

    def differs(self) -> bool:
        """Whether anything would be replaced."""
        changed = any(_rendered.needs_writing(file) for file in self.files())
        return changed or bool(self._stale_links())

    def _stale_links(self) -> list[str]:
        wanted = {f"{CONFIG_DIR}/link-{name}.conf" for name in self.plan.links}
        return sorted(set(glob.glob(f"{CONFIG_DIR}/link-*.conf")) - wanted)

    def validate(self) -> None:
        """Refuse what Cyrus would refuse, before it can see it."""
        self._check_includes()
        entries = _cyrus_conf.parse(self.cyrus)
        if self.install is None:
            return
        reasons = _cyrus_conf.check_services(
            entries, (self.install.bin_dir, *_cyrus_conf.LIBEXEC_DIRS)
        )
        if reasons:
            raise ReplicationError("; ".join(reasons))
        self._try_imapd(self.install.bin_dir)
        self._check_layout(self.install)

    def _check_includes(self) -> None:
        # The site's included files are not ours to change, and an option set twice is fatal.
        mine = {**self.plan.settings, **self.request.settings}
        for option in _imapd_conf.parse(_imapd_conf.strip(self._imapd_text)):
            if option.key != "@include" or option.value == _store.SECRETS:
                continue
            twice = sorted(set(read_settings(option.value)) & set(mine))
            if twice:
                raise ReplicationError(
                    f"{option.value} sets {', '.join(twice)}, which setup has to set: "
                    f"move it to {self.request.imapd_conf} or remove it"
                )

    def _check_layout(self, install: Install) -> None:
        # Cyrus would not find the mail that is there, or would find it under another name.
        path = self.request.imapd_conf
        now = install.with_settings(read_settings(path))
        before = now.layout()
        after = install.with_settings({**site_settings(path), **self.request.settings}).layout()
        changes = [
            f"{name} from {before[name] or '(none)'} to {after[name] or '(none)'}"
            for name in before
            if before[name] != after[name]
        ]
        if changes and next(now.mailboxes(), None) is not None:
            raise ReplicationError(
                f"cyrus_imapd_settings would change {', '.join(changes)} on a host that has "
                "mailboxes: keep what is set, or move the mail by hand first"
            )

    def _try_imapd(self, bin_dir: str) -> None:
        request = self.request
        gid = grp.getgrnam(GROUP).gr_gid
        with tempfile.TemporaryDirectory(prefix="mailops-cyrus.") as directory:
            os.chown(directory, 0, gid)
            os.chmod(directory, 0o750)
            secrets = os.path.join(directory, "secrets.conf")
            trial = os.path.join(directory, "imapd.conf")
            text = self.imapd.replace(f"@include: {_store.SECRETS}\n", f"@include: {secrets}\n")
            _files.write(secrets, self._secrets(), 0o640, 0, gid)
            _files.write(trial, text, 0o640, 0, gid)
            try:
                Install(bin_dir, trial, request.cyrus_conf, {}).run("cyr_info", "conf")
            except ReplicationError as error:
                raise ReplicationError(
                    f"Cyrus refuses the new imapd.conf, nothing was changed: {error}"
                ) from error

    def apply(self, check: bool, backup: bool = True) -> Outcome:
        """Replace what differs; in check mode only say it. `backup`: keep the site's old files."""
        outcome = Outcome()
        if not check:
            _directories()
        for file in filter(_rendered.needs_writing, self.files()):
            old = _rendered.read(file)
            outcome.changed_files.append(file.path)
            outcome.diff.append(_rendered.diff(file, old))
            if check:
                continue
            if backup and file.site and old:
                outcome.backup_files.append(_rendered.keep(file.path))
            _rendered.put(file)
        for path in self._stale_links():
            outcome.removed_files.append(path)
            if not check:
                os.unlink(path)
        self._seed(check, outcome)
        if not check and not os.path.isdir(_store.PRIVATE_DIR):
            command = ["systemd-tmpfiles", "--create", "--prefix=/run/cyrus"]
            _command.run(command, timeout=60)
        return outcome

    def _seed(self, check: bool, outcome: Outcome) -> None:
        # Before its replicator runs: what happens from then on is in the state that it sends.
        known = json.loads(_files.read(CHANNELS) or "[]")
        if known == self.plan.channels:
            return
        outcome.changed_files.append(CHANNELS)
        if check or self.install is None:
            return
        request = self.request
        new = [name for name in self.plan.channels if name not in {*known, *request.proven}]
        settings = read_settings(request.imapd_conf)
        for name in new:
            # What was compared when the channel was there before says nothing of it now.
            pathlib.Path(f"{_role.PARITY_DIR}/{name}.json").unlink(missing_ok=True)
        install = Install(self.install.bin_dir, request.imapd_conf, request.cyrus_conf, settings)
        _seed.seed(install, request.store, request.master, new)
        _files.write(CHANNELS, json.dumps(self.plan.channels) + "\n", 0o644)


def _directories() -> None:
    mail = grp.getgrnam(GROUP).gr_gid
    for path, mode, uid, gid in (
        (CONFIG_DIR, 0o750, 0, mail),
        (f"{UNIT_DIR}/cyrus-imapd.service.d", 0o755, 0, 0),
        (os.path.dirname(LIBRARY), 0o755, 0, 0),
        (_role.STATE_DIR, 0o755, 0, 0),
        (_role.PARITY_DIR, 0o755, 0, 0),
    ):
        os.makedirs(path, exist_ok=True)
        os.chown(path, uid, gid)
        os.chmod(path, mode)
