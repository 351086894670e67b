# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which changes of role are refused, and where a running Cyrus has to listen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Collection
from dataclasses import replace
from pathlib import Path

import pytest
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _channel,
    _cyrmaster,
    _cyrus_conf,
    _ending,
    _fencing,
    _move,
    _proc,
    _state,
    _units,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._fence import Fence
from ansible_collections.mailops.cyrus.plugins.module_utils._move import Move
from ansible_collections.mailops.cyrus.plugins.module_utils._proc import Process, Sockets
from ansible_collections.mailops.cyrus.plugins.module_utils._role import Record

SINCE = "2026-01-01T00:00:00Z"
MASTER = Record("s", "a", "master", "a", 3, SINCE)
REPLICA = Record("s", "a", "replica", "b", 3, SINCE)
FENCE = Fence(SINCE, "switchover", "to b")
CYRUS = "0::/system.slice/cyrus-imapd.service\n"


def refuse(
    wanted: Record,
    before: Record | None,
    fence: Fence | None,
    reason: str = "",
    rejoin: bool = False,
    superseded: bool = False,
) -> None:
    _move.refuse(Move(wanted, reason, rejoin=rejoin, superseded=superseded), before, fence)


def test_change_that_is_due() -> None:
    refuse(replace(REPLICA, epoch=4), MASTER, FENCE)
    refuse(replace(MASTER, epoch=4), REPLICA, None)
    refuse(replace(REPLICA, master="c", epoch=4), REPLICA, None)
    refuse(Record("s", "a", "fenced", "b", 4, SINCE), MASTER, None)


def test_a_failover_moves_under_its_own_fence() -> None:
    fence = replace(FENCE, by="failover")
    refuse(replace(MASTER, epoch=4), REPLICA, fence, "failover")
    with pytest.raises(ReplicationError, match="is not fenced any more: run failover again"):
        refuse(replace(MASTER, epoch=4), REPLICA, None, "failover")


def test_a_switchover_does_not_take_the_role_of_whom_a_failover_gives_up() -> None:
    with pytest.raises(ReplicationError, match="is fenced by failover since"):
        refuse(replace(REPLICA, epoch=4), MASTER, replace(FENCE, by="failover"), "switchover")


SUPERSEDED = Record("s", "a", "fenced", "b", 3, SINCE)


@pytest.mark.parametrize("wanted", [REPLICA, replace(REPLICA, master="c", epoch=4)])
def test_superseded_host_comes_back_as_a_replica(wanted: Record) -> None:
    refuse(wanted, SUPERSEDED, None, rejoin=True)
    with pytest.raises(ReplicationError):
        refuse(wanted, SUPERSEDED, None)


@pytest.mark.parametrize(
    "wanted",
    [
        replace(MASTER, epoch=3),
        replace(MASTER, epoch=4),
        replace(REPLICA, epoch=2),
        replace(REPLICA, master="c"),
    ],
)
def test_superseded_host_comes_back_as_nothing_else(wanted: Record) -> None:
    with pytest.raises(ReplicationError):
        refuse(wanted, SUPERSEDED, None, rejoin=True)


def test_superseded_host_takes_over_where_that_is_allowed() -> None:
    refuse(replace(MASTER, epoch=4), SUPERSEDED, None, superseded=True)
    for wanted in (replace(MASTER, epoch=3), replace(REPLICA, master="c", epoch=4)):
        with pytest.raises(ReplicationError):
            refuse(wanted, SUPERSEDED, None, superseded=True)


def test_superseded_host_gets_to_know_of_a_later_master() -> None:
    refuse(replace(SUPERSEDED, master="c", epoch=4), SUPERSEDED, None)


def test_who_takes_from_a_new_master_already_waits_for_a_comparison(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(_channel, "by_record", lambda record: {"c": "c"} if record else {})
    assert _move._fed_too_soon(REPLICA, Move(MASTER, "failover")) == ["c"]
    assert _move._fed_too_soon(REPLICA, Move(MASTER, "switchover")) == []
    assert _move._fed_too_soon(REPLICA, Move(replace(REPLICA, master="c"), "failover")) == []


def test_what_fails_early_leaves_a_channel_paused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    def late(_end: float) -> None:
        raise ReplicationError("somebody still applies what came")

    monkeypatch.setattr(_state, "CHANNELS_DIR", str(tmp_path))
    (tmp_path / "c").mkdir()
    _state.set_paused("c", True)
    monkeypatch.setattr(_channel, "by_record", lambda record: {"c": "c"})
    monkeypatch.setattr(_units, "active", lambda templates: [])
    monkeypatch.setattr(_units, "stop", lambda names: None)
    monkeypatch.setattr(_units, "start", lambda names: None)
    monkeypatch.setattr(_move, "_end_receiving", late)
    with (
        pytest.raises(ReplicationError, match="still applies"),
        _move._still(Move(MASTER, "failover"), REPLICA, 0.0),
    ):
        pass
    assert _state.paused("c")


def test_same_again_is_no_change() -> None:
    refuse(replace(MASTER, since=""), MASTER, FENCE)


@pytest.mark.parametrize(
    ("wanted", "before", "fence", "said"),
    [
        (MASTER, None, None, "no role record"),
        (REPLICA, MASTER, FENCE, "higher epoch"),
        (replace(REPLICA, epoch=2), MASTER, FENCE, "higher epoch"),
        (replace(REPLICA, epoch=4), MASTER, None, "fence it first"),
        (replace(MASTER, epoch=4), REPLICA, FENCE, "fenced by switchover"),
        (replace(MASTER, epoch=4), Record("s", "a", "fenced", "b", 3, SINCE), None, "rejoin"),
        (replace(MASTER, epoch=4, store="t"), REPLICA, None, "has the role record of a in store s"),
    ],
)
def test_change_that_is_refused(
    wanted: Record, before: Record | None, fence: Fence | None, said: str
) -> None:
    with pytest.raises(ReplicationError, match=said):
        refuse(wanted, before, fence)


@pytest.mark.parametrize(
    ("listen", "found"),
    [
        ("143", (143, None)),
        ("127.0.0.1:2005", (2005, None)),
        ("[::1]:2005", (2005, None)),
        ("/run/cyrus/socket/lmtp", (None, "/run/cyrus/socket/lmtp")),
        ("ssh", (22, None)),
        ("no-such-service", (None, None)),
    ],
)
def test_where_a_service_listens(listen: str, found: tuple[int | None, str | None]) -> None:
    (entry,) = _cyrus_conf.parse(f'SERVICES {{\n a cmd="imapd" listen="{listen}"\n}}\n')
    assert _cyrmaster.endpoint(entry) == found


def test_what_is_missing_and_what_is_left() -> None:
    wanted = Sockets(frozenset({143, 24}), frozenset({"/a"}))
    found = Sockets(frozenset({24, 110}), frozenset({"/a", "/b"}))
    state = _cyrmaster.Listening(wanted, found)
    assert (state.missing, state.surplus) == (["port 143"], ["port 110", "/b"])


def test_fenced_host_runs_no_site_s_service_and_no_event() -> None:
    text = _cyrus_conf.clean({})
    text = text.replace("EVENTS {", 'DAEMON {\n\tidled\tcmd="idled"\n}\n\nEVENTS {')
    fenced = _cyrus_conf.render(text, "fenced", {"privimap": 'cmd="imapd" listen="/x"'})
    running = [entry.name for entry in _cyrus_conf.parse(fenced)]
    assert running == ["recover", "tlsprune", "privimap"]
    assert _cyrus_conf.strip(fenced) == text


@pytest.mark.parametrize(
    ("program", "groups", "arguments", "foreign"),
    [
        ("reconstruct", "0::/user.slice\n", (), True),
        ("reconstruct", CYRUS, (), False),
        ("sync_client", "0::/x/cyrus-replicator@b.service\n", (), False),
        ("sync_client", "0::/user.slice\n", (), True),
        ("ctl_mboxlist", "0::/user.slice\n", ("-d",), False),
        ("ctl_mboxlist", "0::/user.slice\n", ("-u",), True),
        ("mbpath", "0::/user.slice\n", (), False),
    ],
)
def test_who_may_be_writing(
    monkeypatch: pytest.MonkeyPatch,
    program: str,
    groups: str,
    arguments: tuple[str, ...],
    foreign: bool,
) -> None:
    process = Process(7, 1, program, None, groups, arguments)
    monkeypatch.setattr(_proc, "running", lambda: [process])
    if not foreign:
        _fencing.refuse_writers()
        return
    with pytest.raises(ReplicationError, match=rf"^{program} \(process 7\) may be writing"):
        _fencing.refuse_writers()


def _left(process: subprocess.Popen[bytes]) -> Collection[Process]:
    known = Process(process.pid, 1, "imapd", "imap", CYRUS, ())
    return [known] if process.poll() is None else []


def test_process_is_told_once_and_waited_for() -> None:
    script = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: signal.signal(signal.SIGTERM, signal.SIG_DFL))\n"
        "print(flush=True); time.sleep(0.6); sys.exit(3)"
    )
    with subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        _ending.Ending(0.1).wait(lambda: _left(process), time.monotonic() + 10)
    assert process.returncode == 3


def test_process_that_stays_is_named() -> None:
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"]) as process:
        os.kill(process.pid, signal.SIGSTOP)
        with pytest.raises(ReplicationError, match=rf"imapd \(process {process.pid}\) did not end"):
            _ending.Ending(0.1).wait(lambda: _left(process), time.monotonic() + 0.5)
        process.kill()


def test_who_is_still_starting_is_not_ended_by_a_reload(monkeypatch: pytest.MonkeyPatch) -> None:
    # Under nohup it would be ignored.
    wait = (
        "import signal, time; signal.signal(signal.SIGHUP, signal.SIG_DFL);"
        "print('up', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", wait], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            with pytest.raises(ReplicationError, match="still starting"):
                _cyrmaster._hang_up(process.pid, time.monotonic() + 0.1)
            assert process.poll() is None
            monkeypatch.setattr(_proc, "catches", lambda _pid, _number: True)
            _cyrmaster._hang_up(process.pid, time.monotonic() + 0.1)
            assert process.wait() == -signal.SIGHUP
        finally:
            process.kill()
    with pytest.raises(ReplicationError, match="has ended"):
        _cyrmaster._hang_up(process.pid, time.monotonic() + 0.1)
