#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: copy_source
short_description: Lets another host of a store copy this one's mail
version_added: 0.1.0
description:
  - Lets a key of ssh read the folders that a copy of this host's Cyrus consists of, by rsync and by
    nothing else, from one address, until it expires. The playbook C(reseed) uses it.
  - What belongs to the mail is offered. What a running Cyrus makes for itself, such as locks,
    sockets, logs and the caches that would be stale, is not.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  state:
    description: Whether somebody is let in.
    type: str
    choices: [present, absent]
    default: present
  key:
    description: The public key of the other host, as M(mailops.cyrus.copy_target) returns it.
    type: str
  address:
    description: The IP address from which the other host comes.
    type: str
  user:
    description: The account here that is logged in to. It has to be able to read all mail.
    type: str
    default: root
  hours:
    description: So many hours from now the key expires.
    type: float
    default: 72
  root:
    description:
      - Where a snapshot of this host is mounted, which is offered in place of the mail in use.
      - Every folder has its own path below it. One that was taken before O(anew) is refused.
    type: str
    default: /
  anew:
    description: Marks the folders anew, so that a snapshot taken after that is known.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Let imap3 copy this host's mail
  mailops.cyrus.copy_source:
    key: "{{ hostvars.imap3.cyrus_key.key }}"
    address: 192.0.2.13

- name: Offer the snapshot of this host that is mounted in /mnt
  mailops.cyrus.copy_source:
    key: "{{ hostvars.imap3.cyrus_key.key }}"
    address: 192.0.2.13
    root: /mnt

- name: Let nobody in any more
  mailops.cyrus.copy_source:
    state: absent
"""

RETURN = r"""
trees:
  description: The folders that are offered, by the names under which rsync finds them.
  returned: when O(state=present)
  type: list
  elements: str
  sample: [partition-default, sieve, config]
host_keys:
  description: This host's own keys of ssh.
  returned: when O(state=present)
  type: list
  elements: str
mark:
  description: What the folders are marked with, so that the same folder mounted twice is noticed.
  returned: when O(state=present)
  type: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _offer
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "key": {"type": "str", "no_log": False},
            "address": {"type": "str"},
            "user": {"type": "str", "default": "root"},
            "hours": {"type": "float", "default": 72},
            "root": {"type": "str", "default": "/"},
            "anew": {"type": "bool", "default": False},
        },
        required_if=[("state", "present", ["key", "address"])],
        supports_check_mode=True,
    )
    given, check = module.params, module.check_mode
    try:
        if given["state"] == "absent":
            module.exit_json(changed=_offer.absent(given["user"], check))
        asked = _offer.Asked(
            given["key"], given["address"], given["user"], given["hours"], given["root"]
        )
        offer, changed = _offer.present(asked, check, given["anew"])
    except (ReplicationError, OSError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=changed,
        trees=[tree.name for tree in offer.trees],
        host_keys=offer.host_keys,
        mark=offer.mark,
    )


if __name__ == "__main__":
    main()
