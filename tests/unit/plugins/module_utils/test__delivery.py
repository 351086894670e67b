# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Holds and releases, with a mail server that holds what its one file names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import _delivery
from ansible_collections.mailops.cyrus.plugins.module_utils._delivery import Change, Hold
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


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
    monkeypatch.setattr(_delivery, "NOTES_DIR", str(tmp_path / "mta"))
    return Server(tmp_path / "conf")


def wish(store: str = "one") -> Hold:
    return _delivery.wish(store, "postfix", [], ["lmtp"])


def hold(server: Server, store: str = "one", check: bool = False) -> _delivery.Outcome:
    return _delivery.hold(server, wish(store), check, 1)


def release(server: Server, store: str = "one", check: bool = False) -> _delivery.Outcome:
    return _delivery.release(server, wish(store), check, True, 1)


def phases() -> dict[str, str]:
    return {one.store: one.phase for one in _delivery.noted("postfix")}


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
    assert _delivery.noted("postfix")[0].agents == ("lmtp",)
    with monkeypatch.context() as patch:
        patch.setattr(_delivery, "reach", killed(point))
        with pytest.raises(KeyboardInterrupt):
            release(server)
    assert phases() == {"one": "releasing"}
    assert release(server).done
    assert (server.path.read_text(), server.read, phases()) == ("site\n", "site\n", {})


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
        _delivery.hold(server, _delivery.wish("one", "postfix", [], ["unknown"]), False, 1)
    for names in (("a b", "x"), ("one", "a/b")):
        with pytest.raises(ReplicationError, match="is no name of a"):
            _delivery.wish(names[0], "postfix", [], [names[1]])


def test_another_driver_and_a_damaged_note(server: Server) -> None:
    hold(server)
    with pytest.raises(ReplicationError, match="held in postfix on this host, not in exim"):
        _delivery.noted("exim")
    Path(_delivery.NOTES_DIR, "one.json").write_text("{")
    with pytest.raises(ReplicationError, match="can't be read"):
        hold(server)
    found = _delivery.look(server, wish())
    assert found["held"] is None
    assert "can't be read" in str(found["reason"])


def test_a_diff_tells_no_secret() -> None:
    change = Change("/etc/x", "", "maps = static:anna:secret\n")
    assert "secret" not in change.diff()["prepared"]
    assert "static:****" in change.diff()["prepared"]
