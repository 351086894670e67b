# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The rounds that were played, a line of JSON each, so that a run that was cut off can go on."""

from __future__ import annotations

import json
from pathlib import Path

from tests.lab.files import write

from .outcome import Outcome


class Record:
    def __init__(self, path: Path) -> None:
        self.path = path
        text = path.read_text() if path.exists() else ""
        self.outcomes = [Outcome.of(json.loads(line)) for line in text.splitlines()]

    def add(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        lines = [json.dumps(one.as_dict()) for one in self.outcomes]
        write(self.path, "".join(f"{line}\n" for line in lines))

    def put_aside(self) -> None:
        """Begin a new one; this one is kept under the seed of its rounds."""
        if self.outcomes:
            self.path.rename(self.path.with_stem(f"{self.path.stem}-{self.outcomes[0].seed}"))
            self.outcomes = []
