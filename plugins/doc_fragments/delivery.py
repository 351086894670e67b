# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Options of the modules that hold a store's deliveries."""

from __future__ import annotations


class ModuleDocFragment:
    """What is meant, and by which mail server."""

    DOCUMENTATION = r"""
options:
  store:
    description: Name of the store.
    type: str
    required: true
  driver:
    description: The mail server of this host.
    type: str
    choices: [postfix, exim]
    default: postfix
  domains:
    description:
      - Domains whose mail is meant, as recipients have them in the queue.
      - At least one of O(domains) and O(transports) has to be given.
    type: list
    elements: str
    default: []
  transports:
    description:
      - Names of transports in Postfix's C(master.cf) whose mail is meant, all of it. Exim has none.
    type: list
    elements: str
    default: []
"""
