#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: hosts_entry
short_description: Gives a name its addresses in /etc/hosts
version_added: 0.1.0
description:
  - Writes marked lines for one name into C(/etc/hosts) and sees to it that the host then resolves
    the name to these addresses and no others.
  - A line for the name that is not marked is refused, because both would count.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  name:
    description: The name.
    type: str
    required: true
  addresses:
    description: All of its addresses.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Let the delivery host find the store at imap2
  mailops.cyrus.hosts_entry:
    name: store1.example.com
    addresses: [192.0.2.12]
"""

RETURN = r"""
addresses:
  description: The addresses that the name has now, or would have.
  returned: success
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _hosts_file
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "addresses": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        before, after = _hosts_file.ensure(given["name"], given["addresses"], module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=before != after,
        addresses=given["addresses"],
        diff={"before": before, "after": after, "before_header": _hosts_file.FILE},
    )


if __name__ == "__main__":
    main()
