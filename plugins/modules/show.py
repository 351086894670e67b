#!/usr/bin/python
# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

# Runs on the controller as an action; this file holds its documentation.

from __future__ import annotations

DOCUMENTATION = r"""
module: show
short_description: Shows lines of text as they are
version_added: 0.1.0
description:
  - Shows a table or a report on the controller's terminal, without the quotes and folds in which
    Ansible shows a value.
author:
  - mailops.cyrus contributors (@mailops)
extends_documentation_fragment:
  - mailops.cyrus.attributes
  - mailops.cyrus.attributes.info_module
attributes:
  action:
    description: Runs on the controller.
    support: full
options:
  lines:
    description: The lines.
    type: list
    elements: str
    required: true
"""

EXAMPLES = r"""
- name: Show a table
  mailops.cyrus.show:
    lines:
      - host   role
      - imap1  master
"""

RETURN = r"""
lines:
  description: The lines.
  returned: success
  type: list
  elements: str
"""
