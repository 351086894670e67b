#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: service_address
short_description: Moves an address with the master of a store
version_added: 0.1.0
description:
  - Adds an address to a host and tells all neighbours by gratuitous ARP, or by unsolicited
    neighbour advertisements for IPv6, or removes it.
  - An address that another host still answers for is not added, nor is any to a host that is not
    the master, is fenced, or is not yet known to be still the master.
  - After a reboot the address comes back by C(cyrus-address.service), under the same conditions.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
    details:
      - Tells of another host that answers for an address that this one has. Whether the host is the
        master is looked at only where it really gets the address.
  diff_mode:
    support: none
    details:
      - What was done is in RV(done).
  idempotent:
    support: full
    details:
      - The neighbours are told again by every run.
options:
  address:
    description:
      - The address with the prefix of its network, such as V(192.0.2.50/24).
      - Without a prefix it stands for itself alone.
    type: str
    required: true
  interface:
    description: Its interface; V(auto) takes the one whose network the address is in.
    type: str
    default: auto
  state:
    description: Whether the host has it.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: The old master gives the address up
  mailops.cyrus.service_address:
    address: 192.0.2.50/24
    state: absent

- name: The new master takes it
  mailops.cyrus.service_address:
    address: 192.0.2.50/24
"""

RETURN = r"""
done:
  description: What was done, or would be.
  returned: success
  type: list
  elements: str
  sample: ["keep 192.0.2.50 for eth0", "add 192.0.2.50 to eth0"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _address
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "address": {"type": "str", "required": True},
            "interface": {"type": "str", "default": _address.AUTO},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        if given["state"] == "present":
            done = _address.present(given["address"], given["interface"], module.check_mode)
        else:
            done = _address.absent(given["address"], module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done), done=done)


if __name__ == "__main__":
    main()
