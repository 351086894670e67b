# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Programs of this host: never by way of a shell, never for ever."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping
from typing import Any, NamedTuple

from ._errors import ReplicationError

_ENVIRONMENT = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}


class Completed(NamedTuple):
    """What a program did."""

    cmd: list[str]
    rc: int
    stdout: str
    stderr: str


class MissingError(ReplicationError):
    """The program is not on this host."""


def start(
    cmd: list[str],
    stdin: int = subprocess.DEVNULL,
    identity: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> subprocess.Popen[str]:
    """Start a program whose output the caller reads; the identity is Popen's user and groups, the
    environment is added to what every program gets."""
    try:
        # The library also runs outside Ansible, where no AnsibleModule has a run_command.
        return subprocess.Popen(  # pylint: disable=ansible-bad-function
            cmd,
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            errors="surrogateescape",
            cwd="/",
            env={**(environment or {}), **_ENVIRONMENT},
            **(identity or {}),
        )
    except FileNotFoundError:
        raise MissingError(f"the program {cmd[0]} is missing: install it") from None
    except OSError as error:
        raise ReplicationError(f"can't run {cmd[0]}: {error.strerror}") from error


def run(
    cmd: list[str],
    timeout: float,
    input: str | None = None,
    identity: Mapping[str, Any] | None = None,
    environment: Mapping[str, str] | None = None,
) -> Completed:
    """Run a program to its end, however it ends; one that takes too long is killed."""
    stdin = subprocess.DEVNULL if input is None else subprocess.PIPE
    with start(cmd, stdin, identity, environment) as process:
        try:
            stdout, stderr = process.communicate(input, timeout=timeout)
        except subprocess.TimeoutExpired:
            name = os.path.basename(cmd[0])
            raise ReplicationError(f"{name} did not end within {timeout:g} s") from None
        finally:
            process.kill()
    return Completed(cmd, process.returncode, stdout, stderr)
