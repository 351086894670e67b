# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Exim on this host, as Debian configures it."""

from __future__ import annotations

import glob
import os
import re
import time
from collections.abc import Iterator, Mapping, Sequence

from . import _command, _exim_conf, _files
from ._errors import ReplicationError
from ._holds import Hold
from ._sever import sever

_EXIM = "exim4"
_DIR = "/etc/exim4"
_OWN = f"{_DIR}/exim4.conf"
_UNIT = "exim4.service"
_SECONDS = 60.0
_PAUSE = 0.1


def _run(*cmd: str) -> str:
    done = _command.run(list(cmd), _SECONDS)
    if done.rc != 0:
        raise ReplicationError(f"{' '.join(cmd)} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def _commands() -> Iterator[tuple[int, list[str]]]:
    """The processes of Exim and their words."""
    for path in glob.glob("/proc/[0-9]*"):
        try:
            words = _files.read(f"{path}/cmdline").split("\0")
        except OSError:
            continue
        if os.path.basename(words[0]).startswith("exim"):
            yield int(os.path.basename(path)), words


class Exim:
    """Exim of Debian: split, in one template, or with a configuration of the site's own."""

    name = "exim"
    dead: Sequence[str] = ()

    # -- what there is

    def require_running(self) -> None:
        """Refuse an Exim whose daemon does not run."""
        if not any("-bd" in words or "-bdf" in words for _pid, words in _commands()):
            raise ReplicationError("Exim does not run as a daemon on this host: start it")

    def refuse(self, hold: Hold) -> None:
        """Refuse transports, and a hold by the site itself."""
        if hold.transports or not hold.domains:
            raise ReplicationError(
                "Exim holds domains, no transports: name cyrus_mta_domains in place of "
                "cyrus_mta_transports"
            )
        path = self._path()
        ours = _exim_conf.BEGIN in _files.read(path)
        if self._held() and not ours:
            raise ReplicationError(
                f"Exim's configuration sets {_exim_conf.OPTION} already, and can't have it twice: "
                "hold the store's domains there by the hook of the driver none"
            )

    def _path(self) -> str:
        if os.path.exists(_OWN):
            return _OWN
        chosen = _files.read(f"{_DIR}/update-exim4.conf.conf")
        if re.search(r"^dc_use_split_config=['\"]?true", chosen, re.MULTILINE):
            return f"{_DIR}/conf.d/main/000_cyrus-held"
        return f"{_DIR}/exim4.conf.localmacros"

    def _held(self) -> set[str]:
        return _exim_conf.held_domains(_run(_EXIM, "-bP", _exim_conf.OPTION))

    def agents(self, hold: Hold) -> Sequence[str]:
        """Exim hands mail over itself."""
        return ()

    def files(self, holds: Sequence[Hold]) -> Mapping[str, str | None]:
        """The one file that says what is held."""
        path = self._path()
        return {path: _exim_conf.configuration(_files.read(path), holds, path)}

    def check_files(self) -> None:
        """Refuse a configuration that Exim would not start with; Debian's is made from parts."""
        if not os.path.exists(_OWN):
            _run("update-exim4.conf")
        _run(_EXIM, "-bV")

    def holds(self, hold: Hold) -> bool:
        """Whether Exim says that it holds the domains."""
        return set(hold.domains) <= self._held()

    def _waiting(self, hold: Hold) -> set[str]:
        listed = _exim_conf.messages(_run(_EXIM, "-bpu"))
        return {message.ident for message in listed if _exim_conf.is_meant(message, hold)}

    def queued(self, hold: Hold) -> int:
        """Messages with a recipient that is meant."""
        return len(self._waiting(hold))

    # -- what is done

    def reload(self, hold: Hold, deadline: float) -> None:
        """Let the daemon read its file; wait for those who hand over such mail."""
        old = dict(_commands())
        _run("systemctl", "reload", _UNIT)
        while left := self._delivering(old, hold):
            if time.monotonic() > deadline:
                raise ReplicationError(
                    "Exim is still handing over mail that it began with before: process "
                    f"{', '.join(map(str, left))}; run it again, or give it more time"
                )
            sever(self.dead)
            time.sleep(_PAUSE)

    def _delivering(self, old: Mapping[int, list[str]], hold: Hold) -> list[int]:
        now = dict(_commands())
        left = {pid: words for pid, words in old.items() if now.get(pid) == words}
        waiting = self._waiting(hold)
        return sorted(pid for pid, words in left.items() if waiting.intersection(words))

    def flush(self, hold: Hold, others: Sequence[Hold]) -> None:
        """Try what waits for these domains, except what is frozen; it goes on by itself."""
        # Force overrides every hold, and a message may be for more than one store.
        how = "-R" if others else "-Rf"
        for domain in hold.domains:
            run = ["systemd-run", "--quiet", "--collect", _EXIM, how, f"@{domain}"]
            _run(*run)
