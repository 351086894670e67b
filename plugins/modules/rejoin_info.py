#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: rejoin_info
short_description: Tells for which old masters a host waits, and what it has set aside itself
version_added: 0.1.0
description:
  - Reads what a failover and a rejoin have left on a host. Changes nothing.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
seealso:
  - module: mailops.cyrus.replica_reset
"""

EXAMPLES = r"""
- name: Who has to come back?
  mailops.cyrus.rejoin_info:
  register: pending
"""

RETURN = r"""
marks:
  description: The old masters for which this host waits, each with the merge base kept for it.
  returned: success
  type: list
  elements: dict
  sample:
    - epoch: 2
      old: imap1
      base: /var/lib/cyrus-replication/rejoin/2/base.gz
      since: "2026-11-01T10:00:00Z"
asides:
  description: What this host has set aside itself, by epoch, before it dropped it.
  returned: success
  type: list
  elements: dict
  contains:
    epoch:
      description: The epoch in which it was superseded.
      returned: always
      type: int
    complete:
      description: Whether all was set aside, so that dropping may have begun.
      returned: always
      type: bool
    users:
      description: Whose mailboxes.
      returned: always
      type: list
      elements: str
    shared:
      description: Whether shared mailboxes as well.
      returned: always
      type: bool
    proven:
      description: Whether the host was shown to be equal to its master afterwards.
      returned: always
      type: bool
    spare:
      description: Whether all of it was saved elsewhere as well, so that it may be discarded.
      returned: always
      type: bool
    where:
      description: The folders.
      returned: always
      type: list
      elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _pending
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(argument_spec={}, supports_check_mode=True)
    try:
        module.exit_json(**_pending.describe())
    except ReplicationError as error:
        module.fail_json(msg=str(error))


if __name__ == "__main__":
    main()
