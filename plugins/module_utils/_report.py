# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""The report of a parity check: the document of the contract. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from ._check import Findings
from ._look import Unknown


@dataclass(frozen=True)
class Subject:
    """What was compared: names of hosts, the level, and the store's epoch (None: not known)."""

    store: str
    master: str
    replica: str
    level: str
    epoch: int | None


def document(subject: Subject, findings: Findings, started: str, seconds: float) -> dict[str, Any]:
    """`started` is ISO 8601."""
    tally = findings.tally
    return {
        **asdict(subject),
        "in_sync": in_sync(findings),
        "started": started,
        "seconds": round(seconds, 3),
        "compared": {**asdict(tally), "bytes": 0},
        "differences": [asdict(difference) for difference in findings.differences],
        "lagging": [asdict(difference) for difference in findings.lagging],
        "unknown": _plain(findings.unknown),
        "skipped": _plain(findings.skipped),
    }


def in_sync(findings: Findings) -> bool | None:
    """False where anything differs, else None where anything is not known, else True."""
    if findings.differences:
        return False
    if findings.lagging or findings.unknown or findings.skipped:
        return None
    return True


def without(report: dict[str, Any], accepted: Collection[str]) -> dict[str, Any]:
    """The document without what it says of some mailboxes (internal names) and users."""
    if not accepted:
        return report
    left = {
        key: [entry for entry in report[key] if not _is_about(entry, accepted)]
        for key in ("differences", "lagging", "unknown", "skipped")
    }
    findings = Findings(
        differences=left["differences"],
        lagging=left["lagging"],
        unknown=left["unknown"],
        skipped=left["skipped"],
    )
    return {**report, **left, "in_sync": in_sync(findings)}


def _is_about(entry: Mapping[str, Any], accepted: Collection[str]) -> bool:
    named = (entry.get("mailbox"), entry.get("user"), entry.get("scope"))
    return any(name in accepted for name in named if name)


def _plain(unknown: Iterable[Unknown]) -> list[dict[str, str]]:
    return [{"scope": item.scope, "reason": item.reason} for item in unknown]
