# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One owner's mail as a server would have it: what users do to it, and a plan carried out on it."""

from __future__ import annotations

import copy
from dataclasses import replace

from ansible_collections.mailops.cyrus.plugins.module_utils import _plan
from ansible_collections.mailops.cyrus.plugins.module_utils._model import (
    Annotations,
    Mailbox,
    Message,
    Quota,
    Script,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._plan import Plan
from ansible_collections.mailops.cyrus.plugins.module_utils._survey import Box, Holding

GAP = 1000


def message(uid: int, content: str, *flags: str) -> Message:
    return Message(uid, uid, uid, frozenset(flags), 1, 10, content, ())


def head(name: str, uniqueid: str) -> Mailbox:
    return Mailbox(
        name=name,
        uniqueid=uniqueid,
        mboxtype="",
        sync_crc=1,
        sync_crc_annot=1,
        last_uid=0,
        highestmodseq=1,
        uidvalidity=100,
        partition="default",
        acl="anna\tlrs\t",
        options="",
        pop3_show_after=0,
        quota_root=None,
        annotations=(),
        user_flags=None,
    )


class World:
    """`prefix` begins the unique ids of the mailboxes that are made here."""

    def __init__(self, owner: str | None = "anna", prefix: str = "b") -> None:
        self.holding = Holding(owner)
        self._prefix = prefix
        self._made = 0

    def split(self) -> tuple[World, World]:
        """The old side and the new one, which leaves a gap."""
        old, new = copy.deepcopy(self), copy.deepcopy(self)
        old._prefix, new._prefix = "o", "n"
        for box in new.holding.boxes.values():
            box.head = replace(box.head, last_uid=box.head.last_uid + GAP)
        return old, new

    # -- what users and administrators do

    def make(self, name: str) -> str:
        self._made += 1
        uniqueid = f"{self._prefix}{self._made}"
        self.holding.boxes[uniqueid] = Box(head(name, uniqueid))
        return uniqueid

    def find(self, name: str) -> Box | None:
        boxes = self.holding.boxes.values()
        return next((box for box in boxes if box.head.name == name), None)

    def box(self, name: str) -> Box:
        found = self.find(name)
        assert found is not None, name
        return found

    def deliver(self, name: str, content: str, *flags: str) -> int:
        return self._append(self.box(name), message(0, content, *flags))

    def expunge(self, name: str, uid: int) -> None:
        self.flag(name, uid, "\\expunged")

    def flag(self, name: str, uid: int, *flags: str) -> None:
        messages = self.box(name).messages
        messages[uid] = replace(messages[uid], flags=messages[uid].flags | set(flags))

    def unflag(self, name: str, uid: int, *flags: str) -> None:
        messages = self.box(name).messages
        messages[uid] = replace(messages[uid], flags=messages[uid].flags - set(flags))

    def annotate(self, name: str, uid: int, annotations: Annotations) -> None:
        messages = self.box(name).messages
        messages[uid] = replace(messages[uid], annotations=annotations)

    def change(self, mailbox: str, /, **fields: object) -> None:
        box = self.box(mailbox)
        box.head = replace(box.head, **fields)  # type: ignore[arg-type]

    def rename(self, name: str, to: str) -> None:
        assert self.find(to) is None, to
        self.change(name, name=to)

    def delete(self, name: str) -> None:
        box = self.box(name)
        self.holding.deleted[box.head.uniqueid] = f"DELETED.{name}.5f3a9c12"
        highest = box.head.highestmodseq + 1
        self.holding.ended[box.head.uniqueid] = (highest, highest)
        del self.holding.boxes[box.head.uniqueid]

    def lose(self, name: str) -> None:
        del self.holding.boxes[self.box(name).head.uniqueid]

    def subscribe(self, *names: str) -> None:
        self.holding.subscriptions = frozenset(names)

    def script(self, name: str, guid: str, active: bool = False) -> None:
        self.holding.scripts[name] = Script(name, guid, active)

    def live(self, name: str) -> list[tuple[int, str]]:
        box = self.box(name)
        return [(uid, m.guid) for uid, m in sorted(box.messages.items()) if not m.expunged]

    @staticmethod
    def _append(box: Box, new: Message) -> int:
        uid = box.head.last_uid + 1
        box.head = replace(box.head, last_uid=uid, highestmodseq=box.head.highestmodseq + 1)
        box.messages[uid] = replace(new, uid=uid)
        return uid

    # -- what a plan does

    def carry_out(self, plan: Plan) -> World:
        """What this server is when all is done; a step that can't be done is an error."""
        done = copy.deepcopy(self)
        for step in plan.steps:
            done._carry_out(step)
        return done

    def _carry_out(self, step: _plan.Step) -> None:
        holding = self.holding
        if isinstance(step, _plan.DeleteMailbox):
            box = holding.boxes[step.uniqueid]
            assert (box.head.name, box.head.highestmodseq) == (step.mailbox, step.highestmodseq)
            self.delete(step.mailbox)
        elif isinstance(step, _plan.RenameMailbox):
            assert holding.boxes[step.uniqueid].head.name == step.mailbox
            self.rename(step.mailbox, step.to)
        elif isinstance(step, _plan.AddMailbox):
            assert self.find(step.mailbox) is None
            assert step.uniqueid not in {**holding.boxes, **holding.deleted}
            messages = {message.uid: message for message in step.messages}
            holding.boxes[step.uniqueid] = Box(step.head, messages)
        elif isinstance(step, (_plan.Subscribe, _plan.Unsubscribe)):
            assert (step.mailbox in holding.subscriptions) == isinstance(step, _plan.Unsubscribe)
            holding.subscriptions ^= {step.mailbox}
        elif isinstance(step, _plan.SetSeen):
            holding.seen[step.seen.uniqueid] = step.seen
        elif isinstance(step, (_plan.PutScript, _plan.ActivateScript, _plan.RemoveScript)):
            self._carry_out_script(step)
        elif isinstance(step, _plan.SetQuota):
            holding.quotas.pop(step.root, None)
            if step.limits is not None:
                holding.quotas[step.root] = Quota(step.root, step.limits)
        elif isinstance(step, _plan.SetAnnotation) and step.uniqueid is None:
            holding.annotations = _annotated(holding.annotations, step)
        else:
            box = holding.boxes[step.uniqueid or ""]
            assert box.head.name == step.mailbox
            self._carry_out_inside(box, step)

    def _carry_out_inside(self, box: Box, step: _plan.Step) -> None:
        if isinstance(step, _plan.AddMessages):
            for new in step.messages:
                self._append(box, new)
        elif isinstance(step, _plan.SetAcl):
            rights = {**box.head.acl_rights(), step.identifier: step.rights}
            acl = "".join(f"{who}\t{what}\t" for who, what in rights.items() if what is not None)
            box.head = replace(box.head, acl=acl)
        elif isinstance(step, _plan.SetAnnotation) and step.uid is None:
            box.head = replace(box.head, annotations=_annotated(box.head.annotations, step))
        else:
            assert isinstance(step, (_plan.SetFlags, _plan.Expunge, _plan.SetAnnotation))
            old = box.messages[step.uid or 0]
            assert old.guid == step.guid
            assert not old.expunged
            if isinstance(step, _plan.SetFlags):
                new = replace(old, flags=(old.flags | step.add) - step.remove)
            elif isinstance(step, _plan.Expunge):
                new = replace(old, flags=old.flags | {"\\expunged"})
            else:
                new = replace(old, annotations=_annotated(old.annotations, step))
            box.messages[old.uid] = new

    def _carry_out_script(
        self, step: _plan.PutScript | _plan.ActivateScript | _plan.RemoveScript
    ) -> None:
        scripts = self.holding.scripts
        if isinstance(step, _plan.PutScript):
            active = step.name in scripts and scripts[step.name].active
            scripts[step.name] = Script(step.name, step.guid, active)
        elif isinstance(step, _plan.RemoveScript):
            assert scripts.pop(step.name).active is False
        else:
            assert step.name is None or step.name in scripts
            for name, script in scripts.items():
                scripts[name] = replace(script, active=name == step.name)


def _annotated(annotations: Annotations, step: _plan.SetAnnotation) -> Annotations:
    rest = {(a[0], a[1], a[2]) for a in annotations if a[:2] != (step.entry, step.userid)}
    new = set() if step.value is None else {(step.entry, step.userid, step.value)}
    return tuple(sorted(rest | new))
