#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: archive
short_description: Copies the files of a mailbox or a user aside on a Cyrus IMAP server
version_added: 0.1.0
description:
  - Copies what exists on this host only, as what is in quarantine, before another host becomes
    master.
  - Copies the files as they lie, whether Cyrus can open the mailbox or not, with their times, and
    an C(index.json) that has UID, GUID, flags and INTERNALDATE of each message as far as Cyrus
    tells them.
  - The folder is named after what is in it, so the same is not copied twice.
  - Nothing is left of a copy that could not be finished. Fence the host before, or see that nobody
    writes to the mailboxes meanwhile.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.changing
options:
  mailbox:
    description: Internal name of a mailbox, as V(user.anna.Sent).
    type: str
  user:
    description:
      - A userid, for all of the user's mailboxes, deleted ones included, subscriptions, seen state
        and Sieve scripts.
    type: str
seealso:
  - module: mailops.cyrus.quarantine_info
"""

EXAMPLES = r"""
- name: Keep what the new master will not have
  mailops.cyrus.archive:
    mailbox: user.anna.Sent
"""

RETURN = r"""
where:
  description: Folder of the copy, which root alone may read.
  returned: success
  type: str
  sample: /var/lib/cyrus-replication/archive/user.anna.Sent-0f5c2d7a9be14c3d
count:
  description: How many messages are in it.
  returned: success
  type: int
bytes:
  description: Size of all files in it.
  returned: success
  type: int
unread:
  description: Mailboxes of whose messages Cyrus told nothing but the files, with the reason.
  returned: success
  type: dict
  sample: {user.anna.Sent: "IMAP_MAILBOX_BADFORMAT Mailbox has an invalid format"}
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _keep
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={"mailbox": {"type": "str"}, "user": {"type": "str"}},
        required_one_of=[("mailbox", "user")],
        mutually_exclusive=[("mailbox", "user")],
        supports_check_mode=True,
    )
    try:
        kept = _keep.keep(module.params["mailbox"], module.params["user"], module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(
        changed=not kept.present,
        where=kept.where,
        count=kept.count,
        bytes=kept.bytes,
        unread=kept.unread,
        diff={"before": f"{kept.where}\n" if kept.present else "", "after": f"{kept.where}\n"},
    )


if __name__ == "__main__":
    main()
