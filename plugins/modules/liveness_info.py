#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: liveness_info
short_description: Tells whether anything of another machine answers
version_added: 0.1.0
description:
  - Connects from the host on which it runs to the ports of another machine, all at once. A machine
    that accepts or refuses a connection is alive; one that is silent may be off, or cut off.
  - With O(watch) it looks again until that time is over or something answers.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
options:
  addresses:
    description: The other machine's names or addresses.
    type: list
    elements: str
    required: true
  ports:
    description: TCP ports.
    type: list
    elements: int
    default: [22, 24, 110, 143, 993, 995, 2015, 2016, 2017, 4190]
  timeout:
    description: Seconds to wait for an answer.
    type: float
    default: 3
  watch:
    description: Seconds for which to go on as long as nothing answers.
    type: float
    default: 0
"""

EXAMPLES = r"""
- name: Nobody may see the old master for two minutes
  mailops.cyrus.liveness_info:
    addresses: [198.51.100.11]
    watch: 120
  register: liveness
  failed_when: liveness.alive or liveness.unknown | length > 0
"""

RETURN = r"""
alive:
  description: Whether anything answered.
  returned: always
  type: bool
signs:
  description: What answered, and how.
  returned: always
  type: list
  elements: dict
  sample: [{address: 198.51.100.11, port: 22, sign: accepts}]
unknown:
  description: What could not be tried, a sentence each.
  returned: always
  type: list
  elements: str
seconds:
  description: For how long nothing had answered when it ended.
  returned: always
  type: float
"""

import dataclasses

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _liveness

PORTS = [22, 24, 110, 143, 993, 995, 2015, 2016, 2017, 4190]


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "addresses": {"type": "list", "elements": "str", "required": True},
            "ports": {"type": "list", "elements": "int", "default": PORTS},
            "timeout": {"type": "float", "default": 3},
            "watch": {"type": "float", "default": 0},
        },
        supports_check_mode=True,
    )
    params = module.params
    look = _liveness.watch(params["addresses"], params["ports"], params["timeout"], params["watch"])
    module.exit_json(alive=bool(look.signs), **dataclasses.asdict(look))


if __name__ == "__main__":
    main()
