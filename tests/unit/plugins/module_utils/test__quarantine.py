# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The registry of what a channel leaves aside."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _events, _quarantine, _state
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._events import Event, Target
from ansible_collections.mailops.cyrus.plugins.module_utils._quarantine import Entry, Quarantine
from hypothesis import given
from hypothesis import strategies as st

SENT = Target("mailbox", "user.anna.Sent")
ANNA = Target("user", "anna")
NOW = 1_790_000_000.0


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "quarantine.json"


@pytest.fixture
def registry(path: Path) -> Quarantine:
    return Quarantine(str(path))


def events(*lines: str) -> list[Event]:
    return [_events.read(line) for line in lines]


def hold(
    registry: Quarantine,
    target: Target = SENT,
    *lines: str,
    by: str = "replicator",
    reason: str = "no space",
    now: float = NOW,
) -> None:
    registry.hold(target, reason, "make room", by, events(*lines), now)


def entry(registry: Quarantine, target: Target = SENT) -> Entry:
    found = registry.covers(target)
    assert found is not None
    return found


def test_what_is_held_outlives_a_restart(registry: Quarantine, path: Path) -> None:
    hold(registry, SENT, "MAILBOX user.anna.Sent", "MAILBOX user.anna.\udcff")
    registry.save()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    (described,) = json.loads(path.read_text())["entries"]
    assert described == {
        "scope": "mailbox",
        "name": "user.anna.Sent",
        "user": "anna",
        "mailbox": "user.anna.Sent",
        "reason": "no space",
        "advice": "make room",
        "since": "2026-09-21T14:13:20Z",
        "by": "replicator",
        "tries": 0,
        "tried": None,
        "next": NOW + 5,
        "events": ["MAILBOX user.anna.Sent", "MAILBOX user.anna.\udcff"],
    }
    again = Quarantine(str(path))
    assert again.entries() == registry.entries()
    assert again.entries()[0].target == SENT


def test_registry_of_a_channel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    assert _quarantine.load("imap2") == []
    (tmp_path / "imap2").mkdir()
    registry = Quarantine(_quarantine.path_of("imap2"))
    hold(registry)
    registry.save()
    assert [e.name for e in _quarantine.load("imap2")] == ["user.anna.Sent"]
    assert os.listdir(tmp_path / "imap2") == ["quarantine.json"]


# -- what is covered


@pytest.mark.parametrize(
    ("held", "target", "covered"),
    [
        (SENT, SENT, True),
        (SENT, Target("mailbox", "user.anna"), False),
        (SENT, Target("meta", "anna"), False),
        (SENT, ANNA, False),
        (ANNA, ANNA, True),
        (ANNA, SENT, True),
        (ANNA, Target("mailbox", "DELETED.user.anna.Alt.65A1B2C3"), True),
        (ANNA, Target("meta", "anna"), True),
        (ANNA, Target("quota", "user.anna"), True),
        (ANNA, Target("mailbox", "user.ben"), False),
        (ANNA, Target("server", ""), False),
        (Target("meta", "anna"), Target("meta", "anna"), True),
        (Target("meta", "anna"), SENT, False),
        (Target("mailbox", "shared"), Target("mailbox", "shared"), True),
        (Target("mailbox", "shared"), Target("quota", "shared"), False),
        (Target("server", ""), Target("server", ""), True),
    ],
)
def test_covered(registry: Quarantine, held: Target, target: Target, covered: bool) -> None:
    hold(registry, held)
    found = registry.covers(target)
    assert (found is not None and found.target == held) is covered


# -- tries


def test_tries_have_longer_and_longer_pauses(registry: Quarantine) -> None:
    hold(registry)
    assert registry.due(NOW + 4.9) == []
    assert registry.due(NOW + 5) == registry.entries()
    pauses = []
    for turn in range(1, 12):
        registry.failed(SENT, f"reason {turn}", f"advice {turn}", NOW)
        found = entry(registry)
        assert found.next is not None
        pauses.append(found.next - NOW)
    assert pauses == [10, 20, 40] + [60] * 8
    assert (found.tries, found.tried, found.reason, found.advice) == (
        11,
        "2026-09-21T14:13:20Z",
        "reason 11",
        "advice 11",
    )
    registry.failed(SENT, "x", None, NOW)
    assert entry(registry).next == NOW + 60


def test_what_fails_again_in_a_batch_keeps_its_history(registry: Quarantine) -> None:
    hold(registry, SENT, "APPEND user.anna.Sent")
    registry.failed(SENT, "other", None, NOW + 5)
    hold(registry, SENT, "MAILBOX user.anna.Sent", reason="newest", now=NOW + 100)
    found = entry(registry)
    assert (found.since, found.tries, found.reason) == ("2026-09-21T14:13:20Z", 1, "newest")
    assert found.next == NOW + 110
    assert found.events == ("APPEND user.anna.Sent", "MAILBOX user.anna.Sent")


def test_the_longest_due_is_the_first_to_be_tried(registry: Quarantine) -> None:
    hold(registry)
    other = Target("mailbox", "user.zoe")
    registry.hold(other, "no space", None, "replicator", [], NOW - 20)
    assert [entry.target for entry in registry.due(NOW + 60)] == [other, SENT]


def test_a_clock_that_was_set_back_delays_no_try(registry: Quarantine) -> None:
    hold(registry)
    assert registry.due(NOW - 86400) == registry.entries()


def test_what_an_administrator_holds_is_never_due(registry: Quarantine) -> None:
    hold(registry, by="administrator")
    registry.failed(SENT, "still", None, NOW)
    assert (entry(registry).tries, entry(registry).next) == (1, None)
    hold(registry)
    assert (entry(registry).by, entry(registry).next) == ("administrator", None)
    hold(registry, ANNA)
    hold(registry, ANNA, by="administrator")
    assert registry.due(NOW * 2) == []


# -- events


def test_events_are_kept_once_and_given_back(registry: Quarantine) -> None:
    hold(registry, SENT, "APPEND user.anna.Sent")
    registry.keep(SENT, events("MAILBOX user.anna.Sent", "APPEND user.anna.Sent"))
    assert registry.release(SENT) == ("APPEND user.anna.Sent", "MAILBOX user.anna.Sent")
    assert registry.entries() == []


def test_what_is_not_held(registry: Quarantine) -> None:
    for change in (
        lambda: registry.keep(SENT, []),
        lambda: registry.failed(SENT, "x", None, NOW),
        lambda: registry.release(SENT),
    ):
        with pytest.raises(ReplicationError, match=r"user\.anna\.Sent is not in quarantine: "):
            change()


# -- the file


def test_file_is_only_written_for_a_change(registry: Quarantine, path: Path) -> None:
    registry.save()
    assert not path.exists()
    hold(registry, SENT, "APPEND user.anna.Sent")
    registry.save()
    first = path.stat().st_ino
    registry.keep(SENT, events("APPEND user.anna.Sent"))
    registry.save()
    assert path.stat().st_ino == first
    registry.release(SENT)
    registry.save()
    assert Quarantine(str(path)).entries() == []


def test_file_that_cannot_be_written(tmp_path: Path) -> None:
    registry = Quarantine(str(tmp_path / "gone/quarantine.json"))
    hold(registry)
    for _try in range(2):
        with pytest.raises(ReplicationError, match=r"quarantine.json can't be written \(No such"):
            registry.save()


def test_file_that_cannot_be_opened(tmp_path: Path) -> None:
    with pytest.raises(ReplicationError, match=r"can't be read \(Is a directory\): make it"):
        Quarantine(str(tmp_path))


WHOLE: dict[str, object] = {
    "scope": "mailbox",
    "name": "user.anna.Sent",
    "user": "anna",
    "mailbox": "user.anna.Sent",
    "reason": "no space",
    "advice": None,
    "since": "2026-09-21T14:13:20Z",
    "by": "replicator",
    "tries": 3,
    "tried": None,
    "next": 1790000000,
    "events": ["MAILBOX user.anna.Sent"],
}


def test_whole_file_is_read(path: Path) -> None:
    path.write_text(json.dumps({"entries": [WHOLE]}))
    assert Quarantine(str(path)).entries()[0].events == ("MAILBOX user.anna.Sent",)


@pytest.mark.parametrize(
    "document",
    [
        [],
        {},
        {"entries": None},
        {"entries": [1]},
        {"entries": [WHOLE, WHOLE]},
        {"entries": [{**WHOLE, "more": 1}]},
        {"entries": [{k: v for k, v in WHOLE.items() if k != "events"}]},
        {"entries": [{k: v for k, v in WHOLE.items() if k != "reason"}]},
        {"entries": [{**WHOLE, "events": "MAILBOX a"}]},
        {"entries": [{**WHOLE, "events": [1]}]},
        {"entries": [{**WHOLE, "events": ["MAILBOX a\nMAILBOX b"]}]},
        {"entries": [{**WHOLE, "tries": True}]},
        {"entries": [{**WHOLE, "next": "soon"}]},
        {"entries": [{**WHOLE, "scope": "world"}]},
        {"entries": [{**WHOLE, "by": "me"}]},
    ],
)
def test_damaged_file_is_never_taken_for_an_empty_one(path: Path, document: object) -> None:
    path.write_text(json.dumps(document))
    with pytest.raises(ReplicationError, match=r"quarantine.json is damaged \(.*\), so .*: move"):
        Quarantine(str(path))


@pytest.mark.parametrize("text", ["", "{", "[" * 100_000, "\0" * 100])
def test_half_written_file(path: Path, text: str) -> None:
    path.write_text(text)
    with pytest.raises(ReplicationError, match="is damaged"):
        Quarantine(str(path))


@given(cut=st.integers(0, 400), junk=st.binary(max_size=20))
def test_any_cut_is_noticed(
    tmp_path_factory: pytest.TempPathFactory, cut: int, junk: bytes
) -> None:
    whole = json.dumps({"entries": [WHOLE]}).encode()
    path = tmp_path_factory.getbasetemp() / "quarantine.json"
    path.write_bytes(whole[: min(cut, len(whole) - 1)] + junk)
    try:
        (found,) = Quarantine(str(path)).entries()
    except ReplicationError:
        return
    assert found.events == ("MAILBOX user.anna.Sent",)
