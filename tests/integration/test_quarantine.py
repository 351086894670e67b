# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An administrator among failing mailboxes: lists, holds, retries, releases, pauses and drains.

Needs a store that is set up with the lab's mail in it.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab.imap import Literal
from tests.lab.mail import the_store
from tests.lab.poison import DamagedIndex, Twin

from . import lab

MASTER, REPLICA = "imap1", "imap2"
CHANNEL = REPLICA
UNIT = f"cyrus-replicator@{CHANNEL}"
DOUBT = "/var/lib/cyrus-replication/doubt.json"
RESET = "cyrus sync_reset -f"


@pytest.fixture(autouse=True)
def healthy() -> Iterator[None]:
    """Each test begins and ends with a channel that runs and has nothing in quarantine."""
    yield
    module("channel", name=CHANNEL, state="started")
    module("quarantine", state="released", all=True)
    lab.until(drains, 60, what="a channel that can be drained again")


def module(called: str, /, check: bool = False, **options: Any) -> dict[str, Any]:
    """What a module returns on the master."""
    command = [str(lab.BIN / "ansible"), "-i", str(lab.INVENTORY), MASTER, "--become", "--diff"]
    command += ["-m", f"mailops.cyrus.{called}"]
    command += ["-a", json.dumps(options)] if options else []
    command += ["--check"] if check else []
    done = subprocess.run(
        command,
        check=False,
        cwd=lab.ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(lab.ROOT / "ansible.cfg"),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        },
    )
    plays = json.loads(done.stdout)["plays"]
    found: dict[str, Any] = plays[0]["tasks"][0]["hosts"][MASTER]
    return found


def quarantine(*args: str, **extra: Any) -> lab.Run:
    """The playbook, with its variables without their prefix."""
    variables = {f"cyrus_quarantine_{key}": value for key, value in extra.items()}
    return lab.playbook("quarantine", *args, extra=variables)


def channel() -> dict[str, Any]:
    """What channel_info says of the channel."""
    (found,) = (c for c in module("channel_info")["channels"] if c["name"] == CHANNEL)
    return dict(found)


def held() -> list[str]:
    found = module("quarantine_info", channel=CHANNEL)
    assert not found.get("failed"), found
    return [entry["name"] for entry in found["quarantine"]]


def drains(timeout: float = 10) -> bool:
    return not module("channel", name=CHANNEL, state="drained", timeout=timeout).get("failed")


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


@contextmanager
def damaged(user: str) -> Iterator[str]:
    """A mailbox that fails; its internal name. Mended in the end."""
    bad = DamagedIndex(user, MASTER, REPLICA)
    bad.plant()
    try:
        lab.until(lambda: str(bad.mailbox) in held(), 30, what="a quarantine")
        yield str(bad.mailbox)
    finally:
        bad.mend()


# Nothing is wrong


def test_nothing_is_in_quarantine() -> None:
    run = quarantine()
    assert run.rc == 0, run.output
    assert "nothing is in quarantine" in run.output
    assert run.changed() == 0


def test_channel_of_a_healthy_store() -> None:
    lab.until(lambda: channel()["lag"] is not None, 30, what="a first heartbeat")
    found = channel()
    assert found["replicator"]["state"] == "running"
    assert found["state"] == "active"
    assert found["lag"] < 60
    assert (found["quarantine"], found["doubt"], found["reason"]) == ([], None, None)
    assert found["backlog"]["held"] == 0


def test_drained_is_proven() -> None:
    word = append("anna")
    found = module("channel", name=CHANNEL, state="drained")
    assert not found.get("failed"), found
    assert found["left"] == []
    assert found["report"]["in_sync"] is True
    assert found["changed"] is False
    assert arrived(word)


# One mailbox fails


def test_failing_mailbox_is_shown_and_explained(tmp_path: Path) -> None:
    with damaged("ben") as name:
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
        assert channel()["backlog"]["held"] >= 1
        # Everybody else goes on.
        arrives(append("carla"))


def test_failing_mailbox_keeps_a_channel_from_being_drained() -> None:
    with damaged("ben") as name:
        found = module("channel", name=CHANNEL, state="drained", timeout=3)
    assert found["failed"]
    assert any(left.startswith(f"{name} is in quarantine") for left in found["left"])
    assert name in found["msg"]
    assert found["report"] is None


def test_retry_and_release_of_what_still_fails() -> None:
    with damaged("ben") as name:
        foreseen = module("quarantine", check=True, state="released", mailbox=name)
        assert foreseen["changed"]
        assert held() == [name]

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

        run = quarantine(state="released", mailbox=name)
        assert run.rc != 0
        assert f"{name} on {CHANNEL} is still held" in run.output
        assert f"{RESET} ben" in run.output


@pytest.mark.parametrize("by", ["mailbox", "user", "all"])
def test_release_of_what_is_mended(by: str) -> None:
    word = append("ben")
    with damaged("ben") as name:
        pass
    meant = {"mailbox": name, "user": "ben", "all": True}[by]
    run = quarantine("--check", state="released", **{by: meant})
    assert run.rc == 0, run.output
    run = quarantine(state="released", **{by: meant})
    assert run.rc == 0, run.output
    assert "nothing is in quarantine" in run.output
    again = quarantine(state="released", **{by: meant})
    assert (again.rc, again.changed()) == (0, 0)
    arrives(word)
    assert drains()


def test_other_mailbox_of_that_name() -> None:
    bad = Twin("dieter", MASTER, REPLICA)
    bad.plant()
    lab.until(lambda: held() == [bad.mailbox], 30, what="a quarantine")
    refused = module("quarantine", state="released", user="dieter")
    assert "another mailbox" in refused["msg"]
    bad.mend()
    assert not module("quarantine", state="released", user="dieter").get("failed")
    assert held() == []


# Holding back


@pytest.mark.parametrize(
    ("meant", "name"), [({"mailbox": "user.carla"}, "user.carla"), ({"user": "carla"}, "carla")]
)
def test_held_back_until_released(meant: dict[str, Any], name: str) -> None:
    options: dict[str, Any] = {"state": "present", "reason": "under examination", **meant}
    assert module("quarantine", check=True, **options)["changed"]
    assert held() == []
    done = module("quarantine", **options)
    assert done["changed"]
    assert f"{CHANNEL}: " in next(iter(done["diff"]["after"]))
    assert held() == [name]
    for check in (True, False):
        assert not module("quarantine", check=check, **options)["changed"]

    word, other = append("carla"), append("eva")
    arrives(other)
    lab.ssh(MASTER, f"systemctl restart {UNIT}")
    time.sleep(5)
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
    found = module("quarantine", state="released", mailbox="user.nobody")
    assert not found.get("failed")
    assert not found["changed"]
    assert found["note"] == "user.nobody is not in quarantine"
    run = quarantine(state="released", mailbox="user.nobody")
    assert run.rc == 0
    assert "user.nobody is not in quarantine" in run.output


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({"state": "released"}, "cyrus_quarantine_mailbox"),
        ({"state": "released", "mailbox": "user.anna", "user": "anna"}, "cyrus_quarantine_user"),
        ({"mailbox": "user.anna"}, "cyrus_quarantine_state"),
        ({"state": "present", "all": True}, "cyrus_quarantine_all"),
        ({"state": "present", "mailbox": "user.nobody"}, "no mailbox user.nobody"),
        ({"state": "gone", "all": True}, "cyrus_quarantine_state"),
        ({"channel": "imap9"}, "cyrus_quarantine_channel"),
        ({"state": "released", "all": True, "channel": "imap9"}, "imap9"),
    ],
)
def test_what_is_refused(given: dict[str, Any], named: str) -> None:
    run = quarantine(**given)
    assert run.rc != 0
    assert named in run.output


def test_replicator_that_does_not_run_is_named() -> None:
    module("channel", name=CHANNEL, state="stopped")
    found = module("quarantine", state="present", user="eva")
    assert found["failed"]
    assert f"systemctl start {UNIT}" in found["msg"]


# The channel


@pytest.mark.parametrize("state", ["paused", "stopped"])
def test_four_runs(state: str) -> None:
    assert module("channel", check=True, name=CHANNEL, state=state)["changed"]
    assert channel()["replicator"]["state"] == "running"
    done = module("channel", name=CHANNEL, state=state)
    assert done["changed"]
    assert done["diff"]["before"] != done["diff"]["after"]
    for check in (True, False):
        again = module("channel", check=check, name=CHANNEL, state=state)
        assert not again["changed"], again
    assert channel()["replicator"]["state"] == state
    word = append("anna")
    refused = module("channel", name=CHANNEL, state="drained", timeout=3)
    assert refused["failed"]
    assert refused["left"]
    assert not arrived(word)
    assert module("channel", check=True, name=CHANNEL)["changed"]
    assert module("channel", name=CHANNEL)["changed"]
    assert not module("channel", name=CHANNEL)["changed"]
    arrives(word)


def test_lag_of_a_stopped_channel_is_not_known() -> None:
    module("channel", name=CHANNEL, state="stopped")
    found = channel()
    assert found["lag"] is None
    assert "lag is not known" in found["reason"]


def test_pause_survives_restarts_and_a_reboot() -> None:
    module("channel", name=CHANNEL, state="paused")
    word = append("anna")
    lab.ssh(MASTER, f"systemctl restart {UNIT}")
    lab.ssh(MASTER, "systemctl restart cyrus-imapd")
    lab.lab("reboot", MASTER)
    lab.until(lambda: channel()["replicator"]["state"] == "paused", 60, what="a paused channel")
    append("anna")
    time.sleep(3)
    assert not arrived(word)
    module("channel", name=CHANNEL, state="started")
    arrives(word)


def test_replica_that_is_away() -> None:
    lab.lab("link", REPLICA, "down")
    try:
        append("anna")
        lab.until(
            lambda: channel()["replicator"]["state"] == "away", 60, what="a replica that is away"
        )
        refused = module("channel", name=CHANNEL, state="drained", timeout=3)
        assert refused["failed"]
        assert refused["left"]
        time.sleep(12)
        # The heartbeat that is on its way tells for how long.
        assert channel()["lag"] > 5
        assert held() == []
    finally:
        lab.lab("link", REPLICA, "up")
    lab.until(lambda: channel()["replicator"]["state"] == "running", 30, what="a running channel")


def test_channel_that_the_host_has_not() -> None:
    found = module("channel", name="imap9")
    assert found["failed"]
    assert "no channel imap9" in found["msg"]


def test_doubt_ends_with_a_full_comparison(tmp_path: Path) -> None:
    assert lab.playbook("parity").rc == 0
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    note = json.dumps({"since": now, "reason": "the tests say so"})
    lab.ssh(MASTER, f"cat > {DOUBT}", data=note)
    try:
        found = channel()
        assert found["doubt"] == {"since": now, "reason": "the tests say so"}
        assert found["parity"]["in_sync"] is None
        run = lab.playbook("status")
        assert f"parity is in doubt since {now}: the tests say so" in run.output
        time.sleep(1)
        assert lab.playbook("parity").rc == 0
        found = channel()
        assert (found["doubt"], found["parity"]["in_sync"]) == (None, True)
    finally:
        lab.ssh(MASTER, f"rm -f {DOUBT}")
