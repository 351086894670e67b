# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives ansible-test the get-pip.py that it would otherwise fetch from a server of its own.

The stand-in runs the pip wheel of the package index that pip on this machine is set up for.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

from ansible_test._internal.python_requirements import get_venv_packages

CACHE = Path.home() / ".ansible" / "test" / "cache"

STAND_IN = """\
import os, runpy, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), {wheel!r}))
options = [arg for arg in sys.argv[1:] if arg not in ("--no-setuptools", "--no-wheel")]
sys.argv[1:] = ["install"] + options
runpy.run_module("pip", run_name="__main__", alter_sys=True)
"""


def main() -> None:
    python = SimpleNamespace(version=f"{sys.version_info[0]}.{sys.version_info[1]}")
    version = get_venv_packages(python)["pip"]
    script = CACHE / f"get_pip_{version.replace('.', '_')}.py"
    if script.exists():
        return
    CACHE.mkdir(parents=True, exist_ok=True)
    pip = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
    subprocess.run([*pip, "--no-deps", "--dest", str(CACHE), f"pip=={version}"], check=True)
    # Written last: an interrupted download leaves no script and is done again.
    script.write_text(STAND_IN.format(wheel=f"pip-{version}-py3-none-any.whl"))


if __name__ == "__main__":
    main()
