#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: arrival
short_description: Removes a message from a user's mailbox on a store's master
version_added: 0.1.0
description:
  - Expunges the messages with a certain Message-ID, by the private socket of this host, and nothing
    else. It is meant for what M(mailops.cyrus.probe) has sent.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.arrival
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is nothing to show.
  idempotent:
    support: full
options:
  state:
    description: It is not there afterwards.
    type: str
    choices: [absent]
    default: absent
seealso:
  - module: mailops.cyrus.arrival_info
  - module: mailops.cyrus.probe
"""

EXAMPLES = r"""
- name: The probe is not needed any more
  mailops.cyrus.arrival:
    user: probe
    message_id: "{{ probe.message_id }}"
"""

RETURN = r"""
removed:
  description: How many messages were removed, or would be.
  returned: success
  type: int
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _probe
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_probe.ARGUMENTS,
            "state": {"type": "str", "choices": ["absent"], "default": "absent"},
        },
        supports_check_mode=True,
    )
    try:
        message_id = _probe.check_message_id(module.params["message_id"])
        with _probe.opened(module.params["user"], module.params["mailbox"]) as box:
            removed = box.find(message_id).found
            if removed and not module.check_mode:
                box.remove(message_id)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=removed > 0, removed=removed)


if __name__ == "__main__":
    main()
