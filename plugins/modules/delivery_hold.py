#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: delivery_hold
short_description: Holds the deliveries to a store on a host that hands mail to it
version_added: 0.1.0
description:
  - Keeps a store's mail in the queue of the mail server on this host, and lets it go again. New
    mail is taken and queued, nothing goes back to its sender for having waited, and mail for others
    goes on.
  - With Postfix, neither C(postqueue -f) nor ETRN overrides a hold.
  - Once it is held, nothing is being handed over any more. The files of the mail server that were
    changed for it are as the site had them after the release, and what is held stays held over a
    restart of the host.
  - What is held is noted in C(/var/lib/cyrus-replication/mta/) before the first change. A run that
    was cut off is completed, or undone, by the next one.
  - Several stores can be held on one host.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
  - mailops.cyrus.delivery
options:
  state:
    description: Whether the deliveries are held, or go.
    type: str
    choices: [held, released]
    required: true
  by:
    description:
      - Who holds or releases. What another holds already stays the other's, but V(administrator)
        takes it over.
      - Only V(administrator) releases what another holds, or lets it hold other mail.
    type: str
    choices: [switchover, failover, reseed, administrator]
    default: administrator
  dead:
    description:
      - Addresses of a machine that does not serve any more, which may have lost its power. What is
        open to them is broken off with a hold, since a mail server waits for minutes for an answer
        that never comes.
      - A message whose acceptance was not answered is sent once more later.
    type: list
    elements: str
    default: []
    version_added: 0.1.0
  flush:
    description: Try the queue at once with the release, also what would wait for its next turn.
    type: bool
    default: true
  timeout:
    description: Seconds to wait until the mail server has read its files, and until what was being
      handed over has ended.
    type: float
    default: 60
seealso:
  - module: mailops.cyrus.delivery_info
"""

EXAMPLES = r"""
- name: The mail for the store waits
  mailops.cyrus.delivery_hold:
    store: store1
    state: held
    driver: postfix
    transports: [store1]

- name: It goes on
  mailops.cyrus.delivery_hold:
    store: store1
    state: released
    driver: postfix
    transports: [store1]
"""

RETURN = r"""
held:
  description: Whether the deliveries are held now.
  returned: success
  type: bool
by:
  description: Whose hold it is, null where nothing is held.
  returned: success
  type: str
  sample: administrator
queued:
  description:
    - Messages for the store in the queue, with a release before the queue is flushed; null where
      the mail server could not say.
  returned: success
  type: int
done:
  description: What was done, or would be done.
  returned: success
  type: list
  elements: str
  sample: ["hold store1"]
"""

from contextlib import nullcontext

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _delivery, _holds, _mta
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            **_mta.ARGUMENTS,
            "state": {"type": "str", "choices": ["held", "released"], "required": True},
            "by": {"type": "str", "choices": list(_holds.BY), "default": "administrator"},
            "dead": {"type": "list", "elements": "str", "default": []},
            "flush": {"type": "bool", "default": True},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    asked = module.params
    try:
        driver, wanted = _mta.meant(asked)
        with nullcontext() if module.check_mode else _holds.turn(asked["timeout"]):
            if asked["state"] == "held":
                found = _delivery.hold(driver, wanted, module.check_mode, asked["timeout"])
            else:
                found = _delivery.release(
                    driver, wanted, module.check_mode, asked["flush"], asked["timeout"]
                )
    except (ReplicationError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=bool(found.done),
        held=found.held,
        by=found.by,
        queued=found.queued,
        done=found.done,
        diff=[change.diff() for change in found.changes],
    )


if __name__ == "__main__":
    main()
