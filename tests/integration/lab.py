# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as tests see it: its inventory, its hosts, and playbooks run against them."""

from __future__ import annotations

import functools
import imaplib
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]
LAB_DIR = ROOT / os.environ.get("LAB_DIR", ".lab")
INVENTORY = LAB_DIR / "inventory.yml"
BIN = Path(sys.executable).parent
# What takes longer than `make test` should: `make test-all` has it.
LONG = bool(os.environ.get("TEST_LONG"))
only_long = pytest.mark.skipif(not LONG, reason="a long test")


@dataclass(frozen=True)
class Run:
    """How a playbook ended."""

    rc: int
    output: str

    def counts(self, host: str) -> dict[str, int]:
        """The recap line of one host: ok, changed, unreachable, failed ..."""
        for line in self.output.splitlines():
            if re.match(rf"{re.escape(host)}\s+: ok=", line):
                return {k: int(v) for k, v in re.findall(r"(\w+)=(\d+)", line)}
        raise AssertionError(f"{host} is missing from the recap:\n{self.output}")

    def changed(self) -> int:
        """Changes on all hosts together."""
        return sum(int(n) for n in re.findall(r"changed=(\d+)", self.output))


@functools.cache
def inventory(path: Path = INVENTORY) -> dict[str, Any]:
    """The inventory as Ansible reads it."""
    done = subprocess.run(
        [str(BIN / "ansible-inventory"), "-i", str(path), "--list"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    loaded: dict[str, Any] = json.loads(done.stdout)
    return loaded


def hosts(group: str = "cyrus") -> list[str]:
    """Hosts of a group, its children's included."""
    entry = inventory().get(group, {})
    found = list(entry.get("hosts", []))
    for child in entry.get("children", []):
        found += [h for h in hosts(child) if h not in found]
    return found


def var(name: str, host: str = "imap1") -> Any:
    """One variable of a host."""
    return inventory()["_meta"]["hostvars"][host].get(name)


def address(host: str) -> str:
    return str(var("ansible_host", host))


def playbook(
    name: str,
    *args: str,
    extra: Mapping[str, Any] | None = None,
    source: Path = INVENTORY,
    timeout: float = 900,
) -> Run:
    """Run one of the collection's playbooks, e.g. playbook("setup", "--check")."""
    done = subprocess.run(
        _command(name, args, extra, source),
        check=False,
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=timeout,
        env=_environment(),
    )
    return Run(done.returncode, done.stdout)


def module(
    where: str, called: str, /, check: bool = False, stop_at: str = "", **options: Any
) -> dict[str, Any]:
    """What one of the collection's modules returns on a host; it may be killed at a point."""
    command = [str(BIN / "ansible"), "-i", str(INVENTORY), where, "--become", "--diff"]
    command += ["-m", f"mailops.cyrus.{called}"]
    command += ["-a", json.dumps(options)] if options else []
    command += ["--check"] if check else []
    if stop_at:
        command += ["-e", json.dumps({"ansible_python_interpreter": stopping(where, stop_at)})]
    done = subprocess.run(
        command,
        check=False,
        cwd=ROOT,
        capture_output=True,
        stdin=subprocess.DEVNULL,
        text=True,
        timeout=300,
        env={
            **_environment(),
            "ANSIBLE_LOAD_CALLBACK_PLUGINS": "1",
            "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        },
    )
    plays = json.loads(done.stdout)["plays"]
    found: dict[str, Any] = plays[0]["tasks"][0]["hosts"][where]
    return found


def stopping(host: str, point: str) -> str:
    """A Python on the host that ends at a point; the interpreter is one word for Ansible."""
    path = "/root/stopping-python"
    text = f'#!/bin/sh\nCYRUS_REPLICATION_STOP_AT={point} exec /usr/bin/python3 "$@"\n'
    ssh(host, f"cat > {path} && chmod 755 {path}", data=text)
    return path


def playbook_met(name: str, extra: Mapping[str, Any], task: str, act: Callable[[int], None]) -> Run:
    """Run a playbook, and do something when it comes to a task: `act` gets the process group."""
    with subprocess.Popen(
        _command(name, (), extra, INVENTORY),
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        env={**_environment(), "PYTHONUNBUFFERED": "1"},
        start_new_session=True,
    ) as process:
        assert process.stdout is not None
        lines = []
        for line in process.stdout:
            lines.append(line)
            if line.startswith("TASK [") and task in line:
                act(process.pid)
        return Run(process.wait(), "".join(lines))


def playbook_killed(name: str, extra: Mapping[str, Any], task: str) -> None:
    """Run a playbook, and kill it with all that it has started when it comes to a task."""
    run = playbook_met(name, extra, task, lambda group: os.killpg(group, signal.SIGKILL))
    assert run.rc == -signal.SIGKILL, run.output


def _command(
    name: str, args: Sequence[str], extra: Mapping[str, Any] | None, source: Path
) -> list[str]:
    command = [str(BIN / "ansible-playbook"), "-i", str(source), f"mailops.cyrus.{name}", *args]
    return command if extra is None else [*command, "-e", json.dumps(extra)]


def _environment() -> dict[str, str]:
    return {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1"}


def ssh_command(host: str, command: str) -> list[str]:
    """The argv that runs a shell command on a host as root, over Ansible's connection."""
    return [
        *["ssh", "-o", "BatchMode=yes", "-o", "LogLevel=ERROR"],
        *shlex.split(str(var("ansible_ssh_common_args", host))),
        *["-i", str(LAB_DIR / "id_ed25519"), f"root@{address(host)}", command],
    ]


def ssh(
    host: str, command: str, check: bool = True, data: str | None = None, timeout: float = 120
) -> subprocess.CompletedProcess[str]:
    """Run a shell command on a host as root."""
    done = subprocess.run(
        ssh_command(host, command),
        check=False,
        input="" if data is None else data,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    if check and done.returncode != 0:
        raise AssertionError(f"{host}: {command}: rc {done.returncode}\n{done.stdout}{done.stderr}")
    return done


def carry(old: str, new: str, path: str) -> None:
    """Bring a file or a folder of one host to another one, by way of this machine."""
    packed = f"tar -C / -cf - {path.lstrip('/')}"
    with subprocess.Popen(ssh_command(old, packed), stdout=subprocess.PIPE) as reader:
        subprocess.run(
            ssh_command(new, "tar -C / -xf -"), check=True, stdin=reader.stdout, timeout=600
        )
    assert reader.returncode == 0


def lab(*args: str, timeout: float = 600) -> None:
    """Drive the lab itself, e.g. lab("reboot", "imap1")."""
    subprocess.run(
        [sys.executable, "-m", "tests.lab", *args],
        cwd=ROOT,
        check=True,
        stdin=subprocess.DEVNULL,
        timeout=timeout,
    )


@contextmanager
def imap(host: str, user: str, password: str, port: int = 143) -> Iterator[imaplib.IMAP4]:
    """A logged-in IMAP session."""
    session = imaplib.IMAP4(address(host), port, timeout=30)
    try:
        session.login(user, password)
        yield session
    finally:
        session.shutdown()


def patience() -> float:
    """How many times longer things may take than with nothing else to do on this machine."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def until(
    condition: Callable[[], object], seconds: float = 60, every: float = 0.5, what: str = ""
) -> None:
    """Wait for a condition, with a bound, on a busy machine for longer; a condition that raises is
    not met yet."""
    begun = time.monotonic()
    last: object = None
    while time.monotonic() - begun < seconds * patience():
        try:
            last = condition()
            if last:
                return
        except (OSError, AssertionError, imaplib.IMAP4.error, subprocess.SubprocessError) as error:
            last = error
        time.sleep(every)
    raise AssertionError(f"not within {seconds} s: {what or condition}: {last!r}")


@contextmanager
def unguarded(names: Sequence[str]) -> Iterator[None]:
    """Hosts without their guards, which would act on a role record that a test makes up."""
    for name in names:
        ssh(name, "systemctl stop cyrus-guard")
    try:
        yield
    finally:
        for name in names:
            ssh(name, "systemctl start cyrus-guard")
