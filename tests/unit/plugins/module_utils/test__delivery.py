# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds and releases, with a mail server that holds what its one file names."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _delivery, _holds, _state
from ansible_collections.mailops.cyrus.plugins.module_utils._delivery import Change
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._holds import Hold


class Server:
    """Its file names what is held; it has read it once it was told to."""

    name = "postfix"

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.write_text("site\n")
        self.read = ""
        self.flushed = 0
        self.broken = self.deaf = False

    def require_running(self) -> None:
        pass

    def refuse(self, hold: Hold) -> None:
        if "unknown" in hold.transports:
            raise ReplicationError("no transport unknown")

    def agents(self, hold: Hold) -> Sequence[str]:
        return ["lmtp"] if not self.read.startswith("held") else ["nobody"]

    def files(self, holds: Sequence[Hold]) -> dict[str, str | None]:
        names = " ".join(hold.store for hold in holds)
        return {str(self.path): (f"held {names}\n" if names else "") + "site\n"}

    def check_files(self) -> None:
        if self.broken:
            raise ReplicationError("the files are broken")

    dead: Sequence[str] = ()

    def reload(self, hold: Hold, deadline: float) -> None:
        if not self.deaf:
            self.read = self.path.read_text()

    def holds(self, hold: Hold) -> bool:
        return hold.store in self.read.splitlines()[0].split()[1:] if self.read else False

    def queued(self, hold: Hold) -> int:
        return 3

    def flush(self, hold: Hold, others: Sequence[Hold]) -> None:
        self.flushed += 1


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Server:
    monkeypatch.setattr(_holds, "NOTES_DIR", str(tmp_path / "mta"))
    return Server(tmp_path / "conf")


def wish(store: str = "one", by: str = "administrator") -> Hold:
    return _holds.wish(store, "postfix", [], ["lmtp"], by)


def hold(
    server: Server, store: str = "one", check: bool = False, by: str = "administrator"
) -> _delivery.Outcome:
    return _delivery.hold(server, wish(store, by), check, 1)


def release(
    server: Server, store: str = "one", check: bool = False, by: str = "administrator"
) -> _delivery.Outcome:
    return _delivery.release(server, wish(store, by), check, True, 1)


def phases() -> dict[str, str]:
    return {one.store: one.phase for one in _holds.noted("postfix")}


def test_there_and_back(server: Server) -> None:
    assert hold(server, check=True).changes
    assert server.path.read_text() == "site\n"
    assert phases() == {}
    done = hold(server)
    assert (done.held, done.queued, done.done) == (True, 3, ["hold lmtp"])
    assert phases() == {"one": "held"}
    assert hold(server).done == []
    assert release(server, check=True).changes
    assert phases() == {"one": "held"}
    done = release(server)
    assert (done.held, done.done) == (False, ["release lmtp", "flush the queue"])
    assert (server.path.read_text(), server.flushed) == ("site\n", 1)
    assert phases() == {}
    assert release(server).done == []


def test_two_stores(server: Server) -> None:
    hold(server)
    hold(server, "two")
    assert server.path.read_text() == "held one two\nsite\n"
    release(server)
    assert server.path.read_text() == "held two\nsite\n"
    assert phases() == {"two": "held"}


def killed(point: str) -> Callable[[str], None]:
    def reach(passed: str) -> None:
        if passed == point:
            raise KeyboardInterrupt

    return reach


@pytest.mark.parametrize("point", ["noted", "installed", "reloaded"])
def test_killed(server: Server, monkeypatch: pytest.MonkeyPatch, point: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(_delivery, "reach", killed(point))
        with pytest.raises(KeyboardInterrupt):
            hold(server)
    assert phases() == {"one": "holding"}
    assert hold(server).held is True
    # Who handed the mail over before is not forgotten.
    assert _holds.noted("postfix")[0].agents == ("lmtp",)
    with monkeypatch.context() as patch:
        patch.setattr(_delivery, "reach", killed(point))
        with pytest.raises(KeyboardInterrupt):
            release(server)
    assert phases() == {"one": "releasing"}
    assert release(server).done
    assert (server.path.read_text(), server.read, phases()) == ("site\n", "site\n", {})


def owner(server: Server) -> tuple[object, object]:
    found = _delivery.look(server, wish())
    return found["by"], found["since"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each time that is asked for is a later one."""
    times = (f"at {number}" for number in range(1, 10))
    monkeypatch.setattr(_state, "timestamp", lambda: next(times))


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize(
    ("first", "then", "owned"),
    [
        ("administrator", "switchover", ("administrator", "at 1")),
        ("administrator", "administrator", ("administrator", "at 1")),
        ("switchover", "failover", ("switchover", "at 1")),
        ("switchover", "administrator", ("administrator", "at 2")),
    ],
)
def test_whose_hold_it_is(server: Server, first: str, then: str, owned: tuple[str, str]) -> None:
    assert owner(server) == (None, None)
    assert hold(server, by=first).by == first
    foreseen = hold(server, check=True, by=then)
    assert (foreseen.by, owner(server)[0]) == (first, first)
    done = hold(server, by=then)
    changes = ["take over the hold of switchover"] if owned[1] != "at 1" else []
    assert (done.by, done.done, foreseen.done) == (owned[0], changes, changes)
    assert _holds.noted("postfix")[0].agents == ("lmtp",)
    assert owner(server)[0] == owned[0]
    assert release(server).by is None
    assert owner(server) == (None, None)


@pytest.mark.usefixtures("clock")
def test_only_an_administrator_releases_what_another_holds(server: Server) -> None:
    hold(server)
    for check in (True, False):
        with pytest.raises(ReplicationError, match="held by administrator since at 1: release"):
            release(server, check=check, by="switchover")
    other = _holds.wish("one", "postfix", [], ["smtp"], "switchover")
    with pytest.raises(ReplicationError, match="held by administrator since at 1: release"):
        _delivery.hold(server, other, False, 1)
    assert (server.path.read_text(), phases()) == ("held one\nsite\n", {"one": "held"})
    release(server)
    hold(server, by="switchover")
    with pytest.raises(ReplicationError, match="held by switchover"):
        release(server, by="failover")
    assert release(server, by="switchover").done


@pytest.mark.usefixtures("clock")
@pytest.mark.parametrize("act", [hold, release])
def test_what_was_cut_off_has_an_owner(
    server: Server,
    monkeypatch: pytest.MonkeyPatch,
    act: Callable[..., _delivery.Outcome],
) -> None:
    if act is release:
        hold(server, by="switchover")
    with monkeypatch.context() as patch:
        patch.setattr(_delivery, "reach", killed("noted"))
        with pytest.raises(KeyboardInterrupt):
            act(server, by="switchover")
    assert owner(server) == ("switchover", "at 1")
    with pytest.raises(ReplicationError, match="held by switchover"):
        release(server, by="failover")
    assert hold(server, by="failover").by == "switchover"


def test_a_note_without_an_owner_is_an_administrator_s(server: Server) -> None:
    hold(server, by="switchover")
    note = Path(_holds.NOTES_DIR, "one.json")
    values = json.loads(note.read_text())
    assert values.pop("by") == "switchover"
    note.write_text(json.dumps(values))
    assert owner(server)[0] == "administrator"
    note.write_text(json.dumps({**values, "by": "nobody"}))
    with pytest.raises(ReplicationError, match="does not say who"):
        release(server)


def test_broken_files_are_put_back(server: Server) -> None:
    server.broken = True
    with pytest.raises(ReplicationError, match="nothing was changed: the files are broken"):
        hold(server)
    assert server.path.read_text() == "site\n"
    assert phases() == {}


def test_a_hold_without_effect_is_no_hold(server: Server) -> None:
    server.deaf = True
    with pytest.raises(ReplicationError, match="does not hold the mail of store one"):
        hold(server)
    assert phases() == {"one": "holding"}


def test_refusals(server: Server) -> None:
    with pytest.raises(ReplicationError, match="unknown"):
        _delivery.hold(server, _holds.wish("one", "postfix", [], ["unknown"]), False, 1)
    for names in (("a b", "x"), ("one", "a/b")):
        with pytest.raises(ReplicationError, match="is no name of a"):
            _holds.wish(names[0], "postfix", [], [names[1]])


def test_another_driver_and_a_damaged_note(server: Server) -> None:
    hold(server)
    with pytest.raises(ReplicationError, match="held in postfix on this host, not in exim"):
        _holds.noted("exim")
    Path(_holds.NOTES_DIR, "one.json").write_text("{")
    with pytest.raises(ReplicationError, match="can't be read"):
        hold(server)
    found = _delivery.look(server, wish())
    assert found["held"] is None
    assert "can't be read" in str(found["reason"])


def test_a_diff_tells_no_secret() -> None:
    change = Change("/etc/x", "", "maps = static:anna:secret\n")
    assert "secret" not in change.diff()["prepared"]
    assert "static:****" in change.diff()["prepared"]
