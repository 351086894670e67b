#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: server_info
short_description: Tells what Cyrus IMAP is installed on a host and which role it has
version_added: 0.1.0
description:
  - Reads the version, the settings that decide where mail lies, the services and the role record of
    a host.
  - Works on hosts without Cyrus too.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
options:
  packages:
    description:
      - Debian packages to look for; those that are not installed are returned in
        RV(missing_packages).
    type: list
    elements: str
    default: []
  settings:
    description:
      - Options of C(imapd.conf) that are to be set; RV(wanted_layout) is the layout with them.
    type: dict
    default: {}
"""

EXAMPLES = r"""
- name: What is here
  mailops.cyrus.server_info:
  register: server

- name: Who is master
  ansible.builtin.debug:
    msg: "{{ server.record.master if server.record else 'not set up' }}"
"""

RETURN = r"""
installed:
  description: Whether Cyrus IMAP is installed.
  returned: success
  type: bool
version:
  description: The version as the distribution names it, null where Cyrus is not installed.
  returned: success
  type: str
  sample: cyrus-imapd 3.6.1-4+deb12u3-Debian
record:
  description: The role record of the host, null where C(setup) never ran.
  returned: success
  type: dict
  sample:
    store: store1
    host: imap1
    role: master
    master: imap1
    epoch: 1
    since: "2026-01-01T00:00:00Z"
fence:
  description:
    - Since when, by whom and why the host is fenced, so that it serves no clients; null where it is
      not.
  returned: success
  type: dict
  sample: {since: "2026-11-01T10:00:00Z", by: administrator, reason: the disk is replaced}
cleared:
  description:
    - Whether a master has learned since its boot that it still is the master. One that has not
      serves no clients. Null on other hosts.
  returned: success
  type: bool
history:
  description: The newest entries of the host's history, oldest first.
  returned: success
  type: list
  elements: dict
doubt:
  description:
    - Since when and why copies on this host may not be whole, as after Cyrus was not stopped in
      order; null where nothing speaks for that. A comparison that began later ends it.
  returned: success
  type: dict
  sample: {since: "2026-11-01T10:00:00Z", reason: "Cyrus ended with the result signal"}
awaited:
  description:
    - Masters that were lost and in whose place this host came. What only they have can still be
      brought back by C(rejoin); until then C(cyr_expire) is not started here.
  returned: success
  type: list
  elements: dict
  sample:
    - old: imap1
      epoch: 4
      since: "2026-11-01T10:00:00Z"
      base: /var/lib/cyrus-replication/rejoin/4/base.gz
guard:
  description:
    - What the host's guard does and why, and what each peer said to it; null where none is set up.
    - Its state is V(watching), V(waiting) for a peer, V(fenced), V(superseded), V(failing),
      V(stopped) or V(unknown).
  returned: success
  type: dict
  sample:
    state: watching
    since: "2026-11-01T10:00:00Z"
    reason: null
    peers:
      imap2: {reached: true, role: replica, epoch: 1, fenced: false, reason: null}
guards:
  description:
    - The terms on which the guard of each other host lets it serve, as it has told them last;
      C(alone), C(lease) in seconds and C(delivery_hosts) as in the role C(setup).
  returned: success
  type: dict
  sample:
    imap2: {alone: wait, lease: 120.0, delivery_hosts: [198.51.100.21]}
store_hosts:
  description: The hosts of the store as C(setup) has last described it on this host.
  returned: success
  type: list
  elements: str
source:
  description:
    - The host that feeds this one where it is a replica, by what C(setup) has last described. It is
      the master, or another replica in a chain.
  returned: success
  type: str
layout:
  description:
    - Settings that have to be equal on all hosts of a store, null where Cyrus is not installed.
  returned: success
  type: dict
  sample: {hashimapspool: "yes", virtdomains: "off"}
wanted_layout:
  description:
    - The same with the site's own C(imapd.conf) and O(settings), null where Cyrus is not installed.
  returned: success
  type: dict
services:
  description: Names of the services that C(cyrus.conf) starts.
  returned: success
  type: list
  elements: str
missing:
  description: One sentence for each entry of C(cyrus.conf) whose program is not installed.
  returned: success
  type: list
  elements: str
missing_packages:
  description: Those of O(packages) that are not installed.
  returned: success
  type: list
  elements: str
realm:
  description: The realm in which Cyrus looks up accounts without one.
  returned: success
  type: str
  sample: imap1
"""

from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._imapd_conf import as_text
from ansible_collections.mailops.cyrus.plugins.module_utils._server import describe


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "packages": {"type": "list", "elements": "str", "default": []},
            "settings": {"type": "dict", "default": {}},
        },
        supports_check_mode=True,
    )
    found: dict[str, Any] = {}
    try:
        describe(found, module.params["packages"], as_text(module.params["settings"]))
    except ReplicationError as error:
        module.fail_json(msg=str(error), **found)
    module.exit_json(**found)


if __name__ == "__main__":
    main()
