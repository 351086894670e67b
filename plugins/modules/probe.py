#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: probe
short_description: Sends a message by which it can be seen whether mail arrives
version_added: 0.1.0
description:
  - Hands one message to the mail server of this host, by C(/usr/sbin/sendmail).
  - That it was taken does not mean that it arrived, which M(mailops.cyrus.arrival_info) tells.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
    details:
      - There is nothing to show.
  idempotent:
    support: none
    details:
      - Each run sends a message.
options:
  recipient:
    description: Address of a mailbox in the store.
    type: str
    required: true
  message_id:
    description: A Message-ID that no other message has, in angle brackets.
    type: str
    required: true
  sender:
    description: Address of the envelope; empty for none, so that nothing ever comes back.
    type: str
    default: ""
seealso:
  - module: mailops.cyrus.arrival
  - module: mailops.cyrus.arrival_info
"""

EXAMPLES = r"""
- name: A message to the store
  mailops.cyrus.probe:
    recipient: probe@example.com
    message_id: "<{{ 999999999 | random | to_uuid }}@mx1.example.com>"
"""

RETURN = r"""
message_id:
  description: The message's Message-ID.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _probe
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "recipient": {"type": "str", "required": True},
            "message_id": {"type": "str", "required": True},
            "sender": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    recipient, message_id = module.params["recipient"], module.params["message_id"]
    try:
        text = _probe.message(recipient, message_id)
        if not module.check_mode:
            _probe.send(recipient, text, module.params["sender"])
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=True, message_id=message_id)


if __name__ == "__main__":
    main()
