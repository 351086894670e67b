# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which replica has most of what its master had. Pure.

A replica has what was logged before the newest heartbeat that came to it. Heartbeats are some
seconds apart, so a smaller difference says nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_GRAIN = 20.0


@dataclass(frozen=True)
class Standing:
    """What one replica says of itself: the time of its newest heartbeat (by the clock of the master
    that wrote it), its own time, its last comparison, and why the copy may not be whole."""

    host: str
    written: float | None
    at: str | None
    now: float | None
    parity: Mapping[str, Any] | None
    doubt: str | None
    unknown: str | None

    @classmethod
    def of(cls, host: str, readiness: Mapping[str, Any]) -> Standing:
        beat = readiness.get("heartbeat") or {}
        doubt = readiness.get("doubt")
        return cls(
            host,
            beat.get("written"),
            beat.get("at"),
            readiness.get("clock"),
            readiness.get("parity"),
            f"{doubt['reason']} (since {doubt['since']})" if doubt else None,
            (readiness.get("unknown") or {}).get("heartbeat"),
        )

    def lines(self) -> list[str]:
        if self.written is None:
            said = f"{self.host}: what it has is not known: {self.unknown or 'it says nothing'}"
        else:
            ago = "" if self.now is None else f", {max(0.0, self.now - self.written):.0f} s ago"
            said = f"{self.host}: has all up to about {self.at}{ago}; later mail may be missing"
        return [f"{said}; {self._compared()}"] + (
            [f"  {self.host}: its copy is in doubt: {self.doubt}"] if self.doubt else []
        )

    def _compared(self) -> str:
        if self.parity is None:
            return "no comparison is noted there"
        found = {True: "equal", False: "NOT EQUAL"}.get(self.parity["in_sync"], "unknown")
        return f"compared {self.parity['started']} in epoch {self.parity['epoch']}: {found}"


def ranked(standings: Iterable[Standing]) -> list[Standing]:
    """The one that has most comes first; what is not known comes last."""
    return sorted(standings, key=lambda s: (s.written is None, -(s.written or 0.0), s.host))


def behind(standings: Iterable[Standing], host: str) -> str | None:
    """Why another one would lose less than this one; None where it would not."""
    order = ranked(standings)
    own = next(s for s in order if s.host == host)
    best = order[0]
    if own.written is None:
        return f"it is not known how much {host} has: {own.unknown or 'it says nothing'}"
    if best.written is not None and best.written - own.written > _GRAIN:
        return (
            f"{host} has less than {best.host}, whose newest heartbeat is "
            f"{best.written - own.written:.0f} s newer"
        )
    return None
