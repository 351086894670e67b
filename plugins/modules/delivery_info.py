#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: delivery_info
short_description: Tells whether the deliveries to a store are held, and whether they could be
version_added: 0.1.0
description:
  - Asks the mail server of a host that hands mail to a store. What could not be told is null, with
    the reason.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
  - mailops.cyrus.delivery
seealso:
  - module: mailops.cyrus.delivery_hold
"""

EXAMPLES = r"""
- name: Could the store's mail be held here
  mailops.cyrus.delivery_info:
    store: store1
    driver: postfix
    transports: [store1]
  register: delivery
"""

RETURN = r"""
driver:
  description: The mail server that was asked.
  returned: success
  type: str
running:
  description: Whether it runs, null where that is not known.
  returned: success
  type: bool
held:
  description:
    - Whether the deliveries are held, as the mail server says itself. It is false in the middle of
      a hold or a release that was cut off, and null where it is not known.
  returned: success
  type: bool
by:
  description:
    - Whose hold it is, also in the middle of a hold or a release that was cut off; null where
      nothing is held.
  returned: success
  type: str
  sample: switchover
since:
  description: Since when they have held it, ISO 8601 in UTC; null where nothing is held.
  returned: success
  type: str
  sample: "2026-01-01T00:00:00Z"
queued:
  description: Messages for the store in the queue, null where that is not known.
  returned: success
  type: int
reason:
  description: What speaks against a hold, or why something is not known; null where nothing does.
  returned: success
  type: str
  sample: "Postfix does not run on this host: start it"
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _delivery, _mta
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(argument_spec=_mta.ARGUMENTS, supports_check_mode=True)
    found: dict[str, Any] = _delivery.nothing_known(module.params["driver"])
    try:
        found = _delivery.look(*_mta.meant(module.params))
    except ReplicationError as error:
        found["reason"] = str(error)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
