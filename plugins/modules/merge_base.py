#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: merge_base
short_description: Keeps what a new master has before its first write
version_added: 0.1.0
description:
  - Keeps a list of everything that a new master has, without the messages themselves, when the old
    one is lost. It tells later what never reached the new master from what was expunged since, when
    the old one is back.
  - Then a gap of numbers is left in every mailbox, so that no UID or MODSEQ which the old master
    has given out unseen is given out again for something else.
  - As long as the old master or another host is awaited Cyrus's C(cyr_expire) is not started on
    this host, so that what was expunged is not forgotten.
  - The host has to be master of the epoch, and fenced until the merge base is kept. The same call
    again completes one that was interrupted, and changes nothing otherwise.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
attributes:
  check_mode:
    support: full
  diff_mode:
    support: none
  idempotent:
    support: full
options:
  state:
    description:
      - With V(absent) the host O(old) is awaited no longer, and C(cyr_expire) runs again if nobody
        else is. The file with the merge base stays.
    type: str
    choices: [present, absent]
    default: present
  store:
    description: Name of the store.
    type: str
    required: true
  epoch:
    description: The epoch that began without the old master.
    type: int
    required: true
  old:
    description: Name of the old master; with O(state=absent) of any host that is awaited.
    type: str
    required: true
  others:
    description:
      - Names of further hosts that are awaited, since it is not known yet whether they have
        something that this one lacks.
    type: list
    elements: str
    default: []
  uid_gap:
    description:
      - How many UIDs are left out in each mailbox. More than the old master can have given out
        unseen.
    type: int
    default: 10000
  modseq_gap:
    description: How many MODSEQs are left out in each mailbox.
    type: int
    default: 100000
  timeout:
    description: Seconds in which Cyrus has to take its configuration.
    type: float
    default: 60
"""

EXAMPLES = r"""
- name: Keep what imap2 has before it takes the place of imap1
  mailops.cyrus.merge_base:
    store: store1
    epoch: 4
    old: imap1
"""

RETURN = r"""
path:
  description: The file with the merge base.
  returned: success
  type: str
  sample: /var/lib/cyrus-replication/rejoin/4/base.gz
users:
  description: How many users there are in it.
  returned: with O(state=present)
  type: int
mailboxes:
  description: How many mailboxes.
  returned: with O(state=present)
  type: int
messages:
  description: How many messages, expunged ones that are known still included.
  returned: with O(state=present)
  type: int
raised:
  description: How many mailboxes were raised by the gap, or would be.
  returned: with O(state=present)
  type: int
unknown:
  description: A sentence for each thing that could not be read, so that it is not in the base.
  returned: with O(state=present)
  type: list
  elements: str
seconds:
  description: How long it took.
  returned: with O(state=present)
  type: float
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _merge_base, _rejoins
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._gap import Gap


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "store": {"type": "str", "required": True},
            "epoch": {"type": "int", "required": True},
            "old": {"type": "str", "required": True},
            "others": {"type": "list", "elements": "str", "default": []},
            "uid_gap": {"type": "int", "default": 10000},
            "modseq_gap": {"type": "int", "default": 100000},
            "timeout": {"type": "float", "default": 60},
        },
        supports_check_mode=True,
    )
    params, check = module.params, module.check_mode
    gap = Gap(params["uid_gap"], params["modseq_gap"])
    others = tuple(params["others"])
    order = _merge_base.Order(params["store"], params["epoch"], params["old"], gap, others)
    try:
        if params["state"] == "absent":
            ended = _merge_base.end(order.epoch, order.old, params["timeout"], check)
            module.exit_json(changed=ended, path=_rejoins.base_of(order.epoch))
        kept = _merge_base.keep(order, params["timeout"], check)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    if kept.left:
        module.fail_json(msg="; ".join(kept.left[:10]), **_told(kept))
    module.exit_json(**_told(kept))


def _told(kept: _merge_base.Kept) -> dict[str, Any]:
    return {
        **{name: getattr(kept, name) for name in ("changed", "path", "raised", "unknown")},
        **vars(kept.counts),
        "seconds": kept.seconds,
    }


if __name__ == "__main__":
    main()
