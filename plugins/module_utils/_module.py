# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What modules need of Ansible; the rest of the library knows nothing of it."""

from __future__ import annotations

from ansible.module_utils.basic import AnsibleModule


class SecretiveModule(AnsibleModule):  # type: ignore[misc]
    """A module whose options hold passwords inside of lists or dictionaries.

    Ansible masks a password in the host's log by its plain text, and such options are logged as
    Python writes them, where a quote or a backslash in it stands escaped. So nothing is logged.
    """

    def _log_invocation(self) -> None:
        pass
