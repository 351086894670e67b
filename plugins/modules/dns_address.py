#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs on the controller as an action; this file holds its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: dns_address
short_description: Changes the addresses of a name in the DNS by a signed update
version_added: 0.1.0
description:
  - Replaces all addresses of a name, IPv4 and IPv6 together, by one dynamic update (RFC 2136) that
    is signed (TSIG) and holds only as long as the name is as it was found.
  - Afterwards every server given is asked until it has the new addresses.
  - In check mode the server is asked to take what it has already, which changes nothing and fails
    where the change itself would be refused.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
requirements:
  - dnspython on the controller
attributes:
  action:
    description: Runs on the controller.
    support: full
  check_mode:
    support: full
  diff_mode:
    support: full
  idempotent:
    support: full
options:
  zone:
    description: The zone that the name is in.
    type: str
    required: true
  name:
    description: The name, with its domain.
    type: str
    required: true
  server:
    description: Address or name of the zone's primary server.
    type: str
    required: true
  port:
    description: Its port, and that of the servers in O(verify).
    type: int
    default: 53
  key_name:
    description: Name of the key.
    type: str
    required: true
  key_secret:
    description: The key, in base64 as the server has it.
    type: str
    required: true
  key_algorithm:
    description: Its algorithm.
    type: str
    default: hmac-sha256
  addresses:
    description: The addresses that the name is to have; without it they stay as they are.
    type: list
    elements: str
  ttl:
    description: Seconds for which others may keep the answer.
    type: int
    default: 300
  verify:
    description:
      - Further servers of the zone that have to have the addresses before this ends; the one in
        O(server) always has to.
      - A resolver is none of them, because it keeps an old answer for its TTL.
    type: list
    elements: str
    default: []
  timeout:
    description: Seconds for each question, and for the servers in O(verify) to follow.
    type: float
    default: 10
"""

EXAMPLES = r"""
- name: Let the name of the store be that of imap2
  mailops.cyrus.dns_address:
    zone: example.com
    name: imap.example.com
    server: 192.0.2.53
    key_name: cyrus
    key_secret: "{{ vault_dns_key }}"
    addresses: [192.0.2.12, "2001:db8::12"]
    ttl: 30
  run_once: true
"""

RETURN = r"""
before:
  description: Addresses and TTL as they were; the TTL is null where there was no address.
  returned: success
  type: dict
  sample: {"addresses": ["192.0.2.11"], "ttl": 30}
after:
  description: Addresses and TTL as they are, or would be.
  returned: success
  type: dict
seconds:
  description: How long it took.
  returned: success
  type: float
"""
