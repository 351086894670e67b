#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: old_root
short_description: Runs the Cyrus of an old master's disk, so that it can be read
version_added: 0.1.0
description:
  - For an old master that never boots again and whose disk is mounted on the new master. Runs that
    disk's own Cyrus in a root of its own, where it serves one socket, for
    M(mailops.cyrus.copyback).
  - The disk is the lower layer of an overlay, so nothing is written to it. It may be mounted
    read-only.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
    details:
      - Nothing but temporary files is changed, so it does the same in check mode.
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  old:
    description: Name of the old master; the disk of another host is refused.
    type: str
    required: true
  state:
    description: Whether it runs.
    type: str
    choices: [present, absent]
    default: present
  path:
    description: Where the root of the old master's disk is mounted.
    type: path
    required: true
  scratch:
    description:
      - Folder on this host for what that Cyrus writes, which is a copy of the index of each mailbox
        it opens. Its file system has to be one that an overlay can write to, such as ext4, xfs or
        tmpfs.
    type: path
    default: /var/lib/cyrus-replication/old
"""

EXAMPLES = r"""
- name: Let the disk of the old master be read
  mailops.cyrus.old_root:
    old: imap1
    path: /mnt/old
"""

RETURN = r"""
socket:
  description: Where it listens, for administrators and replication accounts.
  returned: success
  type: str
  sample: /run/cyrus-replication/old/run/cyrus/private/imap
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _oldroot
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "old": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "path": {"type": "path", "required": True},
            "scratch": {"type": "path", "default": "/var/lib/cyrus-replication/old"},
        },
        supports_check_mode=True,
    )
    disk = _oldroot.Disk(*(module.params[name] for name in ("old", "path", "scratch")))
    try:
        if module.params["state"] == "present":
            changed = _oldroot.ensure(disk)
        else:
            changed = _oldroot.end(disk.scratch)
    except (ReplicationError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, socket=_oldroot.SOCKET)


if __name__ == "__main__":
    main()
