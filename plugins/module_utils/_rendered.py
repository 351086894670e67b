# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""One file of a host as it is to be: compared with what is there, and put in its place."""

from __future__ import annotations

import grp
import hashlib
import os
import re
import shutil
import time
from dataclasses import dataclass

from . import _files

_SECRET_KEY = re.compile(
    r"^([^:#]*(?:pass|_pw|secret|_key)[^:]*:).*$", re.IGNORECASE | re.MULTILINE
)


@dataclass(frozen=True)
class File:
    """A file as it is to be."""

    path: str
    text: str
    mode: int = 0o644
    group: str = "root"
    secret: bool = False
    # A file of the site: its owner and mode stay, a copy of the old one is kept.
    site: bool = False
    # No text for people: its bytes, as _files.write takes them.
    binary: bool = False


def text_of(data: bytes) -> str:
    """Bytes as the text of a file."""
    return data.decode("utf-8", "surrogateescape")


def read(file: File) -> str:
    """What is there now; nothing where there is no file."""
    if not file.binary:
        return _files.read(file.path)
    try:
        with open(file.path, "rb") as stream:
            return text_of(stream.read())
    except FileNotFoundError:
        return ""


def _owner(file: File) -> tuple[int, int, int]:
    if file.site and os.path.exists(file.path):
        status = os.stat(file.path)
        return status.st_mode & 0o7777, status.st_uid, status.st_gid
    return file.mode, 0, grp.getgrnam(file.group).gr_gid


def _mode_differs(file: File) -> bool:
    status = os.stat(file.path)
    return (status.st_mode & 0o7777, status.st_uid, status.st_gid) != _owner(file)


def needs_writing(file: File) -> bool:
    """Whether its text, its mode or its owner is another one."""
    return read(file) != file.text or not os.path.exists(file.path) or _mode_differs(file)


def put(file: File) -> None:
    """Durable on return."""
    _files.write(file.path, file.text, *_owner(file))


def keep(path: str) -> str:
    """A copy beside it; where."""
    copy = f"{path}.{os.getpid()}.{time.strftime('%Y-%m-%d@%H:%M:%S~')}"
    shutil.copy2(path, copy)
    return copy


def diff(file: File, old: str) -> dict[str, str]:
    """What would be shown of a change, without secrets."""

    def shown(text: str) -> str:
        if file.secret:
            return "(secret)\n" if text else ""
        if file.binary:
            data = text.encode("utf-8", "surrogateescape")
            return f"SHA-256 {hashlib.sha256(data).hexdigest()}\n" if text else ""
        return _SECRET_KEY.sub(r"\1 ********", text)

    return {
        "before_header": file.path,
        "after_header": file.path,
        "before": shown(old),
        "after": shown(file.text),
    }
