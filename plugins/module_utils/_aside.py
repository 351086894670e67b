# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a host drops before it rejoins its store, set aside first.

It stands in a folder of its own beside what it was taken from, in the same tree, so that nothing
but links is made for messages. No mailbox can have the folder's name. What Cyrus changes in place
while it deletes a mailbox is copied.
"""

from __future__ import annotations

import contextlib
import glob
import json
import os
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field, replace

from . import _files, _heartbeat, _mbpath, _names, _rejoins
from ._errors import ReplicationError
from ._install import Install
from ._mbpath import Places

FOLDER = "rejoin-aside."
BESIDE = _rejoins.FOLDER
_MANIFEST = "aside.json"
_KINDS = ("partition", "metapartition", "archivepartition")
_MESSAGE = re.compile(r"[1-9][0-9]*\.")


@dataclass(frozen=True)
class Aside:
    """Whose mailboxes are dropped in an epoch, where they lay, and whether all of it is set aside
    durably: only then anything is dropped. `whole` is whether all of it could be read and saved
    elsewhere before, `proven` whether the host was equal to its master afterwards."""

    epoch: int
    users: tuple[str, ...]
    shared: bool
    boxes: dict[str, Places] = field(default_factory=dict)
    complete: bool = False
    whole: bool = True
    proven: bool = False

    @property
    def spare(self) -> bool:
        """Whether nothing of it is needed any more."""
        return self.whole and self.proven

    def means(self, mailbox: str) -> bool:
        """Whether a mailbox is dropped; a heartbeat's always is, being nobody's mail."""
        owner = _names.owner(mailbox)
        if owner is None:
            return self.shared or _heartbeat.is_ours(mailbox)
        return owner in self.users


def read(epoch: int) -> Aside | None:
    """What was begun in an epoch on this host."""
    path = _path(epoch)
    text = _files.read(path)
    if not text:
        return None
    try:
        told = json.loads(text)
        boxes = {name: Places(**places) for name, places in told.pop("boxes").items()}
        return Aside(**{**told, "users": tuple(told["users"])}, boxes=boxes)
    except (ValueError, TypeError, KeyError) as error:
        raise ReplicationError(f"{path} can't be read ({error}): restore it") from error


def epochs() -> list[int]:
    """Those in which something was begun."""
    found = (os.path.basename(os.path.dirname(p)) for p in glob.glob(f"{BESIDE}/*/{_MANIFEST}"))
    return sorted(int(name) for name in found if name.isdigit())


def make(install: Install, wanted: Aside) -> Aside:
    """Set aside all that is meant, from the beginning."""
    names = sorted(box.name for box in install.mailboxes() if wanted.means(box.name))
    aside = replace(wanted, boxes={name: _mbpath.of(install, name) for name in names})
    roots = _roots(install)
    try:
        _write(aside)
        for path in _files_of(aside.boxes):
            _put(path, mirror(path, roots, aside.epoch))
        # All file systems at once: a link is as durable as its folder.
        os.sync()
        aside = replace(aside, complete=True)
        _write(aside)
    except OSError as error:
        raise ReplicationError(
            f"{error.filename or _path(aside.epoch)} can't be set aside ({error.strerror}): make "
            "room, or restore its folder"
        ) from error
    return aside


def prove(aside: Aside) -> None:
    """Note that this host was equal to its master after this was dropped."""
    _write(replace(aside, proven=True))


def remains(install: Install, aside: Aside) -> Iterator[str]:
    """Files that are set aside and still lie where they were."""
    roots = _roots(install)
    for path in _files_of(aside.boxes):
        if os.path.lexists(mirror(path, roots, aside.epoch)):
            yield path


def places(install: Install, epoch: int) -> list[str]:
    """The folders in which things of an epoch are aside."""
    wanted = {os.path.join(root, FOLDER, str(epoch)) for root in _roots(install)}
    return sorted(path for path in {*wanted, _rest(epoch)} if os.path.isdir(path))


def discard(install: Install, epoch: int) -> None:
    """Remove what is aside; what it was is forgotten last."""
    try:
        for path in places(install, epoch):
            shutil.rmtree(path)
            with contextlib.suppress(OSError):
                os.rmdir(os.path.dirname(path))
        with contextlib.suppress(FileNotFoundError):
            os.unlink(_path(epoch))
    except OSError as error:
        raise ReplicationError(f"{error.filename} can't be removed: {error.strerror}") from error


def mirror(path: str, roots: Iterable[str], epoch: int) -> str:
    """Where a file is set aside; `roots` the longest first."""
    for root in roots:
        if path.startswith(root + "/"):
            return os.path.join(root, FOLDER, str(epoch), os.path.relpath(path, root))
    return _rest(epoch) + path


def _rest(epoch: int) -> str:
    return f"{BESIDE}/{epoch}/aside"


def _path(epoch: int) -> str:
    return f"{BESIDE}/{epoch}/{_MANIFEST}"


def _roots(install: Install) -> list[str]:
    found = {path for kind in _KINDS for path in install.partitions(kind).values()}
    found |= {install.config_directory, install.setting("sievedir", "/usr/sieve")}
    return sorted((path.rstrip("/") for path in found), key=len, reverse=True)


def _files_of(boxes: Mapping[str, Places]) -> Iterator[str]:
    seen = set()
    for name, box in boxes.items():
        found = [path for path, _place in box.files()]
        # Of a shared mailbox Cyrus tells its own folders as those of the user.
        if _names.owner(name) is not None:
            found += [path for path, _place in box.files_of_user()]
        for path in found:
            if path not in seen:
                seen.add(path)
                yield path


def _write(aside: Aside) -> None:
    path = _path(aside.epoch)
    os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
    _files.write(path, json.dumps(asdict(aside), sort_keys=True) + "\n", 0o600)


def _put(path: str, target: str) -> None:
    os.makedirs(os.path.dirname(target), mode=0o700, exist_ok=True)
    with contextlib.suppress(FileNotFoundError):
        os.unlink(target)
    if _MESSAGE.fullmatch(os.path.basename(path)):
        try:
            os.link(path, target, follow_symlinks=False)
            return
        except OSError:
            # Another file system below the same folder.
            pass
    shutil.copy2(path, target, follow_symlinks=False)
