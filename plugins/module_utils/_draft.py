# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""A plan while it is made: the rules put into it what they find, in whatever order they come."""

from __future__ import annotations

from collections.abc import Iterable

from . import _plan
from ._model import Message
from ._plan import Conflict, Plan, Save, Saved, SaveMailbox, SaveScript, Step
from ._survey import Box

# Names are made free before they are taken, and nothing is taken away before what is new is there.
_ORDER: tuple[type[Step], ...] = (
    _plan.DeleteMailbox,
    _plan.RenameMailbox,
    _plan.AddMailbox,
    _plan.AddMessages,
    _plan.SetFlags,
    _plan.Expunge,
    _plan.SetAcl,
    _plan.SetAnnotation,
    _plan.Subscribe,
    _plan.Unsubscribe,
    _plan.SetSeen,
    _plan.PutScript,
    _plan.ActivateScript,
    _plan.RemoveScript,
    _plan.SetQuota,
)


class Draft:
    """Of one owner's plan."""

    def __init__(self, owner: str | None) -> None:
        self.owner = owner
        # By side, unique id and UID: nothing is archived twice.
        self._saves: dict[tuple[str, str, int | None], Saved] = {}
        self._steps: list[Step] = []
        self._conflicts: list[Conflict] = []

    def step(self, step: Step) -> None:
        self._steps.append(step)

    def save(self, side: str, box: Box, message: Message, why: str) -> None:
        head = box.head
        save = Save(self.owner, head.name, head.uniqueid, head.partition, side, message, why)
        self._saves.setdefault((side, head.uniqueid, message.uid), save)

    def save_live(self, side: str, box: Box, why: str) -> None:
        """Everything in a mailbox that is not expunged."""
        for message in live(box.messages.values()):
            self.save(side, box, message, why)

    def save_mailbox(self, name: str, uniqueid: str, why: str) -> None:
        save = SaveMailbox(self.owner, name, uniqueid, why)
        self._saves.setdefault((_plan.OLD, uniqueid, None), save)

    def save_script(self, side: str, name: str, guid: str, why: str) -> None:
        save = SaveScript(self.owner, name, guid, side, why)
        self._saves.setdefault((side, f"script {name}", None), save)

    def conflict(
        self,
        kind: str,
        found: str,
        done: str,
        kept: str,
        mailbox: str | None = None,
        uid: int | None = None,
    ) -> None:
        self._conflicts.append(Conflict(kind, self.owner, mailbox, uid, found, done, kept))

    def plan(self, touched_on_old: bool, unknown: Iterable[str]) -> Plan:
        return Plan(
            self.owner,
            touched_on_old,
            saves=tuple(self._saves.values()),
            steps=tuple(sorted(self._steps, key=lambda step: _ORDER.index(type(step)))),
            conflicts=tuple(self._conflicts),
            unknown=tuple(unknown),
        )


def live(messages: Iterable[Message]) -> list[Message]:
    return [message for message in messages if not message.expunged]
