# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What a guard concludes from what its peers say. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from ._peers import Answer
from ._role import Record
from ._terms import Terms

# Somebody was seen just now, in seconds.
_NOW = 1.0

# What is to be done: it may serve, it may serve although nobody has said so, it stays fenced until
# an administrator releases it, it waits fenced, it is left as it is, its lease is over, it is
# fenced until all agree, it is no master any more.
CLEAR, SERVE, HOLD, WAIT, STAY, EXPIRE, FENCE, SUPERSEDE = (
    "clear",
    "serve",
    "hold",
    "wait",
    "stay",
    "expire",
    "fence",
    "supersede",
)


@dataclass(frozen=True)
class Verdict:
    """What is to be done, and why; `newer` is what supersedes this host."""

    what: str
    reason: str | None = None
    newer: Record | None = None


def judge(
    record: Record,
    answers: Iterable[Answer],
    cleared: bool,
    lonely: float | None,
    terms: Terms,
) -> Verdict:
    """What a master has to do.

    `lonely` are the seconds for which neither a peer nor a delivery host has answered, None where
    nobody but peers could.
    """
    heard = sorted((answer.record for answer in answers), key=lambda other: -other.epoch)
    for other in heard:
        verdict = _against(record, other)
        if verdict is not None:
            return verdict
    if heard:
        return Verdict(CLEAR)
    if not cleared:
        return _alone(terms.alone)
    if lonely is None or terms.lease <= 0 or lonely < _NOW:
        return Verdict(STAY)
    silent = f"neither a peer nor a delivery host has answered for {lonely:.0f} s"
    if lonely < terms.lease:
        return Verdict(STAY, f"{silent}: this master fences itself after {terms.lease:.0f} s")
    return Verdict(
        EXPIRE,
        f"{silent}, so another host may have become master: mend this host's network, or release "
        "it with the module fence and force if no other host was made master",
    )


def passed_by(record: Record | None, answers: Iterable[Answer]) -> str | None:
    """Why a host that is no master may have missed a change of it; None where it has not."""
    if record is None:
        return None
    for other in (answer.record for answer in answers):
        if (other.epoch, other.master) != (record.epoch, record.master) and (
            other.epoch >= record.epoch
        ):
            return (
                f"{other.host} says that {other.master} is master in epoch {other.epoch}, and "
                f"{record.host} follows {record.master} in epoch {record.epoch}: run switchover "
                "again, or rejoin if that was a failover"
            )
    return None


def _against(record: Record, other: Record) -> Verdict | None:
    """What another's record says against this master's."""
    if other.epoch < record.epoch or (other.epoch, other.master) == (record.epoch, record.master):
        return None
    says = f"{other.host} says that {other.master} is master in epoch {other.epoch}"
    if other.epoch == record.epoch:
        return Verdict(
            FENCE,
            f"{says}, and so is {record.host}: find out which of them took mail, and give that "
            "one a higher epoch with the module role; then bring the other one back with rejoin",
        )
    if other.master == record.host:
        return Verdict(
            FENCE,
            f"{says}, and its own record is of epoch {record.epoch}: was the host restored from an "
            "old copy? Bring it back with rejoin",
        )
    return Verdict(
        SUPERSEDE,
        f"{says}, and {record.host} was it in epoch {record.epoch}: bring {record.host} back with "
        "rejoin",
        other,
    )


def _alone(alone: str) -> Verdict:
    silent = "no peer has answered since this master was booted"
    if alone == "serve":
        return Verdict(SERVE, f"{silent}, and cyrus_guard_alone is serve: it serves all the same")
    if alone == "fence":
        return Verdict(
            HOLD,
            f"{silent}, and cyrus_guard_alone is fence: release it with the module fence if no "
            "other host was made master",
        )
    return Verdict(
        WAIT,
        f"{silent}, so another host may be master by now: start a replica or mend the network, "
        "or set cyrus_guard_alone",
    )
