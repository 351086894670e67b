# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cyrus by a clock of its own, through Debian's libfaketime."""

from __future__ import annotations

import base64

from tests.integration import lab
from tests.lab.command import run
from tests.lab.settings import CACHE

from . import store

_LIBRARY = "/usr/lib/faketime/libfaketimeMT.so.1"
_DROP_IN = "/etc/systemd/system/cyrus-imapd.service.d/clock.conf"
# Only Cyrus itself: Python's waits fail under this library.
_SETTINGS = "LD_PRELOAD={} FAKETIME={:+d} FAKETIME_DONT_FAKE_MONOTONIC=1"
_START = """[Service]
ExecStart=
ExecStart=/usr/bin/env {} /usr/sbin/cyrmaster -l $LISTENQUEUE -C $CONF -M $MASTERCONF $OPTIONS
"""


def _library() -> bytes:
    """The library out of the package that this machine's own sources offer."""
    folder = CACHE / "faketime"
    if not folder.exists():
        partial = folder.with_suffix(".partial")
        partial.mkdir(parents=True, exist_ok=True)
        run(["sh", "-c", 'cd "$0" && apt-get -qq download libfaketime', str(partial)])
        (package,) = partial.glob("libfaketime_*.deb")
        run(["dpkg-deb", "-x", package, partial])
        partial.rename(folder)
    (path,) = folder.glob("usr/lib/*/faketime/libfaketimeMT.so.1")
    return path.read_bytes()


def set_wrong(host: str, seconds: int) -> None:
    """Start Cyrus again with a clock that is so many seconds ahead."""
    text = base64.b64encode(_library()).decode()
    lab.ssh(host, f"mkdir -p {_LIBRARY.rpartition('/')[0]} && base64 -d > {_LIBRARY}", data=text)
    settings = _SETTINGS.format(_LIBRARY, seconds)
    lab.ssh(host, f"cat > {_DROP_IN}", data=_START.format(settings))
    _restart(host)


def set_right(host: str) -> None:
    lab.ssh(host, f"rm -f {_DROP_IN}")
    _restart(host)


def _restart(host: str) -> None:
    store.end_cyrus(host)
    lab.ssh(host, "systemctl daemon-reload && systemctl restart cyrus-imapd")
