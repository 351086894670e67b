#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: transport_entry
short_description: Changes where Postfix sends mail for some keys of a transport table
version_added: 0.1.0
description:
  - Replaces the transport and next hop of the keys in the table's text, has C(postmap) build what
    Postfix reads, lets Postfix take it at once, and asks it back.
  - Other lines of the table stay as they are.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  table:
    description: Path of the table's text, which C(main.cf) has to name.
    type: path
    default: /etc/postfix/transport
  keys:
    description: The keys, each of which the table has to have.
    type: list
    elements: str
    required: true
  nexthop:
    description: Their transport and next hop.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Deliver mail for example.com to imap2
  mailops.cyrus.transport_entry:
    keys: [example.com]
    nexthop: "lmtp:inet:[192.0.2.12]:24"
"""

RETURN = r"""
nexthop:
  description: The transport and next hop that the keys have now, or would have.
  returned: success
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _transport
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "table": {"type": "path", "default": "/etc/postfix/transport"},
            "keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "nexthop": {"type": "str", "required": True},
        },
        supports_check_mode=True,
    )
    given = module.params
    try:
        before, after, changed = _transport.ensure(
            given["table"], given["keys"], given["nexthop"], module.check_mode
        )
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        nexthop=given["nexthop"],
        diff={"before": before, "after": after, "before_header": given["table"]},
    )


if __name__ == "__main__":
    main()
