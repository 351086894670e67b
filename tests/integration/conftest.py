# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What several files of tests share."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.lab import mail

from . import four, lab


@pytest.fixture(scope="session")
def four_hosts() -> Iterator[None]:
    """Three hosts with a store and mail in it; a lab that is there already stays."""
    stays = lab.INVENTORY.exists()
    four.up(*four.FIRST)
    four.setup()
    subprocess.run([sys.executable, "-m", "tests.lab.site", "--no-mail"], cwd=lab.ROOT, check=True)
    mail.generate(mail.the_store(), four.USERS, seed=1, folders=3, count=20)
    yield
    if not stays:
        lab.lab("down")
