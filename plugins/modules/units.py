#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: units
short_description: Keeps Cyrus and the units of its replication running
version_added: 0.1.0
description:
  - Enables and starts units in the order given, and restarts one whose files are newer than its
    start, so that a run that was cut off between a file and a restart is made good by the next.
  - Marks a Cyrus that runs as running, so that an end that is not in order is noticed.
  - Stops and disables instances of the collection's unit templates that are not wanted any more.
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
      - What was done is in RV(done).
  idempotent:
    support: full
options:
  units:
    description: The units that have to run.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the unit.
        type: str
        required: true
      files:
        description: Files that it reads when it starts.
        type: list
        elements: path
        default: []
      sockets:
        description: Unix sockets that have to greet before the unit counts as up.
        type: list
        elements: path
        default: []
  timeout:
    description: Seconds in which a unit has to be up.
    type: int
    default: 60
"""

EXAMPLES = r"""
- name: Cyrus runs with the configuration that is there
  mailops.cyrus.units:
    units:
      - name: cyrus-imapd.service
        files:
          - /etc/imapd.conf
          - /etc/cyrus.conf
        sockets:
          - /run/cyrus/private/csync
"""

RETURN = r"""
done:
  description: What was done to which unit.
  returned: success
  type: list
  elements: str
  sample: ["enable cyrus-link@imap2.service", "start cyrus-link@imap2.service"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _units
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError

UNIT = {
    "name": {"type": "str", "required": True},
    "files": {"type": "list", "elements": "path", "default": []},
    "sockets": {"type": "list", "elements": "path", "default": []},
}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "units": {"type": "list", "elements": "dict", "required": True, "options": UNIT},
            "timeout": {"type": "int", "default": 60},
        },
        supports_check_mode=True,
    )
    units = [
        _units.Unit(u["name"], tuple(u["files"]), tuple(u["sockets"]))
        for u in module.params["units"]
    ]
    try:
        done = _units.ensure(units, _units.TEMPLATES, module.check_mode, module.params["timeout"])
        done += _units.mark_running(module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(done), done=done)


if __name__ == "__main__":
    main()
