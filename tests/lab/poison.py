# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What makes plain Cyrus stop replicating everyone: one mailbox that fails, in six ways.

A test calls prepare, plant, stir as often as it likes, mend, and clear in the end.
"""

from __future__ import annotations

import shlex
import textwrap
import time
from dataclasses import dataclass, field
from typing import ClassVar

from tests.integration import lab

from . import plant
from .content import Message
from .imap import Literal
from .imap import mailbox as named
from .mail import the_store
from .managesieve import Sieve

_CYRUS = "/usr/lib/cyrus/bin"
_SPOOL = "/var/spool/cyrus"
_DATE = "01-Jan-2026 00:00:00 +0000"

# Runs on the master: deliver a message, and take its file away before anybody reads it.
_DELIVER_AND_REMOVE = """
import glob, os, smtplib, sys
user, folder, kept = sys.argv[1:]
before = set(glob.glob(f"{folder}/*."))
with smtplib.LMTP("/run/cyrus/socket/lmtp") as session:
    message = b"Subject: its file is lost\\r\\n\\r\\nbody\\r\\n"
    session.sendmail("sender@example.com", [user], message)
(new,) = set(glob.glob(f"{folder}/*.")) - before
os.rename(new, kept)
print(new)
"""


def _as_cyrus(host: str, command: str) -> str:
    words = ["setpriv", "--reuid=cyrus", "--regid=mail", "--init-groups"]
    return lab.ssh(host, f"{shlex.join(words)} {command}").stdout.strip()


def _message(subject: str, size: int = 0) -> Message:
    # No two are alike: Cyrus sends no message twice, but links what the replica has.
    line = b"%064x\r\n" % time.time_ns()
    text = b"Subject: %b\r\n\r\n%b" % (subject.encode(), line * max(1, size // len(line)))
    return Message(text, "", _DATE)


def _restart(host: str) -> None:
    """A running sync_server goes on with the settings it began with."""
    lab.ssh(host, "systemctl restart cyrus-imapd")


def _set(host: str, option: str, value: str | None) -> None:
    """Set or remove an option of a host's imapd.conf, where the site has its own."""
    command = f"sed -i '/^{option}:/d' /etc/imapd.conf"
    if value is not None:
        command += f"; sed -i '1i {option}: {value}' /etc/imapd.conf"
    lab.ssh(host, command)


def _drop_copies(host: str, user: str) -> None:
    # Reconstruct would give another UIDVALIDITY, which the next sync takes to the master.
    _as_cyrus(host, f"{_CYRUS}/sync_reset -f {user}")


@dataclass
class Poison:
    """One cause of failure; `mailbox` is the internal name of what it hits, None for nobody's."""

    name: ClassVar[str]
    # A word that an administrator has to find in the reason.
    tells: ClassVar[str]
    folder: ClassVar[str] = "INBOX"
    user: str
    master: str = "imap1"
    replica: str = "imap2"

    @property
    def mailbox(self) -> str | None:
        return f"user.{self.user}{self.folder[len('INBOX') :].replace('/', '.')}"

    @property
    def _admin_name(self) -> str:
        return f"user/{self.user}{self.folder[len('INBOX') :]}"

    def prepare(self) -> None:
        """What may stand for long before it hurts: settings, a smaller disk."""

    def plant(self) -> None:
        """Make the cause, and an event that meets it."""
        raise NotImplementedError

    def stir(self) -> None:
        """Log one more event that meets the cause."""
        self._append(_message("stirs"))

    def mend(self) -> None:
        """Remove the cause, as an administrator would, on the host that has it."""
        raise NotImplementedError

    def clear(self) -> None:
        """Put back what prepare changed and mend does not."""

    def _append(self, message: Message) -> None:
        with the_store().imap(self.user) as session:
            session.run("APPEND", named(self.folder), message.words, Literal(message.body))


class DamagedIndex(Poison):
    """The replica cannot open its copy."""

    name = "damaged index"
    tells = "damaged"

    def plant(self) -> None:
        folder = _as_cyrus(self.replica, f"{_CYRUS}/mbpath {self._admin_name}")
        lab.ssh(self.replica, f"truncate -s 64 {folder}/cyrus.index")
        self.stir()

    def mend(self) -> None:
        _drop_copies(self.replica, self.user)


class Twin(Poison):
    """A mailbox of the same name, made on either side."""

    name = "another uniqueid"
    tells = "another mailbox"
    folder = "INBOX/Twin"

    def plant(self) -> None:
        plant.create_mailbox(self.replica, self.user, self.folder)
        # An empty one would just be replaced.
        plant.append(self.replica, self.user, self.folder, _message("on the replica alone"))
        with the_store().imap(self.user) as session:
            session.run("CREATE", named(self.folder))
        self.stir()

    def mend(self) -> None:
        _drop_copies(self.replica, self.user)


class UnknownPartition(Poison):
    """The master has a partition that the replica lacks."""

    name = "unknown partition"
    tells = "partition"
    folder = "INBOX/Far"
    others: ClassVar[tuple[str, ...]] = ("imap3",)

    def prepare(self) -> None:
        for host in (self.master, *self.others):
            self._define(host)

    def plant(self) -> None:
        with the_store().imap() as session:
            session.run("CREATE", named(self._admin_name), "extra")
        self.stir()

    def mend(self) -> None:
        self._define(self.replica)

    def _define(self, host: str) -> None:
        lab.ssh(host, f"install -d -o cyrus -g mail -m 700 {_SPOOL}/extra")
        _set(host, "partition-extra", f"{_SPOOL}/extra")
        _restart(host)


class FullDisk(Poison):
    """There is room for small messages on the replica's one disk, and none for a large one."""

    name = "full disk"
    tells = "room"
    size: ClassVar[int] = 1_000_000
    room: ClassVar[int] = 262_144
    folders: ClassVar[dict[str, str]] = {"mail": f"{_SPOOL}/mail", "lib": "/var/lib/cyrus"}

    @property
    def mailbox(self) -> None:
        return None

    def prepare(self) -> None:
        self._move(
            "mount -t tmpfs -o size=128m,mode=0755 spool /mnt",
            *(f"cp -a {path} /mnt/{name}" for name, path in self.folders.items()),
            *(f"mount --bind /mnt/{name} {path}" for name, path in self.folders.items()),
            "umount /mnt",
        )

    def plant(self) -> None:
        fill = f"dd if=/dev/zero of={_SPOOL}/mail/ballast bs=1M count=1000 2>/dev/null"
        lab.ssh(self.replica, f"{fill}; truncate -s -{self.room} {_SPOOL}/mail/ballast")
        self.stir()

    def stir(self) -> None:
        self._append(_message("too large", self.size))

    def mend(self) -> None:
        lab.ssh(self.replica, f"rm {_SPOOL}/mail/ballast")

    def clear(self) -> None:
        lab.ssh(self.replica, f"rm -f {_SPOOL}/mail/ballast")
        for path in self.folders.values():
            self._move(
                f"mount --bind {path} /mnt",
                f"umount {path}",
                f"rsync -aHS --delete /mnt/ {path}/",
                "umount /mnt",
            )

    def _move(self, *commands: str) -> None:
        lab.ssh(
            self.replica,
            f"systemctl stop cyrus-imapd; {' && '.join(commands)}; moved=$?;"
            " systemctl start cyrus-imapd; exit $moved",
        )


class NoRoomAtAll(FullDisk):
    """The replica cannot even store a subscription."""

    name = "no room at all"
    room = 0

    def stir(self) -> None:
        with the_store().imap(self.user) as session:
            for verb in ("UNSUBSCRIBE", "SUBSCRIBE"):
                session.run(verb, named("INBOX"))
        self._append(_message("has no room"))


@dataclass
class MissingFile(Poison):
    """The master's index has a message whose file is gone."""

    name: ClassVar[str] = "missing file"
    tells: ClassVar[str] = "No such file"
    _lost: str = field(default="", init=False)
    _KEPT: ClassVar[str] = "/var/spool/cyrus/mail/kept-by-the-test"

    def plant(self) -> None:
        folder = _as_cyrus(self.master, f"{_CYRUS}/mbpath {self._admin_name}")
        words = ["python3", "-c", textwrap.dedent(_DELIVER_AND_REMOVE)]
        command = shlex.join([*words, self.user, folder, self._KEPT])
        self._lost = lab.ssh(self.master, command).stdout.strip()

    def mend(self) -> None:
        lab.ssh(self.master, f"mv {self._KEPT} {self._lost}")


class Script(Poison):
    """A script that needs what the replica's Sieve does not allow."""

    name = "Sieve script"
    tells = "Sieve"
    folder = "INBOX/#sieve"
    _text: ClassVar[str] = 'require "vacation";\r\nvacation "away";\r\n'

    def prepare(self) -> None:
        _set(self.replica, "sieve_extensions", "fileinto reject include envelope body relational")
        _restart(self.replica)

    def plant(self) -> None:
        self._put("away", activate=True)

    def stir(self) -> None:
        self._put("later", activate=False)

    def mend(self) -> None:
        _set(self.replica, "sieve_extensions", None)
        _restart(self.replica)

    def _put(self, name: str, activate: bool) -> None:
        store = the_store()
        with Sieve.connect(store.address) as session:
            session.login(store.admin, store.password, act_as=self.user)
            session.put(name, self._text)
            if activate:
                session.activate(name)


# Those that hit one mailbox each; the script is the last, as each try of it logs one more event.
SINGLE: tuple[type[Poison], ...] = (DamagedIndex, Twin, UnknownPartition, MissingFile, Script)
