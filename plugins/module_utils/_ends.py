# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The ends of a channel, as its replicator reads them: the master by its private sockets, the
replica exactly as sync_client reaches it, so that one answers if and only if the other does."""

from __future__ import annotations

from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import replace
from typing import NamedTuple

from . import _endpoints, _names
from ._errors import ReplicationError
from ._imapd_conf import switch
from ._install import Install
from ._proof import Proof
from ._session import Session
from ._wire import Endpoint

_CONNECT = 3.0
# Somebody may hold the lock of a mailbox for long, on either side; all others wait meanwhile.
_ANSWER = 5.0
# For more users than these all mailboxes are listed at once.
_MANY = 20


class AwayError(ReplicationError):
    """An end of the channel does not answer: nobody's mailbox is at fault."""


class Sides(NamedTuple):
    """The hosts at the ends of a channel. `first` is the master's own channel that leads to who
    sends, where that is a replica itself; None where it is the master."""

    master: str
    replica: str
    first: str | None = None


class Ends:
    """Sessions to both sides, opened when they are needed and again when one has broken."""

    def __init__(
        self, install: Install, channel: str, sides: Sides, tick: Callable[[], None]
    ) -> None:
        self._install = install
        self.tick = tick
        self._channel = channel
        self.sides = sides
        self._sessions: dict[str, Session] = {}

    def proof(self) -> Proof:
        return Proof(self.master, self.replica, self.live_mailboxes, self.tick)

    def open(self) -> None:
        """AwayError where one of the ends does not answer."""
        for _session in (self.master, self.replica):
            pass

    @property
    def master(self) -> Session:
        local = _endpoints.local(self.sides.master)
        return self._session("master", replace(local, answer_timeout=_ANSWER))

    @property
    def replica(self) -> Session:
        return self._session("replica", self._receiving())

    @property
    def imap(self) -> Session:
        """The master as its administrator."""
        settings = self._install.settings
        login = _endpoints.login(self._channel, settings)
        own = _endpoints.administered(self.sides.master, login, settings)
        return self._session("imap", replace(own, answer_timeout=_ANSWER))

    def _session(self, side: str, endpoint: Endpoint) -> Session:
        if side not in self._sessions:
            try:
                self._sessions[side] = Session(endpoint)
            except ReplicationError as error:
                raise AwayError(str(error)) from None
        return self._sessions[side]

    def _receiving(self) -> Endpoint:
        settings = self._install.settings
        replica = _endpoints.by_channel(self.sides.replica, self._channel, settings)
        return replace(replica, connect_timeout=_CONNECT, answer_timeout=_ANSWER)

    def answer(self) -> bool:
        """Whether somebody new would be served by the replica."""
        try:
            with closing(self._newcomer()):
                return True
        except ReplicationError:
            return False

    def refuses_message(self, partition: str, size: int) -> str | None:
        """Why the replica cannot store a message of so many bytes in a partition, if so; a
        WireError where its process ends over that."""
        with closing(self._newcomer()) as session:
            return session.set_aside(partition, size)

    def refuses_setting(self) -> str | None:
        """Why the replica cannot store what is kept beside the mailboxes, if so. What is tried is
        undone, and of the replication account, which reads no mail."""
        with closing(self._newcomer()) as session:
            user = session.endpoint.user or ""
            return session.resubscribe(user, f"user.{user}")

    @property
    def default_partition(self) -> str:
        return self._install.setting("defaultpartition", "default")

    def _newcomer(self) -> Session:
        return Session(self._receiving())

    def live_mailboxes(self, users: Collection[str]) -> dict[str, list[str]]:
        """The mailboxes of these users on the master that are not deleted, by internal name."""
        found: dict[str, list[str]] = {user: [] for user in users}
        for pattern in self._patterns(found):
            for name in self.imap.listing(pattern):
                user = _names.owner(name)
                if user in found and not _names.is_deleted(name):
                    found[user].append(name)
        return {user: sorted(set(names)) for user, names in found.items()}

    def _patterns(self, users: Collection[str]) -> list[str]:
        if len(users) > _MANY:
            return ["*"]
        delimiter = "/" if switch(self._install.setting("unixhierarchysep", "yes")) else "."
        virtual = switch(self._install.setting("virtdomains", "off"))
        return [_names.pattern_of(user, delimiter, virtual) for user in users]

    def close(self) -> None:
        for session in self._sessions.values():
            session.close()
        self._sessions.clear()
