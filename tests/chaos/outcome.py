# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a round, as a value that can be written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from .checker import Verdict
from .deck import Card


@dataclass(frozen=True)
class Outcome:
    """It counts if acknowledged mail was missing on the candidate.

    `died_at` is the task at which the controller died, `broke` why the round came to no verdict.
    """

    seed: str
    number: int
    at: str
    card: Card
    moment: str = ""
    missing: int = 0
    accepted: int = 0
    died_at: str = ""
    verdict: Verdict = field(default_factory=Verdict)
    seconds: Mapping[str, float] = field(default_factory=dict)
    broke: str = ""

    @property
    def counts(self) -> bool:
        return self.missing > 0 and not self.broke

    def failures(self) -> list[str]:
        return [f"broke off: {self.broke}"] if self.broke else self.verdict.failures()

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of(cls, written: Mapping[str, Any]) -> Outcome:
        made = {"card": Card(**written["card"]), "verdict": Verdict(**written["verdict"])}
        return cls(**{**written, **made})
