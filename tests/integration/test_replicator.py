# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The replicator among 200 users who receive mail: what fails stops nobody else, nothing is lost.

Each cause of failure is planted while mail comes in, plain Cyrus is seen to fail with it, and it is
mended; its release, by itself, may come while the next one is tested. TEST_LONG=1 makes the cuts
longer, stops at more points, and reads every message in each comparison.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import json
import shlex
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.lab import poison
from tests.lab.imap import Literal
from tests.lab.load import Load
from tests.lab.mail import generate, the_store
from tests.lab.poison import Poison

from . import lab, plain
from .arrivals import Arrivals, inboxes

MASTER, REPLICA, OTHER = "imap1", "imap2", "imap3"
CHANNEL = REPLICA
UNIT = f"cyrus-replicator@{CHANNEL}"
STATE = f"/var/lib/cyrus-replication/channels/{CHANNEL}"

USERS = [f"u{number:05}" for number in range(1, 201)]
# Nobody writes to them but the tests, so that plain Cyrus fails with one of them at a time.
VICTIMS = [f"u{number:05}" for number in range(201, 221)]
CUT = 60 if lab.LONG else 5
# Others' mail has to be there within so many seconds of a machine of its own, whatever fails.
DELAY = 5.0
# How long the arrival of mail is watched, which takes a second as a rule.
WATCH = 3.0
# A release waits for the next try, of which there is one a minute at least.
RELEASE = 75.0
SINGLE: list[Poison] = [
    kind(user, MASTER, REPLICA) for kind, user in zip(poison.SINGLE, VICTIMS, strict=False)
]
FULL = [
    poison.FullDisk(VICTIMS[9], MASTER, REPLICA),
    pytest.param(poison.NoRoomAtAll(VICTIMS[9], MASTER, REPLICA), marks=lab.only_long),
]


@pytest.fixture(scope="module", autouse=True)
def users() -> None:
    """Many users, all replicated."""
    generate(the_store(), len(USERS) + len(VICTIMS), seed=3, folders=2, count=3)
    lab.until(equal, 60, what="a replica with all users")


@pytest.fixture(scope="module")
def prepared() -> Iterator[None]:
    for bad in SINGLE:
        bad.prepare()
    yield
    for bad in SINGLE:
        bad.clear()


def state() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(lab.ssh(MASTER, f"cat {STATE}/state.json").stdout)
    return found


def quarantine() -> dict[tuple[str, str], dict[str, Any]]:
    """The entries by scope and name."""
    text = lab.ssh(MASTER, f"cat {STATE}/quarantine.json 2>/dev/null", check=False).stdout
    entries = json.loads(text)["entries"] if text else []
    return {(entry["scope"], entry["name"]): entry for entry in entries}


def equal(users: Sequence[str] = USERS) -> bool:
    """Whether the users' inboxes are the same on both sides."""
    return inboxes(MASTER, users) == inboxes(REPLICA, users)


def logs() -> list[str]:
    return lab.ssh(MASTER, f"ls /var/lib/cyrus/sync/{CHANNEL}").stdout.split()


def settled() -> bool:
    """Whether nothing is on its way, and all users' inboxes are equal."""
    return not logs() and equal(USERS + VICTIMS)


def append(user: str, subject: str, folder: str = "INBOX") -> None:
    with the_store().imap(user) as session:
        session.run("APPEND", folder, Literal(f"Subject: {subject}\r\n\r\n".encode()))


def parity(tmp_path: Path) -> dict[str, Any]:
    """The report of the replica, from a run that is allowed to find differences."""
    path = tmp_path / "parity.json"
    run = lab.playbook(
        "parity",
        extra={
            "cyrus_parity_report": str(path),
            "cyrus_parity_level": "messages",
            "cyrus_parity_fail": False,
            "cyrus_parity_settle": 5,
        },
    )
    assert path.exists(), run.output
    found: dict[str, Any]
    (found,) = (d for d in json.loads(path.read_text()) if d["replica"] == REPLICA)
    return found


def assert_all_equal(tmp_path: Path, seconds: float = 15, always: bool = False) -> None:
    """By itself, in so many seconds; the last test reads every message for all of them."""
    begun = time.monotonic()
    lab.until(settled, seconds, 0.2, "what was accepted, on the replica")
    print(f"equal after {time.monotonic() - begun:.1f} s")
    assert quarantine() == {}
    assert state()["state"] == "running"
    if lab.LONG or always:
        found = parity(tmp_path)
        assert found["in_sync"] is True, found


@contextmanager
def mail_coming_in(rate: float = 20) -> Iterator[tuple[Load, Arrivals]]:
    """Everybody receives mail, and its arrival on the replica is watched."""
    lab.until(equal, 30, what="a replica in sync")
    with Arrivals(REPLICA, USERS) as arrivals, Load(USERS, rate) as load:
        time.sleep(2)
        yield load, arrivals
    # Over and out: nobody is left behind.
    lab.until(equal, 15, what="what was accepted, on the replica")


def cpu_share(seconds: float = 20 if lab.LONG else 10) -> float:
    """How much of one core the service takes, its programs included."""
    path = f"/sys/fs/cgroup/$(systemctl show -p ControlGroup --value {UNIT})/cpu.stat"
    used = [0, 0]
    begun = time.monotonic()
    for turn in range(2):
        used[turn] = int(lab.ssh(MASTER, f"head -1 {path}").stdout.split()[1])
        time.sleep((1 - turn) * seconds)
    share = (used[1] - used[0]) / 1e6 / (time.monotonic() - begun)
    print(f"CPU {share:.2%}")
    return share


def plain_cyrus_fails(meet: Callable[[], None]) -> None:
    """Others' mail does not come through, and the same log is read again and again."""
    lab.until(lambda: not logs(), 30, what="an empty log")
    with plain.replication(CHANNEL, MASTER) as client:
        meet()
        lab.until(lambda: client.loops() >= 1, 15, what="plain Cyrus at its log for another time")
        append(USERS[-1], "behind the failing one")
        time.sleep(WATCH)
        assert not equal()
        assert client.loops() >= 2
        assert "log-run" in logs()
    # What it has left in its logs is worked off.


@pytest.mark.parametrize("full", FULL, ids=lambda full: full.name)
def test_full_disk_is_nobodys_fault(full: Poison, tmp_path: Path) -> None:
    full.prepare()
    try:
        plain_cyrus_fails(full.plant)
        with Load(USERS, 20):
            lab.until(lambda: state()["state"] == "stalled", 30, what="a replicator that waits")
            reason = state()["reason"]
            used = cpu_share()
            assert state()["state"] == "stalled"
            assert quarantine() == {}
            full.mend()
        assert any(word in reason for word in ("room", "space", "store")), reason
        assert used < 0.02
        assert_all_equal(tmp_path)
    finally:
        full.clear()


@pytest.mark.usefixtures("prepared")
@pytest.mark.parametrize("bad", SINGLE if lab.LONG else SINGLE[:3], ids=lambda bad: bad.name)
def test_one_mailbox_fails_and_the_others_go_on(bad: Poison, tmp_path: Path) -> None:
    try:
        with mail_coming_in() as (load, arrivals):
            bad.plant()
            lab.until(lambda: ("mailbox", bad.mailbox) in quarantine(), 10, what="a quarantine")
            time.sleep(WATCH)
        assert_others_in_time(bad, load, arrivals)
        assert_named(bad)

        plain_cyrus_fails(bad.stir)
        lab.until(equal, 10, what="the mail behind the failing one")
        assert ("mailbox", bad.mailbox) in quarantine()

        if lab.LONG or bad is SINGLE[0]:
            assert_only_it_differs(bad, tmp_path)
            assert cpu_share() < 0.02
    finally:
        bad.mend()


def assert_others_in_time(bad: Poison, load: Load, arrivals: Arrivals) -> None:
    delays = arrivals.delays(load.accepted)
    print(f"{bad.name}: median {statistics.median(delays):.2f} s, longest {max(delays):.2f} s")
    assert max(delays) <= DELAY * lab.patience()
    assert load.refused == 0
    assert state()["state"] == "running"


def assert_named(bad: Poison) -> None:
    entry = quarantine()["mailbox", str(bad.mailbox)]
    print(f"{entry['reason']}: {entry['advice']}")
    assert entry["user"] == bad.user
    assert entry["mailbox"] == bad.mailbox
    assert entry["by"] == "replicator"
    assert entry["reason"]
    assert entry["advice"]
    assert bad.tells in f"{entry['reason']}: {entry['advice']}"


def assert_only_it_differs(bad: Poison, tmp_path: Path) -> None:
    """It, and those that are mended and not yet tried again."""
    held = {entry["user"] for entry in quarantine().values()}
    found = parity(tmp_path)
    users = {difference["user"] for difference in found["differences"] + found["lagging"]}
    assert bad.user in users
    assert users <= held, found


@pytest.mark.usefixtures("prepared")
def test_mended_ones_are_released_by_themselves(tmp_path: Path) -> None:
    victims = [bad.user for bad in SINGLE]
    before = inboxes(MASTER, victims)
    lab.until(lambda: quarantine() == {}, RELEASE, what="a release of all")
    assert_all_equal(tmp_path)
    for name, fields in inboxes(MASTER, victims).items():
        assert fields["UIDVALIDITY"] == before[name]["UIDVALIDITY"]


# Runs on the master: an order to the replicator, which may be killed by it.
_ORDER = """
import json, socket, sys
with socket.socket(socket.AF_UNIX) as control:
    control.settimeout(10)
    control.connect(sys.argv[1])
    order = {"do": "retry", "scope": "mailbox", "name": sys.argv[2]}
    control.sendall(json.dumps(order).encode() + b"\\n")
    control.recv(65536)
"""


def order_retry(bad: Poison) -> None:
    words = ["python3", "-c", _ORDER, f"/run/cyrus-replication/{CHANNEL}/control", str(bad.mailbox)]
    lab.ssh(MASTER, shlex.join(words), check=False)


class Stops:
    """Lets the replicator end itself at a point: by a file, which a drop-in of its unit reads."""

    _DROP_IN = f"/run/systemd/system/{UNIT}.service.d"
    _FILE = "/run/stop-at"

    def __enter__(self) -> Stops:
        text = f"[Service]\nEnvironmentFile=-{self._FILE}\nRestartSec=300ms\n"
        lab.ssh(MASTER, f"mkdir -p {self._DROP_IN}; cat > {self._DROP_IN}/stop.conf", data=text)
        lab.ssh(MASTER, "systemctl daemon-reload")
        return self

    def __exit__(self, *_: object) -> None:
        lab.ssh(
            MASTER,
            f"rm -rf {self._DROP_IN} {self._FILE}; systemctl daemon-reload;"
            f" systemctl restart {UNIT}",
        )

    def at(self, point: str, then: Callable[[], None] | None) -> bool:
        """Go on, do something, and end at the point; whether it has."""
        line = f"CYRUS_REPLICATION_STOP_AT={point}"
        # It may end before it is ready, which systemctl takes for a failure.
        lab.ssh(MASTER, f"echo {line} > {self._FILE}; systemctl restart {UNIT}", check=False)
        if then is not None:
            then()
        try:
            lab.until(self._killed, 15 if point.startswith("beaten") else 8, 0.2)
        except AssertionError:
            return False
        return True

    def _killed(self) -> bool:
        told = lab.ssh(MASTER, f"systemctl show -p NRestarts --value {UNIT}")
        return int(told.stdout) > 0


def points() -> list[str]:
    """Where it can be stopped, in an order in which each can be reached: first what happens to mail
    that goes through, then to some that fails, to what is in quarantine, and to what leaves it."""
    path = lab.ROOT / "plugins/module_utils/_points.py"
    spec = importlib.util.spec_from_file_location("points", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    known = module.REPLICATOR
    late = ("unproven", "halved", "split", "blamed", "held", "kept", "retried", "released")
    assert set(late) <= set(known)
    often = range(1, 4 if lab.LONG else 2)
    early = [f"{point}:{turn}" for point in known if point not in late for turn in often]
    return early + [f"{point}:{turn}" for point in late for turn in often[:2]]


def test_killed_at_any_point_it_loses_nothing(tmp_path: Path) -> None:
    """As by a power cut, at each point in turn, while mail comes in and mailboxes fail."""
    victims = [poison.DamagedIndex(user, MASTER, REPLICA) for user in VICTIMS[10:14]]
    mended = iter(victims)

    def fail_together() -> None:
        # In one log, and each with a mailbox that does not fail.
        lab.ssh(MASTER, f"systemctl stop {UNIT}")
        for bad in victims:
            bad.plant()
            append(bad.user, "does not fail", "INBOX/folder1")

    def held() -> None:
        lab.until(lambda: len(quarantine()) > 0, 10, what="a quarantine")

    def kept() -> None:
        held()
        victims[-1].stir()

    def retried() -> None:
        held()
        order_retry(victims[-1])

    def released(count: int) -> None:
        held()
        for bad in itertools.islice(mended, count):
            bad.mend()
            order_retry(bad)

    wanted, hit = points(), []
    # Seldom enough that a lost event is not made up for by the user's next mail.
    with Load(USERS, 5), Stops() as stops:
        for point in wanted:
            name, turn = point.split(":")
            if point == "unproven:1":
                fail_together()
            acts: dict[str, Callable[[], None]] = {
                "kept": kept,
                "retried": retried,
                "released": functools.partial(released, int(turn)),
            }
            if stops.at(point, acts.get(name)):
                hit.append(point)
            print(f"{point}: {'killed' if point in hit else 'not reached'}", flush=True)
    for bad in mended:
        bad.mend()
    lab.until(lambda: quarantine() == {}, RELEASE, what="a release of all")
    assert_all_equal(tmp_path)
    assert len(hit) >= (30 if lab.LONG else 14), sorted(set(wanted) - set(hit))


def test_network_cut(tmp_path: Path) -> None:
    with Load(USERS, 20):
        lab.lab("link", REPLICA, "down")
        try:
            lab.until(lambda: state()["state"] == "away", 20, what="a replica that is away")
            time.sleep(CUT)
            assert quarantine() == {}
        finally:
            lab.lab("link", REPLICA, "up")
    assert_all_equal(tmp_path)


def test_replica_rebooted(tmp_path: Path) -> None:
    with Load(USERS, 20):
        lab.lab("reboot", REPLICA)
    assert_all_equal(tmp_path)


@lab.only_long
def test_power_cut_of_the_replica(tmp_path: Path) -> None:
    with Load(USERS, 20):
        time.sleep(2)
        lab.lab("poweroff", REPLICA)
        time.sleep(5)
        assert quarantine() == {}
        lab.lab("boot", REPLICA)
    assert_all_equal(tmp_path)


def test_master_rebooted(tmp_path: Path) -> None:
    with Load(USERS, 20):
        time.sleep(2)
        lab.lab("reboot", MASTER)
        time.sleep(2)
    assert_all_equal(tmp_path, 30)


@lab.only_long
def test_power_cut_of_the_master(tmp_path: Path) -> None:
    with Load(USERS, 20):
        time.sleep(2)
        lab.lab("poweroff", MASTER)
        lab.lab("boot", MASTER)
        time.sleep(2)
    assert_all_equal(tmp_path, 30)


def test_in_the_end_every_message_is_there(tmp_path: Path) -> None:
    assert_all_equal(tmp_path, always=True)
