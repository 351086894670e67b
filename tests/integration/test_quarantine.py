# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An administrator among failing mailboxes: lists, holds, retries, releases, pauses and drains.

Needs a store that is set up with the lab's mail in it. TEST_LONG=1 tries every way to name what is
meant, and every wrong one.
"""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.lab import plant
from tests.lab.imap import Literal
from tests.lab.mail import the_store
from tests.lab.poison import DamagedIndex, Twin

from . import lab

MASTER, REPLICA = "imap1", "imap2"
CHANNEL = REPLICA
UNIT = f"cyrus-replicator@{CHANNEL}"
FOLDER = f"/var/lib/cyrus-replication/channels/{CHANNEL}"
DOUBT = "/var/lib/cyrus-replication/doubt.json"
RESET = "cyrus sync_reset -f"
START = f"start the channel (module channel, name={CHANNEL} state=started)"
USERS = ("anna", "ben", "carla", "eva")
MAX_UID = 2**32 - 1


@pytest.fixture(scope="module", autouse=True)
def as_found() -> Iterator[None]:
    """All of it leaves the mail that was there, and a store that is in sync."""
    first = {user: next_uid(user) for user in USERS}
    yield
    for user, uid in first.items():
        with the_store().imap(user) as session:
            session.run("SELECT INBOX")
            session.run(f"UID STORE {uid}:{MAX_UID} +FLAGS.SILENT (\\Deleted)")
            session.run(f"UID EXPUNGE {uid}:{MAX_UID}")
    lab.until(drains, 60, what="a channel that can be drained again")


@pytest.fixture(autouse=True)
def healthy() -> Iterator[None]:
    """Each test leaves a channel that runs and has nothing in quarantine."""
    yield
    if not at_ease():
        module("channel", name=CHANNEL, state="started")
        module("quarantine", state="released", all=True)
        lab.until(at_ease, 60, what="a healthy channel")


@pytest.fixture(scope="class")
def failing() -> Iterator[DamagedIndex]:
    """One for all tests of a class, the last of which mends it."""
    bad = DamagedIndex("ben", MASTER, REPLICA)
    bad.plant()
    lab.until(lambda: held() == [bad.mailbox], 30, what="a quarantine")
    yield bad
    if held():
        bad.mend()


def module(called: str, /, check: bool = False, **options: Any) -> dict[str, Any]:
    """What a module returns on the master."""
    return lab.module(MASTER, called, check, **options)


def quarantine(*args: str, **extra: Any) -> lab.Run:
    """The playbook, with its variables without their prefix."""
    variables = {f"cyrus_quarantine_{key}": value for key, value in extra.items()}
    return lab.playbook("quarantine", *args, extra=variables)


def channel() -> dict[str, Any]:
    """What channel_info says of the channel."""
    (found,) = (c for c in module("channel_info")["channels"] if c["name"] == CHANNEL)
    return dict(found)


def kept(name: str) -> dict[str, Any]:
    """A file of the channel, which is quicker to read than by a module; empty without one."""
    path = f"{FOLDER}/{name}.json"
    text = lab.ssh(MASTER, f"[ ! -e {path} ] || cat {path}").stdout
    found: dict[str, Any] = json.loads(text or "{}")
    return found


def state() -> str:
    return str(kept("state")["state"])


def held() -> list[str]:
    return [entry["name"] for entry in kept("quarantine").get("entries", [])]


def at_ease() -> bool:
    return state() == "running" and not held()


def drains(timeout: float = 10) -> bool:
    return not module("channel", name=CHANNEL, state="drained", timeout=timeout).get("failed")


def next_uid(user: str) -> int:
    with the_store().imap(user) as session:
        answer = b" ".join(session.run("STATUS INBOX (UIDNEXT)"))
    return int(answer.partition(b"UIDNEXT ")[2].split(b")")[0])


def append(user: str) -> str:
    """Put a message into an inbox; returns a word by which it is found."""
    word = uuid.uuid4().hex
    with the_store().imap(user) as session:
        session.run("APPEND INBOX", Literal(f"Subject: {word}\r\n\r\nbody\r\n".encode()))
    return word


def arrived(word: str) -> bool:
    return lab.ssh(REPLICA, f"grep -rqs {word} /var/spool/cyrus", check=False).returncode == 0


def arrives(word: str, seconds: float = 20) -> None:
    lab.until(lambda: arrived(word), seconds, what=f"{word} on {REPLICA}")


def test_nothing_is_wrong() -> None:
    lab.until(lambda: kept("state")["heartbeat"]["seen"], 30, what="a first heartbeat")
    word = append("anna")
    drained = module("channel", name=CHANNEL, state="drained")
    assert not drained.get("failed"), drained
    assert (drained["changed"], drained["left"]) == (False, [])
    assert drained["report"]["in_sync"] is True
    assert arrived(word)

    found = channel()
    assert (found["state"], found["replicator"]["state"]) == ("active", "running")
    assert found["lag"] < 60
    assert (found["quarantine"], found["doubt"], found["reason"]) == ([], None, None)
    assert found["backlog"]["held"] == 0
    run = quarantine(channel=CHANNEL)
    assert run.rc == 0, run.output
    assert f"nothing is in quarantine of channel {CHANNEL}" in run.output
    assert run.changed() == 0


# One mailbox fails


class TestFailingMailbox:
    """What is shown of one, and what can and cannot be done while it fails and afterwards."""

    @pytest.fixture(autouse=True)
    def healthy(self) -> None:
        """Not before the last of these."""

    @pytest.fixture
    def name(self, failing: DamagedIndex) -> str:
        return str(failing.mailbox)

    def test_it_is_shown_and_explained(self, name: str, tmp_path: Path) -> None:
        append("ben")
        run = quarantine()
        assert run.rc == 0, run.output
        assert f"mailbox {name} on {CHANNEL}: {REPLICA} can't open {name}" in run.output
        assert f"{RESET} ben" in run.output

        path = tmp_path / "status.json"
        run = lab.playbook("status", extra={"cyrus_status_report": str(path)})
        assert run.rc == 0, run.output
        assert f"! quarantine {CHANNEL}: mailbox {name}" in run.output
        (store,) = json.loads(path.read_text())
        (host,) = (host for host in store["hosts"] if host["host"] == MASTER)
        (entry,) = host["quarantine"]
        assert (entry["channel"], entry["user"], entry["mailbox"]) == (CHANNEL, "ben", name)
        assert entry["held"] >= 1
        assert "events" not in entry
        (told,) = (c for c in host["channels"] if c["name"] == CHANNEL)
        assert told["backlog"]["held"] >= 1

    def test_everybody_else_goes_on(self, name: str) -> None:
        arrives(append("carla"))
        assert held() == [name]

    def test_the_channel_is_not_drained(self, name: str) -> None:
        found = module("channel", name=CHANNEL, state="drained", timeout=3)
        assert found["failed"]
        assert any(left.startswith(f"{name} is in quarantine") for left in found["left"])
        assert name in found["msg"]
        assert found["report"] is None

    def test_it_is_tried_and_stays(self, name: str) -> None:
        foreseen = module("quarantine", check=True, state="released", mailbox=name)
        assert foreseen["changed"]
        assert foreseen["diff"]["before"] != foreseen["diff"]["after"]

        tried = module("quarantine", state="retried", mailbox=name)
        assert not tried.get("failed"), tried
        assert (tried["changed"], tried["released"]) == (False, False)

        refused = module("quarantine", state="released", mailbox=name)
        (result,) = refused["results"]
        assert refused["failed"]
        assert result["released"] is False
        assert "damaged" in result["reason"]
        assert f"{RESET} ben" in result["advice"]
        assert result["reason"] in refused["msg"]
        assert held() == [name]

    def test_the_playbook_says_so_once(self, name: str) -> None:
        run = quarantine(state="released", mailbox=name)
        assert run.rc != 0
        assert f"{name} on {CHANNEL} is still held" in run.output
        assert f"{RESET} ben" in run.output
        assert run.output.count("fatal:") == 1

    def test_it_is_released_once_mended(self, failing: DamagedIndex) -> None:
        word = append("ben")
        failing.mend()
        release_in_four_runs(mailbox=failing.mailbox)
        arrives(word)


def release_in_four_runs(**meant: Any) -> None:
    for options in (["--check", "--diff"], []):
        run = quarantine(*options, state="released", **meant)
        assert run.rc == 0, run.output
    assert "nothing is in quarantine" in run.output
    for options in (["--check"], []):
        again = quarantine(*options, state="released", **meant)
        assert (again.rc, again.changed()) == (0, 0), again.output


@lab.only_long
@pytest.mark.parametrize("meant", [{"user": "ben"}, {"all": True}])
def test_release_of_what_is_mended(meant: dict[str, Any], failing: DamagedIndex) -> None:
    word = append("ben")
    failing.mend()
    release_in_four_runs(**meant)
    arrives(word)


@lab.only_long
def test_other_mailbox_of_that_name() -> None:
    bad = Twin("dieter", MASTER, REPLICA)
    bad.plant()
    try:
        lab.until(lambda: held() == [bad.mailbox], 30, what="a quarantine")
        refused = module("quarantine", state="released", user="dieter")
        assert "another mailbox" in refused["msg"]
        bad.mend()
        assert not module("quarantine", state="released", user="dieter").get("failed")
        assert held() == []
    finally:
        with the_store().imap("dieter") as session:
            session.run(f'DELETE "{bad.folder}"')


# Holding back


@pytest.mark.parametrize(
    ("meant", "name"),
    [
        ({"user": "carla"}, "carla"),
        pytest.param({"mailbox": "user.carla"}, "user.carla", marks=lab.only_long),
    ],
)
def test_held_back_until_released(meant: dict[str, Any], name: str) -> None:
    options: dict[str, Any] = {"state": "present", "reason": "under examination", **meant}
    foreseen = module("quarantine", check=True, **options)
    assert foreseen["changed"]
    assert held() == []
    done = module("quarantine", **options)
    assert done["changed"]
    assert done["diff"] == foreseen["diff"]
    assert held() == [name]
    for check in (True, False):
        assert not module("quarantine", check=check, **options)["changed"]

    word, other = append("carla"), append("eva")
    arrives(other)
    lab.ssh(MASTER, f"systemctl restart {UNIT}")
    arrives(append("eva"))
    assert not arrived(word)
    tried = module("quarantine", state="retried", **meant)
    assert not tried["changed"]
    assert "held by an administrator" in tried["note"]
    assert held() == [name]

    run = quarantine(state="released", **meant)
    assert run.rc == 0, run.output
    assert held() == []
    arrives(word)


def test_name_that_is_not_in_quarantine() -> None:
    run = quarantine(state="released", mailbox="user.nobody")
    assert (run.rc, run.changed()) == (0, 0), run.output
    assert "user.nobody is not in quarantine" in run.output


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"state": "released"}, "cyrus_quarantine_mailbox"),
        ({"state": "present", "mailbox": "user.nobody"}, "no mailbox user.nobody"),
        ({"state": "released", "all": True, "channel": "imap9"}, "no host has a channel imap9"),
        *(
            pytest.param(given, named, marks=lab.only_long)
            for given, named in (
                ({"state": "released", "mailbox": "user.anna", "user": "anna"}, "_user"),
                ({"mailbox": "user.anna"}, "cyrus_quarantine_state"),
                ({"state": "present", "all": True}, "cyrus_quarantine_all"),
                ({"state": "gone", "all": True}, "cyrus_quarantine_state"),
                ({"channel": "imap9"}, "cyrus_quarantine_channel"),
            )
        ),
    ],
)
def test_what_is_refused(given: dict[str, Any], named: str) -> None:
    run = quarantine(**given)
    assert run.rc != 0
    assert named in run.output
    assert "nothing is in quarantine" not in run.output


# The channel


@pytest.mark.parametrize("wanted", ["paused", pytest.param("stopped", marks=lab.only_long)])
def test_four_runs(wanted: str) -> None:
    assert module("channel", check=True, name=CHANNEL, state=wanted)["changed"]
    assert state() == "running"
    done = module("channel", name=CHANNEL, state=wanted)
    assert done["changed"]
    assert done["diff"]["before"] != done["diff"]["after"]
    for check in (True, False):
        again = module("channel", check=check, name=CHANNEL, state=wanted)
        assert not again["changed"], again
    assert again["channel"]["replicator"]["state"] == wanted
    word = append("anna")
    refused = module("channel", name=CHANNEL, state="drained", timeout=3)
    assert refused["failed"]
    assert START in refused["msg"]
    assert not arrived(word)
    if wanted == "stopped":
        assert refused["channel"]["lag"] is None
        assert "lag is not known" in refused["channel"]["reason"]
        deaf = module("quarantine", channel=CHANNEL, state="present", user="eva")
        assert deaf["failed"]
        assert START in deaf["msg"]
    else:
        survives_restarts(word)
    assert module("channel", check=True, name=CHANNEL)["changed"]
    assert module("channel", name=CHANNEL)["changed"]
    assert not module("channel", name=CHANNEL)["changed"]
    arrives(word)


def survives_restarts(word: str) -> None:
    """A pause lasts over restarts and a reboot, and nothing of it goes to the replica."""
    lab.ssh(MASTER, f"systemctl restart {UNIT}")
    lab.ssh(MASTER, "systemctl restart cyrus-imapd")
    lab.lab("reboot", MASTER)
    lab.until(lambda: state() == "paused", 60, what="a paused channel")
    append("anna")
    time.sleep(3)
    assert not arrived(word)


def test_replica_that_is_away() -> None:
    lab.lab("link", REPLICA, "down")
    try:
        append("anna")
        lab.until(lambda: state() == "away", 60, what="a replica that is away")
        refused = module("channel", name=CHANNEL, state="drained", timeout=3)
        assert refused["failed"]
        assert refused["left"]
        # The heartbeat that is on its way tells for how long.
        lab.until(lambda: (channel()["lag"] or 0) > 5, 20, what="a lag that grows")
        assert held() == []
    finally:
        lab.lab("link", REPLICA, "up")
    lab.until(lambda: state() == "running", 30, what="a running channel")


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"name": "imap9"}, "no channel imap9"),
        ({"name": CHANNEL, "timeout": 0}, "timeout has to be"),
    ],
)
def test_channel_that_cannot_be_steered(options: dict[str, Any], named: str) -> None:
    found = module("channel", **options)
    assert found["failed"]
    assert named in found["msg"]


def test_doubt_ends_with_a_full_comparison() -> None:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    note = json.dumps({"since": now, "reason": "the tests say so"})
    lab.ssh(MASTER, f"cat > {DOUBT}", data=note)
    try:
        found = channel()
        assert found["doubt"] == {"since": now, "reason": "the tests say so"}
        assert found["parity"] is None or found["parity"]["in_sync"] is None
        run = lab.playbook("status")
        assert f"parity is in doubt since {now}: the tests say so" in run.output
        assert lab.playbook("parity").rc == 0
        found = channel()
        assert (found["doubt"], found["parity"]["in_sync"]) == (None, True)
    finally:
        lab.ssh(MASTER, f"rm -f {DOUBT}")


def has(user: str, uid: int) -> bool:
    with the_store().imap(user) as session:
        # To select it would change what is recent, and so have it replicated.
        session.run("EXAMINE INBOX")
        return any(line.startswith(b"* SEARCH ") for line in session.run(f"UID SEARCH UID {uid}"))


def lost_on_the_replica(user: str) -> int:
    """A message of an inbox; its UID."""
    arrives(append(user))
    uid = next_uid(user) - 1
    plant.expunge(REPLICA, user, "INBOX", uid)
    assert lab.playbook("parity").rc != 0
    assert has(user, uid)
    return uid


@lab.only_long
def test_a_replica_s_difference_is_put_right() -> None:
    """As docs/operations.md says; sent again as it is, the difference would go to the master."""
    uid = lost_on_the_replica("eva")
    assert quarantine(state="present", user="eva").rc == 0
    assert quarantine(state="released", user="eva").rc == 0
    lab.until(lambda: not has("eva", uid), 60, what="plain replication loses it on the master")

    uid = lost_on_the_replica("anna")
    assert quarantine(state="present", user="anna").rc == 0
    kept = lab.module(REPLICA, "archive", user="anna")
    assert kept["count"] > 0, kept
    lab.ssh(REPLICA, f"{RESET} anna")
    assert quarantine(state="released", user="anna").rc == 0
    assert lab.playbook("parity").rc == 0
    assert has("anna", uid)
