# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Running the machine's tools, and saying what is going on."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from .errors import LabError

# A long job runs in a process and a mount namespace of its own, which end with the lab's process
# however that ends: an interrupted run leaves neither helpers at work nor mounts.
_CONTAINED = (
    *("setpriv", "--pdeathsig", "KILL"),
    *("unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"),
)
_STARTED = time.monotonic()

Words = Sequence[str | Path]


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f}s] {text}", flush=True)


def run(argv: Words, *, env: Mapping[str, str] | None = None) -> str:
    """Run a command that has to succeed; return what it printed."""
    words = [str(word) for word in argv]
    done = subprocess.run(
        words, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env
    )
    _check(words, done.returncode, done.stderr or done.stdout)
    return done.stdout


def run_job(argv: Words, log: Path, *, env: Mapping[str, str] | None = None) -> None:
    """Run a long command that has to succeed, add what it prints to the log."""
    words = [str(word) for word in argv]
    with log.open("a") as target:
        done = subprocess.run(
            [*_CONTAINED, *words],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=target,
            stderr=target,
            env=env,
        )
    _check(words, done.returncode, tail(log))


def _check(words: Sequence[str], status: int, told: str) -> None:
    if status != 0:
        raise LabError(f"`{' '.join(words)}` failed with status {status}: {told.strip()}")


def succeeds(argv: Words) -> bool:
    """Tell whether a command succeeds, whatever it prints."""
    words = [str(word) for word in argv]
    quiet = subprocess.DEVNULL
    done = subprocess.run(words, check=False, stdin=quiet, stdout=quiet, stderr=quiet)
    return done.returncode == 0


def tail(log: Path, lines: int = 12) -> str:
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
