#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rsync_pass
short_description: Copies the mail of another host of a store in one pass of rsync
version_added: 0.1.0
description:
  - Runs on the host that gets the copy, after M(mailops.cyrus.copy_target) with C(state=begun)
    there, and M(mailops.cyrus.copy_source) on the other one.
  - The copy grows in folders beside the mail that is in use. Messages that are in use here as well
    are linked from there, and neither sent nor stored twice.
  - A pass that was cut off is gone on with by the next one.
  - Shows its progress while it runs.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
    details:
      - Finds out what would be moved.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  address:
    description: The IP address of the other host.
    type: str
    required: true
  port:
    description: Its port of ssh.
    type: int
    default: 22
  user:
    description: The account there.
    type: str
    default: root
  measure:
    description: Moves nothing, and finds out what would be moved, and for what there is no room.
    type: bool
    default: false
  last:
    description:
      - The other host is at rest. Before, what was changed in the minutes before a pass is compared
        by its content in the next one, since a file may have been changed while it was read.
    type: bool
    default: false
  bandwidth:
    description: Kilobytes (1024 bytes) a second at most, 0 without a limit.
    type: int
    default: 0
  idle:
    description: Leaves the disks here to whoever else wants them (C(ionice)).
    type: bool
    default: true
  checksum:
    description:
      - Reads every file on both sides. Without it one that has the same size and time counts as
        equal, as a file does that was damaged on the disk.
    type: bool
    default: false
  timeout:
    description: Seconds that the pass may take.
    type: float
    default: 86400
  progress:
    description: File in which the progress is noted, set by the collection itself.
    type: str
"""

EXAMPLES = r"""
- name: Copy until little is left
  mailops.cyrus.rsync_pass:
    address: 192.0.2.12
    bandwidth: 20000
  register: cyrus_pass
  until: cyrus_pass.moved_bytes < 1000000
  retries: 5
"""

RETURN = r"""
trees:
  description: What was found and moved of each folder, in files and bytes, and the seconds.
  returned: success
  type: dict
  sample:
    partition-default:
      files: 24210
      moved_files: 12
      bytes: 412000000
      moved_bytes: 240000
      sent: 3100
      received: 251000
      seconds: 1.9
moved_bytes:
  description: Bytes of all files that were new or changed.
  returned: success
  type: int
received:
  description: Bytes that came over the wire.
  returned: success
  type: int
bytes:
  description: Bytes of all files.
  returned: success
  type: int
seconds:
  description: How long it took.
  returned: success
  type: float
lacking:
  description: For what there is no room, a sentence for each file system.
  returned: when O(measure=true)
  type: list
  elements: str
"""

import time
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _newcopy, _progress
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._rsync import Options, Remote


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "port": {"type": "int", "default": 22},
            "user": {"type": "str", "default": "root"},
            "measure": {"type": "bool", "default": False},
            "last": {"type": "bool", "default": False},
            "bandwidth": {"type": "int", "default": 0},
            "idle": {"type": "bool", "default": True},
            "checksum": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 86400},
            "progress": {"type": "str"},
        },
        supports_check_mode=True,
    )
    given = module.params
    remote = Remote(
        given["address"], given["user"], given["port"], _newcopy.KEY, _newcopy.KNOWN_HOSTS
    )
    options = Options(given["bandwidth"], given["idle"], given["checksum"], given["timeout"])
    note, began = _progress.reporter(given["progress"]), time.monotonic()
    lacking: list[str] = []
    try:
        if given["measure"] or module.check_mode:
            moved, lacking = _newcopy.measure(remote, options, note)
        else:
            moved = _newcopy.copy(remote, options, given["last"], note)
    except (ReplicationError, OSError) as error:
        module.fail_json(msg=str(error))
    totals = {
        name: sum(getattr(tree, name) for tree in moved.values())
        for name in ("moved_bytes", "received", "bytes")
    }
    module.exit_json(
        changed=totals["moved_bytes"] > 0 and not given["measure"],
        trees={name: asdict(tree) for name, tree in moved.items()},
        seconds=round(time.monotonic() - began, 3),
        lacking=lacking,
        **totals,
    )


if __name__ == "__main__":
    main()
