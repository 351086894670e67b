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

_STARTED = time.monotonic()


def say(text: str) -> None:
    print(f"[{time.monotonic() - _STARTED:5.1f}s] {text}", flush=True)


def run(
    argv: Sequence[str | Path], *, log: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """Run a command that has to succeed; return what it printed, or add it to the log."""
    words = [str(word) for word in argv]
    if log is None:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=env
        )
        output, told = done.stdout, (done.stderr or done.stdout).strip()
    else:
        with log.open("a") as target:
            done = subprocess.run(
                words, stdin=subprocess.DEVNULL, stdout=target, stderr=target, env=env
            )
        output, told = "", tail(log)
    if done.returncode != 0:
        raise LabError(f"`{' '.join(words)}` failed with status {done.returncode}: {told}")
    return output


def succeeds(argv: Sequence[str | Path]) -> bool:
    """Tell whether a command succeeds, whatever it prints."""
    return (
        subprocess.run(
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        ).returncode
        == 0
    )


def tail(log: Path, lines: int = 12) -> str:
    if not log.exists():
        return ""
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
