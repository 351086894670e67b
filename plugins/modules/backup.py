#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: backup
short_description: Backs up a replica's files while its Cyrus rests
version_added: 0.1.0
description:
  - Has a unit of systemd on the replica stop Cyrus, look at its databases, and run one of the
    drivers. The end of the unit starts Cyrus, also where the driver fails, hangs beyond its time or
    is killed, or nobody waits for it any more. The playbook C(backup) uses it.
  - Before Cyrus stops, everything that the replica has is noted, and goes into the backup, so that
    what is restored some day can be held against it.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  state:
    description:
      - V(begun) returns when Cyrus rests. One to the same place that is under way is gone on with.
      - V(released) says to a backup with O(driver=none) that the snapshot is taken.
      - V(awaited) returns when the backup is made and Cyrus runs, and shows meanwhile how long it
        takes.
      - V(ended) ends one that is under way, if any.
      - V(compared) compares what this host has with O(content).
    type: str
    choices: [begun, released, awaited, ended, compared]
    required: true
  driver:
    description:
      - V(tar) writes one file, V(rsync) a folder in which what has not changed since the newest one
        is linked, V(restic) a snapshot in a repository.
      - V(none) copies nothing. Cyrus rests until the backup is V(released), for somebody who takes
        a snapshot of the file systems.
    type: str
    choices: [tar, rsync, restic, none]
    default: tar
  to:
    description:
      - Folder on this host in which V(tar) and V(rsync) make the backup.
      - Repository of V(restic). What is secret in its address belongs into O(environment).
    type: str
    default: ""
  name:
    description: Of this backup; needed for O(state=begun). It ends with a dash and the time.
    type: str
  environment:
    description:
      - File on this host with what V(restic) needs in its environment, such as
        C(RESTIC_REPOSITORY), C(RESTIC_PASSWORD) and keys, a C(NAME=value) on each line. Nobody but
        its owner and group may read it.
    type: str
    default: ""
  root:
    description:
      - Where a snapshot of the file systems is mounted; it is copied while Cyrus goes on.
    type: str
    default: /
  limit:
    description: Seconds that the backup may take. Then it is ended, and Cyrus starts.
    type: float
    default: 14400
  content:
    description: File C(content.gz) of a backup, for O(state=compared).
    type: str
    default: /var/lib/cyrus-replication/backup/content.gz
  timeout:
    description: Seconds in which Cyrus has to stop or to start.
    type: float
    default: 120
  progress:
    description: File in which the progress is noted, set by the collection itself.
    type: str
"""

EXAMPLES = r"""
- name: Begin
  mailops.cyrus.backup:
    state: begun
    driver: restic
    name: store1-imap3-20261101T100000Z
    environment: /etc/restic.env

- name: Wait for it
  mailops.cyrus.backup:
    state: awaited
  register: cyrus_backup

- name: Is this what was backed up?
  mailops.cyrus.backup:
    state: compared
"""

RETURN = r"""
name:
  description: What names the backup, a path or a snapshot of restic.
  returned: when O(state=awaited)
  type: str
  sample: /srv/backup/store1-imap3-20261101T100000Z.tar
bytes:
  description: How much was read; null with O(driver=none).
  returned: when O(state=awaited)
  type: int
seconds:
  description: How long it took.
  returned: when O(state=awaited)
  type: float
rested:
  description: How many of these Cyrus rested.
  returned: when O(state=awaited)
  type: float
unknown:
  description: What could not be read, a sentence each; it is in the backup as it is.
  returned: when O(state=awaited)
  type: list
  elements: str
differences:
  description: In what this host differs from the backup, a sentence each.
  returned: when O(state=compared)
  type: list
  elements: str
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import (
    _backup,
    _backup_content,
    _progress,
)
from ansible_collections.mailops.cyrus.plugins.module_utils._backup_drivers import DRIVERS
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": ["begun", "released", "awaited", "ended", "compared"],
            },
            "driver": {"type": "str", "choices": list(DRIVERS), "default": "tar"},
            "to": {"type": "str", "default": ""},
            "name": {"type": "str"},
            "environment": {"type": "str", "default": ""},
            "root": {"type": "str", "default": "/"},
            "limit": {"type": "float", "default": 14400},
            "content": {"type": "str", "default": _backup_content.PATH},
            "timeout": {"type": "float", "default": 120},
            "progress": {"type": "str"},
        },
        required_if=[("state", "begun", ["name"])],
        supports_check_mode=True,
    )
    try:
        result = _carry_out(module.params, module.check_mode)
    except (ReplicationError, OSError) as error:
        module.fail_json(msg=str(error))
    if result.get("trouble"):
        module.fail_json(msg=result["trouble"], **result)
    module.exit_json(**result)


def _carry_out(given: dict[str, Any], check: bool) -> dict[str, Any]:
    if given["state"] == "begun":
        order = _backup.Order(
            given["driver"],
            given["to"],
            given["name"],
            given["limit"],
            given["environment"],
            given["root"],
        )
        return {"changed": _backup.begin(order, given["timeout"], check)}
    if given["state"] == "released":
        return {"changed": _backup.release(check)}
    if given["state"] == "awaited":
        return {"changed": False, **asdict(_backup.wait(_progress.reporter(given["progress"])))}
    if given["state"] == "ended":
        return {"changed": _backup.end(given["timeout"], check)}
    return {"changed": False, "differences": _backup_content.compare(given["content"])}


if __name__ == "__main__":
    main()
