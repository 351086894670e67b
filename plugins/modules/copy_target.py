#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: copy_target
short_description: Puts a new copy of a store's mail in the place of a replica's old one
version_added: 0.1.0
description:
  - Holds what M(mailops.cyrus.rsync_pass) has copied in folders beside the mail that is in use,
    puts it in its place, and discards what was there before when that is asked for. The playbook
    C(reseed) uses it.
  - Only a replica's mail is replaced. Each state can be asked for again where a run was cut off;
    what a power cut leaves half done while the new copy takes its place is ended before Cyrus
    starts.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  state:
    description:
      - V(keyed) has a key of ssh for this, and returns its public half.
      - V(begun) has a new copy beside the old one, empty at first. What an earlier run has brought
        stays in it.
      - V(placed) stops Cyrus, has the new copy take the place of the old one, and starts Cyrus.
      - V(discarded) removes the copy that is not in use, and the key.
    type: str
    choices: [keyed, begun, placed, discarded]
    required: true
  source:
    description: Inventory name of the host that is copied from.
    type: str
  address:
    description: The IP address of that host.
    type: str
  port:
    description: Its port of ssh.
    type: int
    default: 22
  host_keys:
    description: Its keys of ssh, as M(mailops.cyrus.copy_source) returns them.
    type: list
    elements: str
    default: []
  trees:
    description: The folders that it offers, by name.
    type: list
    elements: str
    default: []
  mark:
    description: What its folders are marked with.
    type: str
    default: ""
  over:
    description:
      - Writes the new copy over the old one, where there is no room for both. Cyrus stands still
        here meanwhile, and nothing is left of the old copy.
    type: bool
    default: false
  timeout:
    description: Seconds that Cyrus may take to start with the new copy.
    type: float
    default: 120
"""

EXAMPLES = r"""
- name: Have a key
  mailops.cyrus.copy_target:
    state: keyed

- name: Put the new copy in its place
  mailops.cyrus.copy_target:
    state: placed
"""

RETURN = r"""
key:
  description: The public key.
  returned: when O(state=keyed), but for check mode without a key
  type: str
former:
  description: The folders in which the old copy is.
  returned: success
  type: list
  elements: str
  sample: [/var/spool/cyrus/mail/reseed-former., /var/lib/cyrus/reseed-former.]
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _newcopy, _stage
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {
                "type": "str",
                "required": True,
                "choices": ["keyed", "begun", "placed", "discarded"],
            },
            "source": {"type": "str"},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 22},
            "host_keys": {"type": "list", "elements": "str", "default": [], "no_log": False},
            "trees": {"type": "list", "elements": "str", "default": []},
            "mark": {"type": "str", "default": ""},
            "over": {"type": "bool", "default": False},
            "timeout": {"type": "float", "default": 120},
        },
        required_if=[("state", "begun", ["source", "address"])],
        supports_check_mode=True,
    )
    try:
        result = _carry_out(module.params, module.check_mode)
        module.exit_json(**result, former=_stage.former())
    except (ReplicationError, OSError) as error:
        module.fail_json(msg=str(error))


def _carry_out(given: dict[str, Any], check: bool) -> dict[str, Any]:
    if given["state"] == "keyed":
        key, changed = _newcopy.public_key(check)
        return {"changed": changed, "key": key}
    if given["state"] == "begun":
        source = _newcopy.Source(
            given["source"],
            given["address"],
            given["port"],
            given["host_keys"],
            given["trees"],
            given["mark"],
        )
        before = _stage.read()
        return {"changed": _newcopy.begin(source, given["over"], check) != before}
    if given["state"] == "placed":
        return {"changed": _newcopy.place(given["timeout"], check)}
    return {"changed": _newcopy.discard(check)}


if __name__ == "__main__":
    main()
