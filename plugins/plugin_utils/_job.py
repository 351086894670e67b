# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A module that runs as a job on the host, and shows how far it is.

A module can't show anything before it ends, so the job notes its progress in a file, which is read
here. Ansible's own `async` would refuse to run in check mode; these modules are safe there.
"""

from __future__ import annotations

import json
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

display = Display()

LONGEST = 7 * 24 * 3600
SHOW_EVERY = 5.0
# Short jobs are over soon; long ones need not be asked often.
PAUSES = (0.2, 0.3, 0.5, 1.0, 2.0)


class Job(ActionBase):  # type: ignore[misc]
    """Starts, polls, shows, returns what the module returned. `module` is its name, `ended` what is
    said where the job was ended on the host."""

    module: str
    ended: str

    _requires_connection = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        variables = task_vars or {}
        folder = self._make_tmp_path()
        progress = self._connection._shell.join_path(folder, "progress")
        try:
            job = self._start(progress, variables)
            if job.get("failed") or "results_file" not in job:
                return job
            return self._watch(job["results_file"], progress, variables)
        finally:
            self._remove_tmp_path(folder, force=True)

    def _start(self, progress: str, variables: dict[str, Any]) -> dict[str, Any]:
        self._task.async_val = LONGEST
        try:
            started: dict[str, Any] = self._execute_module(
                module_name=self.module,
                module_args={**self._task.args, "progress": progress},
                task_vars=variables,
                wrap_async=True,
            )
        finally:
            # Else Ansible would wait for the job as well.
            self._task.async_val = 0
        return started

    def _watch(self, results: str, progress: str, variables: dict[str, Any]) -> dict[str, Any]:
        shown = time.monotonic()
        turn = 0
        while True:
            time.sleep(PAUSES[min(turn, len(PAUSES) - 1)])
            turn += 1
            result = self._result(results)
            if result is None and time.monotonic() - shown >= SHOW_EVERY:
                shown = time.monotonic()
                alive = self._show(progress, str(variables.get("inventory_hostname")))
                result = self._result(results)
                if result is None and not alive:
                    result = {"failed": True, "msg": self.ended}
            if result is not None:
                self._command(f"rm -f {results}")
                return result

    def _result(self, path: str) -> dict[str, Any] | None:
        """What the job returned; None while it runs."""
        try:
            found: dict[str, Any] = json.loads(self._command(f"cat {path}"))
        except ValueError:
            return None
        return None if "ansible_job_id" in found and not found.get("finished") else found

    def _show(self, progress: str, host: str) -> bool:
        """Shows the line that the job has noted; whether the job is alive."""
        said = self._command(
            f"if cat {progress}; then kill -0 $(cut -d' ' -f1 {progress}) || echo gone; fi"
        )
        lines = said.splitlines()
        if lines and " " in lines[0]:
            display.display(f"{host}: {lines[0].split(' ', 1)[1]}")
        return "gone" not in lines[1:]

    def _command(self, command: str) -> str:
        done = self._low_level_execute_command(command, sudoable=True)
        return str(done.get("stdout", ""))
