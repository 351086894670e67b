# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab as a whole: up, down, and what it remembers in between."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

from . import access, cgroup, machine, network, tree
from .command import run, say
from .errors import LabError
from .files import write
from .host import Host
from .lock import hold
from .plan import HOSTS, RELEASES, releases_for
from .settings import CACHE, Settings, lab_ids, tree_lock


class Lab:
    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    @property
    def _releases_file(self) -> Path:
        return self.settings.state / "releases.json"

    def releases(self) -> dict[str, str]:
        """Return the release of each host that was made."""
        try:
            found = json.loads(self._releases_file.read_text())
        except FileNotFoundError:
            return {}
        return {name: found[name] for name in HOSTS if name in found}

    def remember(self, releases: Mapping[str, str]) -> None:
        write(self._releases_file, json.dumps({**self.releases(), **releases}))

    def host(self, name: str) -> Host:
        if name not in self.releases():
            raise LabError(f"the lab has no {name} yet: run `up --hosts {name}`")
        return Host(self.settings, name)

    def alone(self) -> AbstractContextManager[None]:
        """Keep every other command away from this lab."""
        return hold(self._lock("lab"), f"the lab {self.settings.lab_id}")

    def together(self) -> AbstractContextManager[None]:
        """Keep away what changes the lab as a whole."""
        return hold(self._lock("lab"), f"the lab {self.settings.lab_id}", shared=True)

    def alone_on(self, name: str) -> AbstractContextManager[None]:
        return hold(self._lock(name), name)

    def _lock(self, name: str) -> Path:
        return self.settings.run.with_name(f"{self.settings.lab_id}.{name}.lock")

    def up(self, names: Sequence[str], asked: Mapping[str, str]) -> None:
        """Boot the hosts that do not run, and write the inventory into this checkout."""
        access.check_folder(self.settings)
        releases = releases_for(names, asked, self.releases())
        machine.prepare()
        for release in sorted(set(releases.values())):
            tree.ensure(release)
        self.prepare_state()
        self.remember(releases)
        self.boot(names)
        self.write_access()
        say(f"the lab is up: {self.settings.folder / 'inventory.yml'}")

    def boot(self, names: Sequence[str]) -> None:
        """Boot those of the hosts that do not run, plug all cables in, wait for them."""
        releases = self.releases()
        hosts = [self.host(name) for name in names]
        self.prepare_state()
        network.make(self.settings.lab_id, self.settings.network)
        for host in hosts:
            if host.is_running() and not host.has_network():
                host.power_off()
            network.attach(self.settings.lab_id, self.settings.network, host.name)
            if not host.is_running():
                say(f"booting {host.name} ({releases[host.name]})")
                host.start(tree.ensure(releases[host.name]))
        in_parallel(Host.wait_ready, hosts)

    def prepare_state(self) -> None:
        """Make the places that the hosts need, or what of them is missing."""
        settings = self.settings
        settings.state.mkdir(parents=True, exist_ok=True)
        settings.state.chmod(0o700)
        settings.ssh_sockets.mkdir(parents=True, exist_ok=True)
        settings.ssh_sockets.chmod(0o700)
        settings.disk.mkdir(exist_ok=True)
        if not settings.disk.is_mount():
            options = f"size={settings.disk_size},mode=0755"
            run(["mount", "-t", "tmpfs", "-o", options, "mailops-lab", settings.disk])
        public = settings.key.with_suffix(".pub")
        if not public.exists():
            settings.key.unlink(missing_ok=True)
            name = f"mailops-{settings.lab_id}"
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", name, "-f", settings.key])

    def write_access(self) -> None:
        access.write_to(self.settings, list(self.releases()))

    def down(self) -> None:
        """Remove the lab, whatever of it there is."""
        settings = self.settings
        for name in HOSTS:
            Host(settings, name).power_off()
        network.remove(settings.lab_id)
        cgroup.remove(cgroup.of_lab(settings.lab_id))
        while settings.disk.is_mount():
            run(["umount", settings.disk])
        for folder in (settings.state, settings.run):
            shutil.rmtree(folder, ignore_errors=True)
        access.remove(settings)
        say(f"the lab {settings.lab_id} is gone")

    def remove_cache(self) -> None:
        """Remove the trees and the packages, unless a lab stands on them."""
        if others := lab_ids():
            raise LabError(f"the cache stays: lab {', '.join(others)} uses it; take it down first")
        with ExitStack() as locks:
            for release in RELEASES:
                locks.enter_context(hold(tree_lock(release), f"the tree of {release}"))
            shutil.rmtree(CACHE, ignore_errors=True)
        say("the cache is gone")


def in_parallel(action: Callable[[Host], None], hosts: Sequence[Host]) -> None:
    """Do it on all hosts at once; complain of the first failure when all are done."""
    if not hosts:
        return
    with ThreadPoolExecutor(len(hosts)) as pool:
        waiting = [pool.submit(action, host) for host in hosts]
    for each in waiting:
        each.result()
