#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: history
short_description: Notes in a host's history that the master was changed
version_added: 0.1.0
description:
  - Appends one entry to the history that M(mailops.cyrus.server_info) returns and the playbook
    C(status) shows.
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
    support: none
    details:
      - Each run is an event of its own.
options:
  what:
    description: What was done, such as V(switchover).
    type: str
    required: true
  who:
    description: Who did it.
    type: str
    required: true
  old:
    description: The master before it.
    type: str
    required: true
  new:
    description: The master after it.
    type: str
    required: true
  epoch:
    description: The epoch that it began, or would have begun.
    type: int
    required: true
  outcome:
    description:
      - How it ended; V(unfinished) is to be gone on with, V(undone) left everything as it was.
    type: str
    choices: [done, unfinished, undone]
    required: true
  reasons:
    description: Why it is not done, a sentence each.
    type: list
    elements: str
    default: []
  seconds:
    description: How long each phase took, in seconds.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: Note that imap2 is master
  mailops.cyrus.history:
    what: switchover
    who: anna
    old: imap1
    new: imap2
    epoch: 2
    outcome: done
    seconds: {fence: 0.8, drain: 1.2, move: 3.1}
"""

RETURN = r"""
entry:
  description: The entry as it was appended.
  returned: success
  type: dict
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _role, _state


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "what": {"type": "str", "required": True},
            "who": {"type": "str", "required": True},
            "old": {"type": "str", "required": True},
            "new": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "outcome": {
                "type": "str",
                "required": True,
                "choices": ["done", "unfinished", "undone"],
            },
            "reasons": {"type": "list", "elements": "str", "default": []},
            "seconds": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    entry = dict(module.params, time=_state.timestamp())
    entry["from"], entry["to"] = entry.pop("old"), entry.pop("new")
    try:
        if not module.check_mode:
            _role.append_history(entry)
    except OSError as error:
        module.fail_json(msg=f"{_role.HISTORY} can't be written ({error.strerror}): make room")
    module.exit_json(changed=True, entry=entry, diff={"before": {}, "after": entry})


if __name__ == "__main__":
    main()
