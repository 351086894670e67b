#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: activity
short_description: Notes on a host what is under way there
version_added: 0.1.0
description:
  - As long as something is noted no C(switchover) and no C(rejoin) begins, and
    M(mailops.cyrus.readiness_info) says what it is. The note outlives a run that died.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  kind:
    description: What kind of thing it is. There is one note of each.
    type: str
    choices: [reseed, backup]
    required: true
  state:
    description: Whether it is under way.
    type: str
    choices: [present, absent]
    default: present
  what:
    description: What it is, for people, such as V(a reseed of imap3 from imap2).
    type: str
"""

EXAMPLES = r"""
- name: Note that imap3 gets a new copy
  mailops.cyrus.activity:
    kind: reseed
    what: a reseed of imap3 from imap2

- name: Note that it has
  mailops.cyrus.activity:
    kind: reseed
    state: absent
"""

RETURN = r"""#"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _activities, _state
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "kind": {"type": "str", "required": True, "choices": ["reseed", "backup"]},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "what": {"type": "str"},
        },
        required_if=[("state", "present", ["what"])],
        supports_check_mode=True,
    )
    given, check = module.params, module.check_mode
    try:
        if given["state"] == "present":
            activity = _activities.Activity(given["kind"], given["what"], _state.timestamp())
            changed = _activities.begin(activity, check)
        else:
            changed = _activities.end(given["kind"], check)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    told = {"before": {}, "after": {"kind": given["kind"], "what": given["what"]}}
    module.exit_json(changed=changed, diff=told if changed else {})


if __name__ == "__main__":
    main()
