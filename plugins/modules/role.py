#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: role
short_description: Keeps the record of which host of a store is master
version_added: 0.1.0
description:
  - Writes the role record of a host and adds a line to its history where the record changes.
  - The record decides who is master; the inventory names the first master only.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  store:
    description: Name of the store.
    type: str
    required: true
  host:
    description: Name of this host.
    type: str
    required: true
  role:
    description: What this host is.
    type: str
    choices: [master, replica, fenced]
    required: true
  master:
    description: Name of the store's master.
    type: str
    required: true
  epoch:
    description: Counts the changes of master; the same on all hosts of a store.
    type: int
    required: true
  reason:
    description: What is written to the history as the cause of a change.
    type: str
    default: setup
"""

EXAMPLES = r"""
- name: Record that imap1 is the master of store1
  mailops.cyrus.role:
    store: store1
    host: imap2
    role: replica
    master: imap1
    epoch: 1
"""

RETURN = r"""
record:
  description: The record as it is now.
  returned: success
  type: dict
previous:
  description: The record as it was, null where there was none.
  returned: success
  type: dict
"""

import dataclasses
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _role
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "str", "required": True},
            "host": {"type": "str", "required": True},
            "role": {"type": "str", "required": True, "choices": list(_role.ROLES)},
            "master": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "reason": {"type": "str", "default": "setup"},
        },
        supports_check_mode=True,
    )
    wanted = {k: v for k, v in module.params.items() if k != "reason"}
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    try:
        before, after = _role.ensure(
            _role.Record(since=now, **wanted), module.params["reason"], module.check_mode
        )
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    previous = dataclasses.asdict(before) if before else None
    record = dataclasses.asdict(after)
    module.exit_json(
        changed=before != after,
        record=record,
        previous=previous,
        diff={"before": previous or {}, "after": record},
    )


if __name__ == "__main__":
    main()
