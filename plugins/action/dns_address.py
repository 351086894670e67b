# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Changes the addresses of a name by a signed update, from the controller itself.

Nothing is sent to a host, so the key is in no file there, and no connection is waited for.
"""

from __future__ import annotations

import dataclasses
import time
from typing import Any

from ansible.plugins.action import ActionBase
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _dns

ARGUMENTS = {
    "zone": {"type": "str", "required": True},
    "name": {"type": "str", "required": True},
    "server": {"type": "str", "required": True},
    "port": {"type": "int", "default": 53},
    "key_name": {"type": "str", "required": True},
    "key_secret": {"type": "str", "required": True, "no_log": True},
    "key_algorithm": {"type": "str", "default": "hmac-sha256"},
    "addresses": {"type": "list", "elements": "str"},
    "ttl": {"type": "int", "default": 300},
    "verify": {"type": "list", "elements": "str", "default": []},
    "timeout": {"type": "float", "default": 10},
}


class ActionModule(ActionBase):  # type: ignore[misc]
    """Needs no host."""

    _requires_connection = False
    _supports_check_mode = True

    def run(
        self, tmp: str | None = None, task_vars: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        super().run(tmp, task_vars)
        _result, given = self.validate_argument_spec(argument_spec=ARGUMENTS)
        begun = time.monotonic()
        key = _dns.Key(given["key_name"], given["key_secret"], given["key_algorithm"])
        record = _dns.Record(
            given["zone"], given["name"], given["server"], key, given["port"], given["timeout"]
        )
        try:
            before, after = _dns.ensure(
                record,
                given["addresses"],
                given["ttl"],
                given["verify"],
                self._task.check_mode,
            )
        except ReplicationError as error:
            return {"failed": True, "msg": str(error)}
        told = {"before": dataclasses.asdict(before), "after": dataclasses.asdict(after)}
        return {
            "changed": before != after,
            "seconds": round(time.monotonic() - begun, 2),
            "diff": told,
            **told,
        }
