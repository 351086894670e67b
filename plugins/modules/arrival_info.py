#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: arrival_info
short_description: Waits until a message is in a user's mailbox on a host of a store
version_added: 0.1.0
description:
  - Reads the mailbox on this host, be it master, replica or fenced, by its private socket.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
  - mailops.cyrus.arrival
options:
  timeout:
    description: Seconds to wait for it.
    type: float
    default: 30
  expected:
    description: How many of it there have to be; anything else is a failure.
    type: int
seealso:
  - module: mailops.cyrus.arrival
  - module: mailops.cyrus.probe
"""

EXAMPLES = r"""
- name: Has it arrived
  mailops.cyrus.arrival_info:
    user: probe
    message_id: "{{ probe.message_id }}"
    expected: 1
"""

RETURN = r"""
found:
  description: How many messages with this Message-ID there are; 0 where none came in time.
  returned: success
  type: int
uid:
  description: UID of the first, null where there is none.
  returned: success
  type: int
guid:
  description: SHA-1 of the first as Cyrus keeps it, equal on all hosts; null where there is none.
  returned: success
  type: str
seconds:
  description: How long that took.
  returned: success
  type: float
"""

import time
from dataclasses import asdict

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _probe
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_probe.ARGUMENTS,
            "timeout": {"type": "float", "default": 30},
            "expected": {"type": "int"},
        },
        supports_check_mode=True,
    )
    started = time.monotonic()
    try:
        message_id = _probe.check_message_id(module.params["message_id"])
        with _probe.opened(module.params["user"], module.params["mailbox"]) as box:
            found = _probe.wait(box, message_id, module.params["timeout"])
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    wanted = module.params["expected"]
    if wanted not in (None, found.found):
        seconds = module.params["timeout"]
        module.fail_json(
            msg=f"{found.found} instead of {wanted} of the message {message_id} came into "
            f"{module.params['mailbox']} of {module.params['user']} within {seconds:g} s: look at "
            "the queue and the log of the delivery hosts, and at replication",
            **asdict(found),
        )
    module.exit_json(**asdict(found), seconds=round(time.monotonic() - started, 3))


if __name__ == "__main__":
    main()
