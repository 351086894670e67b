#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rejoin_mark
short_description: Ends a new master's waiting for the old one
version_added: 0.1.0
description:
  - A failover leaves a mark on the new master. While it is there, C(cyr_expire) rests, so that what
    was expunged since can be told from what was never replicated.
  - This removes the mark, and C(cyr_expire) runs again. The playbook C(rejoin) calls it when the
    old master is a replica and shown to be equal.
  - Call it by hand for an old master that never comes back, whose disk is lost. What was only there
    is lost then.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  old:
    description: Name of the old master.
    type: str
    required: true
  epoch:
    description: The epoch in which this host took its place.
    type: int
    required: true
  state:
    description: There is no way to set the mark but a failover.
    type: str
    choices: [absent]
    default: absent
  timeout:
    description: Seconds in which Cyrus has to follow.
    type: float
    default: 60
seealso:
  - module: mailops.cyrus.rejoin_info
"""

EXAMPLES = r"""
- name: Nobody waits for imap1 any more
  mailops.cyrus.rejoin_mark:
    old: imap1
    epoch: 2
"""

RETURN = r"""
marks:
  description: The marks that are there now, as M(mailops.cyrus.rejoin_info) returns them.
  returned: success
  type: list
  elements: dict
"""

import time
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _pending
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "old": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    params = module.params
    by = time.monotonic() + params["timeout"]
    try:
        changed = _pending.end(params["epoch"], params["old"], by, module.check_mode)
        marks = [asdict(mark) for mark in _pending.read()]
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=changed, marks=marks)


if __name__ == "__main__":
    main()
