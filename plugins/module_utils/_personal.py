# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What becomes of what an owner has beside mailboxes: subscriptions, seen state, scripts, quotas,
and the annotations of the server. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from . import _uidset
from ._draft import Draft
from ._model import Annotations, Script, Seen
from ._plan import (
    NEW,
    OLD,
    ActivateScript,
    PutScript,
    RemoveScript,
    SetAnnotation,
    SetQuota,
    SetSeen,
    Subscribe,
    Unsubscribe,
)
from ._survey import Holding
from ._threeway import three_way


def merge_personal(draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
    _merge_subscriptions(draft, base, old, new)
    _merge_seen(draft, base, old, new)
    _merge_scripts(draft, base, old, new)
    _merge_quotas(draft, base, old, new)
    _merge_server_annotations(draft, base, old, new)


def save_scripts(draft: Draft, old: Holding, new: Holding) -> None:
    """The old side's scripts that the new one has not, whether or not they are merged."""
    ours = _texts(new)
    for name, guid in _texts(old).items():
        if ours.get(name) != guid:
            draft.save_script(OLD, name, guid, "the new master has not this text under this name")


def keyed(annotations: Annotations) -> dict[tuple[str, str], str]:
    """Values by entry and userid."""
    return {(entry, userid): value for entry, userid, value in annotations}


def _merge_subscriptions(draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
    changes, _none_clash = three_way(
        *(dict.fromkeys(sorted(side.subscriptions), True) for side in (base, old, new))
    )
    for name, subscribed in changes.items():
        draft.step((Subscribe if subscribed else Unsubscribe)(draft.owner, name))


def _merge_seen(draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
    """What has been seen on either side is seen."""
    changes, clashes = three_way(base.seen, old.seen, new.seen)
    for seen in changes.values():
        if seen is not None:
            draft.step(SetSeen(draft.owner, seen))
    for uniqueid in clashes:
        theirs, ours = old.seen.get(uniqueid), new.seen.get(uniqueid)
        if theirs is None or ours is None:
            continue
        try:
            both = _seen_by_both(theirs, ours)
        except ValueError:
            draft.conflict(
                "seen",
                f"the old master has {theirs.seen_uids!r} for the mailbox {uniqueid}",
                "the new master's state stands",
                "report",
            )
            continue
        if both != ours:
            draft.step(SetSeen(draft.owner, both))


def _seen_by_both(theirs: Seen, ours: Seen) -> Seen:
    mine = _uidset.union(_uidset.parse(ours.seen_uids))
    both = _uidset.union([*mine, *_uidset.parse(theirs.seen_uids)])
    return replace(
        ours,
        last_read=max(theirs.last_read, ours.last_read),
        last_uid=max(theirs.last_uid, ours.last_uid),
        last_change=max(theirs.last_change, ours.last_change),
        seen_uids=ours.seen_uids if both == mine else _uidset.text_of(both),
    )


def _merge_scripts(draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
    ours = _texts(new)
    changes, clashes = three_way(_texts(base), _texts(old), ours)
    active = _merge_active(draft, base, old, new, {*ours, *changes})
    for name, guid in changes.items():
        if guid is not None:
            draft.step(PutScript(draft.owner, name, guid))
        elif name == active:
            clashes.append(name)
            continue
        else:
            draft.step(RemoveScript(draft.owner, name, ours[name]))
        if name in ours:
            draft.save_script(NEW, name, ours[name], "the old master has changed or removed it")
    for name in clashes:
        draft.conflict(
            "sieve_script",
            f"the script {name} was changed on both sides",
            "the new master's stands",
            "archive" if name in _texts(old) else "nowhere",
        )


def _merge_active(
    draft: Draft, base: Holding, old: Holding, new: Holding, names: set[str]
) -> str | None:
    """The script that is active in the end, which has to be one of `names`."""
    was, theirs, ours = _active(base), _active(old), _active(new)
    if theirs in (was, ours):
        return ours
    if ours == was and (theirs is None or theirs in names):
        draft.step(ActivateScript(draft.owner, theirs))
        return theirs
    draft.conflict(
        "sieve_active",
        f"the old master made {theirs or 'no script'} active, the new one has {ours or 'none'}",
        "the new master's choice stands",
        "report",
    )
    return ours


def _texts(holding: Holding) -> dict[str, str]:
    scripts = sorted(holding.scripts.items())
    return {name: script.guid for name, script in scripts if script.guid is not None}


def _active(holding: Holding) -> str | None:
    scripts: Mapping[str, Script] = holding.scripts
    return next((script.name for script in scripts.values() if script.active), None)


def _merge_quotas(draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
    limits = [
        {root: quota.limits for root, quota in side.quotas.items()} for side in (base, old, new)
    ]
    changes, clashes = three_way(*limits)
    for root, wanted in changes.items():
        draft.step(SetQuota(draft.owner, root, wanted))
    for root in clashes:
        draft.conflict(
            "quota_limit",
            f"the limits were changed on both sides, on the old one to {limits[1].get(root)}",
            "the new master's stand",
            "report",
            root,
        )


def _merge_server_annotations(draft: Draft, base: Holding, old: Holding, new: Holding) -> None:
    sides = [keyed(side.annotations) for side in (base, old, new)]
    changes, clashes = three_way(*sides)
    for (entry, userid), value in changes.items():
        draft.step(SetAnnotation(draft.owner, None, None, None, None, entry, userid, value))
    for entry, userid in clashes:
        draft.conflict(
            "server_annotation",
            f"{entry} of {userid or 'all'} was changed on both sides, on the old one to "
            f"{sides[1].get((entry, userid))!r}",
            "the new master's value stands",
            "report",
        )
