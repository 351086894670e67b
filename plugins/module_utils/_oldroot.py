# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!


"""An old master that never boots again, read from its disk: its own Cyrus, in a root of its own.

The mounted disk is the lower layer of an overlay, so nothing on it is written. What runs there is
that disk's Cyrus with that disk's accounts and settings, and it listens on one socket only.
"""

from __future__ import annotations

import os
import re
import shutil
import time
from contextlib import closing
from dataclasses import dataclass, replace

from . import _command, _endpoints, _files, _rejoins, _role
from ._errors import ReplicationError
from ._install import read_settings
from ._session import Endpoint, Session
from ._store import IMAP_SOCKET

ROOT = "/run/cyrus-replication/old"
SOCKET = ROOT + IMAP_SOCKET
UNIT = "cyrus-rejoin-old.service"
_PROGRAM = "/usr/sbin/cyrmaster"
_CONF = f"""START {{
}}
SERVICES {{
  privimap  cmd="imapd" listen="{IMAP_SOCKET}"
}}
EVENTS {{
}}
"""
# Neither is to be found in the settings twice, which Cyrus refuses.
_OURS = re.compile(r"^\s*(sync_log|sync_log_channels|readonly)\s*:.*\n", re.MULTILINE)
_NAMED = re.compile(r"^\s*servername\s*:", re.MULTILINE)
_SECONDS = 60.0


@dataclass(frozen=True)
class Disk:
    """`old` is whose disk it is, `path` where its root is mounted, `scratch` a folder for what its
    Cyrus writes: it opens each mailbox as if to write, which copies its index there."""

    old: str
    path: str
    scratch: str

    def file(self, path: str) -> str:
        """Where a file of that host lies here."""
        return self.path.rstrip("/") + path


def ensure(disk: Disk) -> bool:
    """Have it run and answer; whether it had to be begun. What was left of another time is removed
    first."""
    refuse(disk)
    # Another disk may have been there when a run was cut off.
    if _is_over(disk) and _answers() is None:
        return False
    end(disk.scratch)
    try:
        _mount(disk)
        _configure()
        _do(["systemd-run", "--collect", f"--unit={UNIT}", "chroot", ROOT, _PROGRAM])
        _wait()
    except (ReplicationError, OSError) as error:
        end(disk.scratch)
        raise ReplicationError(f"Cyrus of {disk.path} does not run: {error}") from error
    return True


def end(scratch: str) -> bool:
    """As if it had never run; whether it did."""
    _command.run(["systemctl", "stop", UNIT], _SECONDS)
    places = _mounted(ROOT)
    for place in reversed(places):
        _do(["umount", place])
    for layer in ("upper", "work"):
        shutil.rmtree(os.path.join(scratch, layer), ignore_errors=True)
    return bool(places)


def refuse(disk: Disk) -> None:
    """Why a folder is not the root of this old master's disk."""
    for needed in ("/etc/imapd.conf", "/etc/cyrus-replication/store.json", _PROGRAM):
        if not os.path.lexists(disk.file(needed)):
            raise ReplicationError(
                f"{disk.path} has no {needed[1:]}: mount the whole root of the old master there"
            )
    if re.search(r"[,:\\\s]", disk.path + disk.scratch):
        raise ReplicationError(
            f"{disk.path} or {disk.scratch} can't be mounted: choose plain names"
        )
    own = _role.known()
    record = _role.read(disk.file(_role.RECORD))
    if record is None:
        raise ReplicationError(
            f"{disk.path} has no {_role.RECORD[1:]}: mount all partitions of the old master there"
        )
    if (record.store, record.host) != (own.store, disk.old):
        raise ReplicationError(
            f"{disk.path} is the disk of {record.host} of store {record.store}, and not that of "
            f"{disk.old} of {own.store}: mount the right one"
        )
    if record.epoch > own.epoch or (record.epoch == own.epoch and record.role != "fenced"):
        raise ReplicationError(
            f"{disk.path} has {record.host} as {record.role} of epoch {record.epoch}, and the "
            f"store is in epoch {own.epoch}: what it had before it came back was copied to "
            f"{_rejoins.folder(own.epoch)} then"
        )


def _do(cmd: list[str]) -> None:
    done = _command.run(cmd, _SECONDS)
    if done.rc != 0:
        raise ReplicationError(f"{cmd[0]} says {done.stderr.strip() or done.rc}")


def _mounted(path: str) -> list[str]:
    """Mount points at a path and below, the outer ones first."""
    places = (words[4] for words in _mounts())
    return sorted(place for place in places if place == path or place.startswith(path + "/"))


def _mounts() -> list[list[str]]:
    """The words of each line of mountinfo: the fifth is where, the last the options."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as stream:
        return [line.split() for line in stream]


def _is_over(disk: Disk) -> bool:
    """Whether it is this disk that is the lower layer of what is mounted."""
    layer = f"lowerdir={os.path.realpath(disk.path)},"
    over = any(words[4] == ROOT and layer in words[-1] for words in _mounts())
    # Another disk may be mounted there by now.
    return over and _files.read(ROOT + _role.RECORD) == _files.read(disk.file(_role.RECORD))


def _mount(disk: Disk) -> None:
    path = os.path.realpath(disk.path)
    # A disk's partitions are layers of their own.
    for number, lower in enumerate([path, *(p for p in _mounted(path) if p != path)]):
        layers = [os.path.join(disk.scratch, kind, str(number)) for kind in ("upper", "work")]
        target = ROOT + lower[len(path) :]
        for folder in (*layers, target):
            os.makedirs(folder, mode=0o755, exist_ok=True)
        options = f"lowerdir={lower},upperdir={layers[0]},workdir={layers[1]}"
        _do(["mount", "-t", "overlay", "overlay", "-o", options, target])
    for kind, options_ in (("dev", ["--bind", "/dev"]), ("proc", ["-t", "proc", "proc"])):
        os.makedirs(f"{ROOT}/{kind}", exist_ok=True)
        _do(["mount", *options_, f"{ROOT}/{kind}"])


def _configure() -> None:
    _files.write(f"{ROOT}/etc/cyrus.conf", _CONF, 0o644)
    path = f"{ROOT}/etc/imapd.conf"
    text = _OURS.sub("", _files.read(path)) + "\nsync_log: 0\n"
    if not _NAMED.search(text):
        # Its accounts are found under its own name.
        text += f"servername: {_files.read(f'{ROOT}/etc/hostname').strip()}\n"
    told = os.stat(path)
    _files.write(path, text, told.st_mode & 0o777, told.st_uid, told.st_gid)
    uid, gid = _identity()
    for folder in ("", "/lock", "/proc", "/socket", "/private"):
        place = f"{ROOT}/run/cyrus{folder}"
        os.makedirs(place, mode=0o700, exist_ok=True)
        os.chown(place, uid, gid)


def _identity() -> tuple[int, int]:
    """Cyrus's user and group, by the disk's own names."""
    for line in _files.read(f"{ROOT}/etc/passwd").splitlines():
        name, _password, uid, gid, *_rest = line.split(":")
        if name == "cyrus":
            return int(uid), int(gid)
    raise ReplicationError("it has no user cyrus")


def _wait() -> None:
    end_ = time.monotonic() + _SECONDS
    while (trouble := _answers()) is not None:
        if time.monotonic() > end_:
            raise ReplicationError(trouble)
        time.sleep(0.2)


def _answers() -> str | None:
    """Why it can't be asked, if so."""
    try:
        with closing(Session(_endpoint())):
            return None
    except (ReplicationError, OSError) as error:
        return str(error)


def _endpoint() -> Endpoint:
    """It has this host's account, being of the same store."""
    settings = read_settings("/etc/imapd.conf")
    own = _endpoints.own(_endpoints.read_store(), "the old master", settings)
    return replace(own, path=SOCKET)
