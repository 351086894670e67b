# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts users and mail into a store that is set up: `python -m tests.lab.mail`."""

from __future__ import annotations

import argparse
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.integration import lab

from . import content
from .command import say
from .deliver import Delivery
from .errors import LabError
from .imap import Imap, Literal, mailbox, quoted
from .logins import create_logins
from .managesieve import Sieve

_CONNECTIONS = 8
# The folder that a user gets last: who has it is complete.
_LAST = "Renamed"
_LAB_MESSAGES = 12


@dataclass(frozen=True)
class Store:
    """Where the master is, and the administrator's account."""

    master: str
    address: str
    admin: str
    password: str

    def imap(self, user: str = "") -> Imap:
        """Return a session of a user, or of the administrator."""
        session = Imap.connect(self.address)
        session.login(self.admin, self.password, act_as=user)
        return session


@dataclass
class Made:
    """What was put in."""

    users: int = 0
    mailboxes: int = 0
    messages: int = 0

    def __add__(self, other: Made) -> Made:
        return Made(
            self.users + other.users,
            self.mailboxes + other.mailboxes,
            self.messages + other.messages,
        )

    def __str__(self) -> str:
        return f"{self.users} users, {self.mailboxes} mailboxes, {self.messages} messages"


def the_store() -> Store:
    """Return the lab's store as its own record tells it."""
    hosts = lab.hosts()
    told = lab.ssh(hosts[0], "cat /var/lib/cyrus-replication/role.json", check=False)
    if told.returncode != 0:
        raise LabError(f"{hosts[0]} has no role record: run the playbook setup first")
    master = str(json.loads(told.stdout)["master"])
    return Store(
        master,
        lab.address(master),
        str(lab.var("cyrus_admin_user", master)),
        str(lab.var("cyrus_admin_password", master)),
    )


def append(session: Imap, name: str, mails: list[content.Message]) -> None:
    """Put messages into a mailbox with one command."""
    words: list[str | Literal] = []
    for mail in mails:
        words += [mail.words, Literal(mail.body)]
    if mails:
        session.run("APPEND", mailbox(name), *words)


def _has(session: Imap, name: str) -> bool:
    return bool(session.run('LIST ""', mailbox(name)))


def _create(session: Imap, name: str, use: str = "") -> int:
    if _has(session, name):
        return 0
    session.run("CREATE", mailbox(name), *([f"(USE ({use}))"] if use else []))
    return 1


def _own_folders(session: Imap, user: str, seed: int, count: int) -> Made:
    made = Made()
    for number, (folder, use) in enumerate(content.FOLDERS.items()):
        name = f"INBOX/{folder}"
        made.mailboxes += _create(session, name, use)
        mails = list(content.messages(seed, user, folder, max(2, count - number % 5)))
        append(session, name, mails)
        made.messages += len(mails)
        session.run("SUBSCRIBE", mailbox(name))
    made.mailboxes += _create(session, f"INBOX/{content.EMPTY}")
    return made


def _marks(session: Imap, user: str) -> None:
    """Annotations of mailboxes and messages, and messages that are gone."""
    for folder in ("Sent", "Übung"):
        for scope in ("private", "shared"):
            session.run(
                "SETMETADATA",
                mailbox(f"INBOX/{folder}"),
                f"(/{scope}/comment {quoted(f'{scope} note of {user}')})",
            )
    session.run("SELECT", mailbox("INBOX/Sent"))
    session.run('STORE 1 ANNOTATION (/comment (value.priv "mine" value.shared "ours"))')
    session.run("STORE 2 +FLAGS (\\Deleted)")
    session.run("EXPUNGE")
    session.run("UNSELECT")


def _gone_and_renamed(session: Imap, user: str, seed: int) -> Made:
    gone, before = "INBOX/Gone", "INBOX/Before"
    made = Made(mailboxes=_create(session, gone) + _create(session, before))
    for name in (gone, before):
        append(session, name, list(content.messages(seed, user, name, 3)))
        made.messages += 3
    session.run("DELETE", mailbox(gone))
    session.run("RENAME", mailbox(before), mailbox(f"INBOX/{_LAST}"))
    return made


def _quota(admin: Imap, user: str, number: int) -> None:
    limits = ("STORAGE 102400 MESSAGE 5000", "STORAGE 51200", "MESSAGE 20000")[number % 3]
    admin.run("SETQUOTA", mailbox(f"user/{user}"), f"({limits})")
    if number % 3 == 0:
        admin.run("SETQUOTA", mailbox(f"user/{user}/Archive"), "(STORAGE 20480)")


def _scripts(store: Store, user: str) -> None:
    with Sieve.connect(store.address) as session:
        session.login(store.admin, store.password, act_as=user)
        scripts = content.scripts(user)
        for name, script in scripts.items():
            session.put(name, script)
        session.activate(next(iter(scripts)))


def _lab_user(store: Store, user: str, number: int, seed: int, count: int) -> Made:
    made = Made(users=1)
    with store.imap() as admin:
        made.mailboxes += _create(admin, f"user/{user}")
        with store.imap(user) as session:
            if _has(session, f"INBOX/{_LAST}"):
                return Made()
            session.run("SUBSCRIBE INBOX")
            made += _own_folders(session, user, seed, count)
            _quota(admin, user, number)
            _marks(session, user)
            _scripts(store, user)
            with Delivery(store.address, store.admin, store.password) as delivery:
                for mail in content.messages(seed, user, "INBOX", count):
                    delivery.send(user, mail.body)
                    made.messages += 1
            if number == 0:
                append(session, "INBOX/Archive/2025", [content.large(seed, user)])
                made.messages += 1
            made += _gone_and_renamed(session, user, seed)
    return made


def _shared(store: Store, users: list[str], seed: int) -> Made:
    made = Made()
    with store.imap() as admin:
        for name in ("shared", "shared/support"):
            if not _create(admin, name):
                continue
            made.mailboxes += 1
            admin.run("SETACL", mailbox(name), f"anyone {'lrsp' if '/' in name else 'lrs'}")
            admin.run("SETACL", mailbox(name), f"{quoted(users[0])} lrswipkxten")
            with store.imap(users[0]) as session:
                append(session, name, list(content.messages(seed, "shared", name, 5)))
                made.messages += 5
            with Delivery(store.address, store.admin, store.password) as delivery:
                for mail in content.messages(seed, "shared", f"posted to {name}", 2):
                    if "/" in name:
                        delivery.send(f"+{name}", mail.body)
                        made.messages += 1
        if made.mailboxes:
            admin.run('SETQUOTA "shared" (STORAGE 1024000)')
            # Only the server's own: Cyrus 3.6.1 crashes at an annotation of a shared mailbox.
            admin.run('SETMETADATA "" (/shared/comment "the lab")')
    return made


def _between(store: Store, users: list[str]) -> None:
    """Each user gives the next one rights, who subscribes to it and reads."""
    for user, friend in zip(users, users[1:] + users[:1]):
        with store.imap(user) as session:
            session.run("SETACL", mailbox("INBOX/Übung"), f"{quoted(friend)} lrswite")
            session.run("SETACL", mailbox("INBOX/Archive"), f"{quoted(friend)} lr")
            session.run("SETACL", mailbox("INBOX/Archive"), f"{quoted('-' + friend)} w")
        theirs = f"user/{user}/Übung"
        with store.imap(friend) as session:
            for name in (theirs, "shared", "shared/support"):
                session.run("SUBSCRIBE", mailbox(name))
            for name, read in ((theirs, "1:2"), ("shared/support", "1,3")):
                session.run("SELECT", mailbox(name))
                session.run(f"STORE {read} +FLAGS (\\Seen)")


def _generated_user(store: Store, user: str, seed: int, folders: int, count: int) -> Made:
    names = ["INBOX", *(f"INBOX/folder{n}" for n in range(1, folders))]
    with store.imap() as admin:
        made = Made(users=1, mailboxes=_create(admin, f"user/{user}"))
    with store.imap(user) as session:
        if not made.mailboxes and _has(session, names[-1]):
            return Made()
        for name in names:
            made.mailboxes += _create(session, name)
            append(session, name, list(content.messages(seed, user, name, count)))
            made.messages += count
    return made


def fill(store: Store, seed: int = 1, count: int = _LAB_MESSAGES) -> Made:
    """Give each of the lab's users a login and some of everything."""
    users = [str(user) for user in lab.var("lab_users", store.master)]
    create_logins(lab.hosts(), users, str(lab.var("lab_user_password", store.master)))
    made = Made()
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        for one in pool.map(
            lambda item: _lab_user(store, item[1], item[0], seed, count), enumerate(users)
        ):
            made += one
    made += _shared(store, users, seed)
    if made.users:
        _between(store, users)
    return made


def generated(users: int) -> list[str]:
    return [f"u{number:05}" for number in range(1, users + 1)]


def generate(store: Store, users: int, seed: int, folders: int, count: int) -> Made:
    """Make users with the same number of mailboxes and messages each."""
    made = Made()
    with ThreadPoolExecutor(_CONNECTIONS) as pool:
        for one in pool.map(
            lambda name: _generated_user(store, name, seed, folders, count), generated(users)
        ):
            made += one
    return made


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.mail", description=__doc__)
    add = parser.add_argument
    add("--users", type=int, default=0, metavar="N", help="make N users of even size as well")
    add("--folders", type=int, default=4, metavar="N", help="mailboxes of each of these")
    add("--messages", type=int, default=_LAB_MESSAGES, metavar="N", help="messages a folder")
    add("--only-generated", action="store_true", help="leave out the inventory's lab_users")
    add("--seed", type=int, default=1, metavar="N")
    return parser.parse_args()


def main() -> int:
    args = _arguments()
    started = time.monotonic()
    try:
        store = the_store()
        made = Made() if args.only_generated else fill(store, args.seed, args.messages)
        made += generate(store, args.users, args.seed, args.folders, args.messages)
    except (LabError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    seconds = time.monotonic() - started
    say(f"put into {store.master}: {made} ({made.messages / seconds:.0f} a second)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
