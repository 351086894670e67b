#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: account
short_description: Keeps accounts in a SASL database
version_added: 0.1.0
description:
  - Sets passwords with C(saslpasswd2).
  - The database tells nobody what a password is, so a salted hash of the last one that was set is
    kept in C(/etc/cyrus-replication/accounts.json), readable by root alone.
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
      - There is nothing to show but passwords.
  idempotent:
    support: full
    details:
      - A password that was changed by other means is not noticed.
options:
  accounts:
    description: The accounts.
    type: list
    elements: dict
    required: true
    suboptions:
      user:
        description: The login.
        type: str
        required: true
      password:
        description: Its password.
        type: str
        required: true
      realm:
        description: The realm it is in.
        type: str
        required: true
      database:
        description: Path of the SASL database.
        type: path
        default: /etc/sasldb2
      group:
        description: Group that may read the database.
        type: str
        default: sasl
"""

EXAMPLES = r"""
- name: An administrator for cyradm
  mailops.cyrus.account:
    accounts:
      - user: cyrus
        password: "{{ vault_cyrus_admin_password }}"
        realm: "{{ ansible_facts.hostname }}"
"""

RETURN = r"""
set:
  description: The accounts whose password was set, each as database and login.
  returned: success
  type: list
  elements: str
"""

from ansible_collections.mailops.cyrus.plugins.module_utils import _accounts
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError
from ansible_collections.mailops.cyrus.plugins.module_utils._module import SecretiveModule

ACCOUNT = {
    "user": {"type": "str", "required": True},
    "password": {"type": "str", "required": True, "no_log": True},
    "realm": {"type": "str", "required": True},
    "database": {"type": "path", "default": "/etc/sasldb2"},
    "group": {"type": "str", "default": "sasl"},
}


def main() -> None:
    module = SecretiveModule(
        argument_spec={
            "accounts": {"type": "list", "elements": "dict", "required": True, "options": ACCOUNT},
        },
        supports_check_mode=True,
    )
    accounts = [_accounts.Account(**account) for account in module.params["accounts"]]
    try:
        changed = _accounts.ensure(accounts, module.check_mode)
    except ReplicationError as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=bool(changed), set=changed)


if __name__ == "__main__":
    main()
