#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: copyback
short_description: Brings what an old Cyrus IMAP master alone has to the new one
version_added: 0.1.0
description:
  - Runs on the new master, while that serves clients. Compares the old master, which is fenced and
    is only read, with this host and with the merge base that was kept when this host became master.
  - First everything that only the old master has, and everything that would be taken away here, is
    put into an archive on this host. Then messages are added under new UIDs with their flags and
    INTERNALDATE, and flags, expunges, mailboxes, rights, subscriptions, annotations, quotas and
    Sieve scripts of the old master follow where nothing was changed here.
  - What was changed on both sides stays as it is here; it is reported, and the other version is in
    the archive or in the report.
  - O(old) may also be a host that was a replica of the old master and has more than this one had.
    What is no newer there than in the merge base is left out then, as is what the old master has
    brought back already.
  - Can be interrupted at any point and run again; nothing comes twice.
  - Fails where something could not be read or carried out, with all that is known.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  old:
    description: Name of the old master in the store, or of a superseded host that was its replica.
    type: str
    required: true
  epoch:
    description: The epoch of the merge base, which is that in which this host became master.
    type: int
    required: true
  path:
    description:
      - Unix socket of an IMAP server on this host that has the old master's data, where that host
        itself is gone. Without it the old master is read over the link.
    type: path
  user:
    description: Does it for this user only.
    type: str
  without_base:
    description:
      - Goes on although there is no merge base. Then nobody can tell what is new on the old master
        from what was expunged here, so everything is archived and nothing is merged.
    type: bool
    default: false
  lines:
    description: So many steps and conflicts are returned at most; the report has all of them.
    type: int
    default: 200
seealso:
  - module: mailops.cyrus.archive
"""

EXAMPLES = r"""
- name: What has to be brought back
  mailops.cyrus.copyback:
    old: imap1
    epoch: 4
  check_mode: true
  register: copyback

- name: Bring it back
  mailops.cyrus.copyback:
    old: imap1
    epoch: 4
"""

RETURN = r"""
counts:
  description:
    - How many owners, conflicts, things to archive and steps there are, then how many messages were
      archived and how many steps of each kind were carried out.
  returned: success
  type: dict
  sample: {owners: 8, conflicts: 1, saves: 4, steps: 3, archived: 4, add_messages: 2, messages: 3}
plan:
  description: The steps, the first O(lines) of them.
  returned: success
  type: list
  elements: dict
conflicts:
  description: What was changed on both sides, what was done, and where the other version is.
  returned: success
  type: list
  elements: dict
failures:
  description: Steps that could not be carried out, each with the reason.
  returned: success
  type: list
  elements: dict
unknown:
  description: What could not be read, as sentences.
  returned: success
  type: list
  elements: str
archive:
  description: Folder of the archive, which root alone may read.
  returned: success
  type: str
  sample: /var/lib/cyrus-replication/rejoin/4/archive
touched_on_old:
  description:
    - Owners whose copy on the old master differs from the merge base; null stands for what is
      shared.
  returned: success
  type: list
  elements: str
left:
  description: How many steps are still to be carried out.
  returned: success
  type: int
"""

from dataclasses import asdict
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _copyback
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "old": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "path": {"type": "path"},
            "user": {"type": "str"},
            "without_base": {"type": "bool", "default": False},
            "lines": {"type": "int", "default": 200},
        },
        supports_check_mode=True,
    )
    lines = module.params.pop("lines")
    try:
        report = _copyback.copy_back(_copyback.Asked(**module.params), module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    told: dict[str, Any] = asdict(report)
    for name in ("plan", "conflicts", "failures"):
        told[name] = told[name][:lines]
    after = "".join(f"{step['step']} {step.get('mailbox') or ''}\n" for step in told["plan"])
    told["diff"] = {"before": "", "after": after}
    if report.trouble is not None:
        module.fail_json(msg=report.trouble, **told)
    module.exit_json(**told)


if __name__ == "__main__":
    main()
