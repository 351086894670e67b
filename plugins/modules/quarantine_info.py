#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: quarantine_info
short_description: Lists the mailboxes that fail to replicate while the rest goes on
version_added: 0.1.0
description:
  - Lists what the channels of a master of Cyrus IMAP hold in quarantine, why, and what to do.
  - Returns nothing on a host that is not master.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
options:
  channel:
    description: Name of one channel; all of the host's by default.
    type: str
seealso:
  - module: mailops.cyrus.quarantine
"""

EXAMPLES = r"""
- name: What does not replicate
  mailops.cyrus.quarantine_info:
  register: held

- name: Say so
  ansible.builtin.debug:
    msg: "{{ held.quarantine | map(attribute='name') }}"
"""

RETURN = r"""
channels:
  description: The channels whose quarantine was read, by name.
  returned: success
  type: list
  elements: str
quarantine:
  description:
    - What is in quarantine, an entry each.
    - C(scope) is C(mailbox), C(user), C(meta) (subscriptions, seen state and scripts of a user),
      C(quota) or C(server), C(name) the mailbox's internal name, the userid or the quota root.
    - C(by) is C(replicator) for what is tried again and released by itself, C(administrator) for
      what stays until it is released by hand. C(next) is when it is tried again, in seconds since
      1970.
    - C(held) is how many events wait for it.
  returned: success
  type: list
  elements: dict
  sample:
    - channel: imap2
      replica: imap2
      scope: mailbox
      name: user.anna
      user: anna
      mailbox: user.anna
      reason: "imap2 can't open user.anna: its index there is damaged"
      advice: "Drop the copy of anna on imap2 and retry"
      since: "2026-11-01T10:00:00Z"
      by: replicator
      tries: 4
      tried: "2026-11-01T10:01:00Z"
      next: 1793527320.0
      held: 12
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _orders
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(argument_spec={"channel": {"type": "str"}}, supports_check_mode=True)
    try:
        channels = _orders.channels(module.params["channel"])
        found = _orders.listed(channels)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(channels=sorted(channels), quarantine=found)


if __name__ == "__main__":
    main()
