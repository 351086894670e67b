# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a host runs outside Ansible, packed."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.mailops.cyrus.plugins.plugin_utils import _archive

LIBRARY = Path(__file__).resolve().parents[1] / "module_utils"


class LookupModule(LookupBase):  # type: ignore[misc]
    def run(self, terms: list[Any], variables: Any = None, **kwargs: Any) -> list[str]:
        sources = {path.stem: path.read_text("utf-8") for path in LIBRARY.glob("_*.py")}
        return [base64.b64encode(_archive.build(sources)).decode()]
