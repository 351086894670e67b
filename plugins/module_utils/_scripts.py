# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Sieve scripts of a user put, removed and made active on a live master."""

from __future__ import annotations

from . import _fields, _plan
from ._dlist import Value
from ._errors import StepError
from ._model import Script, State
from ._session import Session, quoted


def apply(session: Session, what: str, verb: str, value: Value) -> None:
    """Has the server make one change; `what` is said of one that it refuses."""
    refusal = session.apply((verb, value))
    if refusal is not None:
        raise StepError(f"{what}: {refusal}")


class Scripts:
    """The scripts of a server, over an admin's session. Each change is looked for afterwards."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def put(self, step: _plan.PutScript, text: bytes) -> None:
        what = f"the script {step.name} of {step.owner} can't be stored"
        content = text.decode("utf-8", "surrogateescape")
        names: _fields.Fields = {"USERID": step.owner, "FILENAME": f"{step.name}.script"}
        before = self._told(step.owner).get(step.name)
        changes: list[tuple[str, Value]] = [
            ("SIEVE", {**names, "LAST_UPDATE": _fields.now(), "CONTENT": content})
        ]
        if before is not None:
            # Up to 3.6.5 a script that replaces another is stored empty.
            changes.insert(0, ("UNSIEVE", names))
            if before.active:
                changes.append(("ACTIVATE_SIEVE", {**names, "FILENAME": f"{step.name}.bc"}))
        # Together, so that nobody meets the user without it.
        refusal = self._session.apply(*changes)
        if refusal is not None:
            raise StepError(f"{what}: {refusal}")
        if not self._is_there(step):
            raise StepError(f"{what}: another text than that of {step.guid} is there")

    def remove(self, step: _plan.RemoveScript) -> None:
        if self._is_there(step):
            apply(
                self._session,
                f"the script {step.name} of {step.owner} can't be removed",
                "UNSIEVE",
                {"USERID": step.owner, "FILENAME": f"{step.name}.script"},
            )

    def activate(self, step: _plan.ActivateScript) -> None:
        what = f"the active script of {step.owner} can't be changed"
        if step.name is None:
            apply(self._session, what, "UNACTIVATE_SIEVE", {"USERID": step.owner})
        else:
            names: Value = {"USERID": step.owner, "FILENAME": f"{step.name}.bc"}
            apply(self._session, what, "ACTIVATE_SIEVE", names)
        active = {name for name, script in self._told(step.owner).items() if script.active}
        if active != {step.name} - {None}:
            raise StepError(f"{what}: it has no effect")

    def _is_there(self, step: _plan.PutScript | _plan.RemoveScript) -> bool:
        found = self._told(step.owner).get(step.name)
        return found is not None and found.guid == step.guid

    def _told(self, owner: str | None) -> dict[str, Script]:
        answer = next(self._session.ask(["META " + quoted(owner or "")]))
        if answer.refusal is not None:
            raise StepError(f"the scripts of {owner} can't be read: {answer.refusal}")
        return State.parse(answer.lines).scripts
