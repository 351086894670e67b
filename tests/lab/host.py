# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One host: an overlay over a tree, booted by systemd-nspawn in the host's own namespaces."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from . import cgroup, disk, network, packages
from .command import run, say, tail
from .errors import LabError
from .plan import address_of, hosts_file
from .settings import Settings
from .tree import Tree

_BOOT_SECONDS = 120
_STOP_SECONDS = 45
_NSPAWN = Path("/run/systemd/nspawn")
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

# The shell turns into nspawn, so the process that enters the group is the one that stays. The
# overlay is mounted in nspawn's mount namespace and goes with it: a dead host leaves no mount.
_START = """
echo $$ > "$GROUP/cgroup.procs"
echo $$ > "$LEADER"
if [ "$HYBRID" = yes ]; then
    umount -R /sys/fs/cgroup
    mount -t cgroup2 cgroup2 /sys/fs/cgroup
fi
if [ -e "$IMAGE" ]; then
    mkdir -p "$OWN"
    mount -o loop "$IMAGE" "$OWN"
fi
mount -t overlay -o "$OVERLAY" overlay "$ROOT"
exec systemd-nspawn "$@"
"""


@dataclass(frozen=True)
class Host:
    settings: Settings
    name: str

    @property
    def address(self) -> str:
        return str(address_of(self.settings.network, self.name))

    @property
    def folder(self) -> Path:
        return self.settings.state / "hosts" / self.name

    @property
    def disk(self) -> Path:
        return self.settings.disk / self.name

    @property
    def upper(self) -> Path:
        return self.disk / "upper"

    @property
    def _tree_file(self) -> Path:
        return self.disk / "tree"

    @property
    def image(self) -> Path:
        """The disk of a host that has one of its own."""
        return self.disk / "disk.img"

    @property
    def _own(self) -> Path:
        return self.disk / "own"

    def _written(self) -> Path:
        """Where the host finds what it has written: `upper` and `work`."""
        return self._own if self.image.exists() else self.disk

    def saved_parts(self) -> list[str]:
        """Return what of the disk makes the host, relative to it."""
        return [path.name for path in (self.upper, self.image, self._tree_file) if path.exists()]

    @property
    def console(self) -> Path:
        return self.folder / "console.log"

    @property
    def group(self) -> Path:
        return cgroup.of_host(self.settings.lab_id, self.name)

    @property
    def _machine(self) -> str:
        return f"{self.settings.lab_id}-{self.name}"

    @property
    def _leader_file(self) -> Path:
        return self.folder / "leader"

    def is_running(self) -> bool:
        return cgroup.is_populated(self.group)

    def has_network(self) -> bool:
        """Tell whether the running host lives in the namespace that bears its name."""
        path = network.NAMESPACES / network.namespace_of(self.settings.lab_id, self.name)
        init = self._init()
        if init is None or not path.exists():
            return path.exists()
        return path.stat().st_ino == Path(f"/proc/{init}/ns/net").stat().st_ino

    def start(self, newest: Tree) -> None:
        """Boot the host, without waiting for it: on its own tree, or the newest if it is new."""
        self.release_resources()
        self._prepare_disk(newest)
        tree = Tree(newest.release, self._tree_file.read_text())
        if not tree.is_whole():
            raise LabError(f"{self.name} stands on a tree that is gone from the cache: run `down`")
        (self.folder / "root").mkdir(exist_ok=True)
        (self.disk / "work").mkdir(exist_ok=True)
        self.group.mkdir(parents=True, exist_ok=True)
        # `index` and `metacopy` would tie the upper layer to this mount, and forbid copies of it.
        written = self._written()
        layers = f"lowerdir={tree.root},upperdir={written / 'upper'},workdir={written / 'work'}"
        env = {
            "PATH": _PATH,
            "GROUP": str(self.group),
            "LEADER": str(self._leader_file),
            "HYBRID": "yes" if cgroup.is_hybrid() else "no",
            "OVERLAY": f"{layers},index=off,metacopy=off,redirect_dir=off",
            "IMAGE": str(self.image),
            "OWN": str(self._own),
            "ROOT": str(self.folder / "root"),
            "SYSTEMD_NSPAWN_UNIFIED_HIERARCHY": "1",
        }
        unshare = ["unshare", "--mount", "--propagation", "slave", "sh", "-euc", _START, "sh"]
        with self.console.open("w") as log:
            subprocess.Popen(
                [*unshare, *self._nspawn_arguments(tree)],
                env=env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                start_new_session=True,
            )

    def _nspawn_arguments(self, tree: Tree) -> list[str]:
        namespace = network.namespace_of(self.settings.lab_id, self.name)
        return [
            "--quiet",
            "--register=no",
            "--keep-unit",
            "--settings=no",
            f"--machine={self._machine}",
            f"--hostname={self.name}",
            f"--directory={self.folder / 'root'}",
            f"--network-namespace-path={network.NAMESPACES / namespace}",
            # nspawn leaves a host its network to look at; a real one changes it as well.
            "--capability=CAP_NET_ADMIN",
            f"--bind-ro={tree.packages}:{packages.MOUNT_POINT}",
            "--resolv-conf=off",
            "--timezone=off",
            "--link-journal=no",
            "--boot",
        ]

    def _prepare_disk(self, tree: Tree) -> None:
        """Give a new host its name, its keys and its peers' addresses."""
        self.folder.mkdir(parents=True, exist_ok=True)
        key = self.settings.host_key(self.name)
        if not key.with_suffix(".pub").exists():
            key.unlink(missing_ok=True)
            run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", self.name, "-f", key])
        if self.image.exists():
            disk.wait_released(self.image)
            return
        if self.upper.exists():
            return
        new = self.disk / "new"
        shutil.rmtree(new, ignore_errors=True)
        (new / "etc/ssh").mkdir(parents=True)
        (new / "root/.ssh").mkdir(parents=True)
        for folder, mode in ((new, 0o755), (new / "root", 0o700), (new / "root/.ssh", 0o700)):
            folder.chmod(mode)
        (new / "etc/hostname").write_text(f"{self.name}\n")
        (new / "etc/machine-id").write_text(f"{secrets.token_hex(16)}\n")
        (new / "etc/hosts").write_text(hosts_file(self.settings.network))
        shutil.copy(self.settings.key.with_suffix(".pub"), new / "root/.ssh/authorized_keys")
        shutil.copy(key, new / "etc/ssh")
        shutil.copy(key.with_suffix(".pub"), new / "etc/ssh")
        # What is named `upper` is complete. It fits the tree that it was begun on, and no other.
        self._tree_file.write_text(tree.key)
        new.rename(self.upper)

    def wait_ready(self) -> None:
        """Wait until sshd answers and systemd has started everything."""
        deadline = time.monotonic() + _BOOT_SECONDS
        while not (self._sshd_answers() and self._has_started()):
            if not self._is_starting() or time.monotonic() > deadline:
                raise LabError(f"{self.name} did not boot:\n{tail(self.console, 30)}")
            time.sleep(0.2)
        say(f"{self.name} is up at {self.address}")

    def _is_starting(self) -> bool:
        # The first process needs a moment to enter the group.
        if self.is_running():
            return True
        time.sleep(2)
        return self.is_running()

    def _sshd_answers(self) -> bool:
        try:
            with socket.create_connection((self.address, 22), timeout=0.5) as connection:
                return connection.recv(4) == b"SSH-"
        except OSError:
            return False

    def _has_started(self) -> bool:
        try:
            command = self.command(["systemctl", "is-system-running"])
        except LabError:
            return False
        asked = subprocess.run(
            command, check=False, stdin=subprocess.DEVNULL, capture_output=True, text=True
        )
        return asked.stdout.strip() in ("running", "degraded")

    def stop(self) -> None:
        """Shut the host down in order; cut the power where it takes too long."""
        leader = self._leader()
        if leader is not None:
            os.kill(leader, signal.SIGTERM)
            if not cgroup.wait_empty(self.group, _STOP_SECONDS):
                say(f"{self.name} does not shut down: cutting its power")
        self.power_off()

    def power_off(self) -> None:
        """Cut the power: every process ends at once, and the network goes first."""
        network.detach(self.settings.lab_id, self.name)
        cgroup.kill(self.group)
        self.release_resources()

    def cut_power(self) -> None:
        """Cut the power; a disk of its own loses what it has not been given yet."""
        cgroup.freeze(self.group)
        if (leader := self._leader()) is not None and self.image.exists():
            disk.lose_unwritten(Path(f"/proc/{leader}/root{self._own}"))
        self.power_off()

    def file(self, path: str) -> Path:
        """Where this machine finds a file of the running host."""
        return Path(f"/proc/{self._init()}/root{path}")

    def give_own_disk(self) -> None:
        """Move what a host that is off has written to a filesystem of its own."""
        disk.make(self.image, [self.upper, self.disk / "work"])
        shutil.rmtree(self.upper)

    def release_resources(self) -> None:
        """Remove what a dead host leaves: its group, its connections' sockets, nspawn's notes."""
        cgroup.remove(self.group)
        self._leader_file.unlink(missing_ok=True)
        shutil.rmtree(_NSPAWN / "propagate" / self._machine, ignore_errors=True)
        self._close_connections()

    def _close_connections(self) -> None:
        """End the shared ssh connections to the host, which would hang on a dead peer."""
        control = self.settings.ssh_sockets / self.address
        if control.exists():
            stop = ["ssh", "-o", f"ControlPath={control}", "-O", "exit", self.address]
            subprocess.run(stop, check=False, stdin=subprocess.DEVNULL, capture_output=True)
            control.unlink(missing_ok=True)

    def _leader(self) -> int | None:
        """Return nspawn's process: the one recorded, as long as it is in the host's group."""
        try:
            pid = int(self._leader_file.read_text())
        except (OSError, ValueError):
            return None
        groups = (self.group, self.group / "supervisor")
        return pid if any(pid in cgroup.processes(group) for group in groups) else None

    def _init(self) -> int | None:
        """Return the process that is number 1 inside the host."""
        leader = self._leader()
        if leader is None:
            return None
        children = _read(f"/proc/{leader}/task/{leader}/children").split()
        return next((int(child) for child in children if _is_init(child)), None)

    def command(self, argv: list[str]) -> list[str]:
        """Return the command that runs argv inside the host."""
        init = self._init()
        if init is None:
            raise LabError(f"{self.name} does not run: boot it first")
        enter = ["nsenter", "-t", str(init), "-m", "-u", "-i", "-n", "-p", "-r", "-w"]
        clean = ["env", "-i", f"PATH={_PATH}", "HOME=/root", "LANG=C.UTF-8", "TERM=dumb"]
        return [*enter, "--", *clean, *argv]

    def run(self, argv: list[str]) -> int:
        """Run argv inside the host with the caller's input and output; return its status."""
        command = self.command(argv)
        # In the host's group, so that a power cut ends it too.
        group = self.group / "run"
        group.mkdir(exist_ok=True)
        enter = ["sh", "-euc", 'echo $$ > "$0/cgroup.procs"; exec "$@"', str(group)]
        return subprocess.run([*enter, *command], check=False).returncode


def _is_init(pid: str) -> bool:
    for line in _read(f"/proc/{pid}/status").splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:] == [pid, "1"]
    return False


def _read(path: str) -> str:
    """Return the text of a file of /proc, nothing when its process has ended."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""
