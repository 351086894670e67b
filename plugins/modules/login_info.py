#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: login_info
short_description: Tells whether clients can log in to an IMAP server
version_added: 0.1.0
description:
  - Connects as a client does, verifies the server's certificate against the name that was given
    where it offers TLS, and logs in.
  - Fails where that is not possible.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
options:
  host:
    description: Name or address that clients use.
    type: str
    required: true
  port:
    description: Port of the server.
    type: int
    default: 143
  tls:
    description:
      - V(auto) takes STARTTLS where the server offers it, V(starttls) insists on it, V(implicit)
        is TLS from the first byte, V(none) is without.
    type: str
    choices: [auto, starttls, implicit, none]
    default: auto
  ca_file:
    description: Authorities that are trusted; those of the system by default.
    type: path
  user:
    description: Who logs in.
    type: str
    required: true
  password:
    description: The user's password.
    type: str
    required: true
  timeout:
    description: Seconds to wait for each answer.
    type: int
    default: 20
"""

EXAMPLES = r"""
- name: Clients can log in
  mailops.cyrus.login_info:
    host: imap.example.com
    port: 993
    tls: implicit
    user: probe
    password: "{{ vault_probe_password }}"
"""

RETURN = r"""
greeting:
  description: The server's first line.
  returned: when it connected
  type: str
encrypted:
  description: Whether the connection was encrypted, with a certificate that fits the name.
  returned: when it connected
  type: bool
logged_in:
  description: Whether the login was accepted.
  returned: always
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.mailops.cyrus.plugins.module_utils import _login
from ansible_collections.mailops.cyrus.plugins.module_utils._errors import ReplicationError


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "host": {"type": "str", "required": True},
            "port": {"type": "int", "default": 143},
            "tls": {
                "type": "str",
                "default": "auto",
                "choices": ["auto", "starttls", "implicit", "none"],
            },
            "ca_file": {"type": "path"},
            "user": {"type": "str", "required": True},
            "password": {"type": "str", "required": True, "no_log": True},
            "timeout": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    found = _login.Login()
    try:
        _login.log_in(found, **module.params)
    except ReplicationError as error:
        module.fail_json(msg=str(error), **found.as_dict())
    module.exit_json(**found.as_dict())


if __name__ == "__main__":
    main()
