# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's command line."""

from __future__ import annotations

import argparse
import sys

from . import machine, network, snapshot
from .command import say
from .errors import LabError
from .host import Host
from .lab import Lab
from .plan import HOSTS, parse_hosts, parse_releases
from .settings import from_environment


def _up(lab: Lab, args: argparse.Namespace) -> int:
    names, asked = parse_hosts(args.hosts), parse_releases(args.release)
    with lab.alone():
        lab.up(names, asked)
    return 0


def _tools(_lab: Lab, _args: argparse.Namespace) -> int:
    machine.prepare()
    return 0


def _down(lab: Lab, args: argparse.Namespace) -> int:
    with lab.alone():
        lab.down()
        if args.cache:
            lab.remove_cache()
    return 0


def _status(lab: Lab, args: argparse.Namespace) -> int:
    releases = lab.releases()
    for name, release in releases.items():
        host = Host(lab.settings, name)
        state = "running" if host.is_running() else "off"
        link = "up" if network.link_is_up(lab.settings.lab_id, name) else "down"
        print(f"{name:6} {host.address:15} {release:9} {state:8} link {link}")
    if not releases:
        print(f"the lab {lab.settings.lab_id} is not up")
    return 0


def _boot(lab: Lab, args: argparse.Namespace) -> int:
    with lab.together(), lab.alone_on(args.host):
        lab.boot([args.host])
    return 0


def _reboot(lab: Lab, args: argparse.Namespace) -> int:
    with lab.together(), lab.alone_on(args.host):
        lab.host(args.host).stop()
        lab.boot([args.host])
    return 0


def _poweroff(lab: Lab, args: argparse.Namespace) -> int:
    with lab.together(), lab.alone_on(args.host):
        lab.host(args.host).cut_power()
        say(f"{args.host} is off")
    return 0


def _disk(lab: Lab, args: argparse.Namespace) -> int:
    with lab.together(), lab.alone_on(args.host):
        host = lab.host(args.host)
        if host.image.exists():
            return 0
        running = host.is_running()
        host.stop()
        host.give_own_disk()
        if running:
            lab.boot([args.host])
    return 0


def _link(lab: Lab, args: argparse.Namespace) -> int:
    network.set_link(lab.settings.lab_id, lab.host(args.host).name, args.state)
    return 0


def _run(lab: Lab, args: argparse.Namespace) -> int:
    return lab.host(args.host).run(args.argv)


def _snapshot(lab: Lab, args: argparse.Namespace) -> int:
    if args.verb == "list":
        print("\n".join(snapshot.names(lab.settings)))
    elif args.name is None:
        raise LabError(f"snapshot {args.verb}: give the name of a snapshot")
    else:
        verb = snapshot.save if args.verb == "save" else snapshot.restore
        with lab.alone():
            verb(lab, args.name)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python3 -m tests.lab",
        description="Real systemd hosts on this machine.",
        epilog="Environment: LAB_ID (lab), LAB_DIR (.lab), LAB_NET, LAB_DISK_SIZE.",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    up = commands.add_parser("up", help="boot the hosts and write the inventory")
    up.add_argument("--hosts", metavar="A,B", help=f"some of {','.join(HOSTS)}")
    up.add_argument("--release", nargs="+", action="extend", default=[], metavar="HOST=RELEASE")
    up.set_defaults(action=_up)

    down = commands.add_parser("down", help="remove the lab")
    down.add_argument("--cache", action="store_true", help="and the cached trees and packages")
    down.set_defaults(action=_down)

    tools = commands.add_parser("tools", help="install what the lab needs of this machine")
    tools.set_defaults(action=_tools)

    commands.add_parser("status", help="list the hosts").set_defaults(action=_status)

    for name, action, text in (
        ("boot", _boot, "boot a host that is off"),
        ("reboot", _reboot, "shut a host down in order, then boot it"),
        ("poweroff", _poweroff, "cut a host's power"),
        ("disk", _disk, "give a host a disk of its own, which a power cut finds half written"),
    ):
        command = commands.add_parser(name, help=text)
        command.add_argument("host", choices=HOSTS)
        command.set_defaults(action=action)

    link = commands.add_parser("link", help="plug a host's network cable in or out")
    link.add_argument("host", choices=HOSTS)
    link.add_argument("state", choices=("up", "down"))
    link.set_defaults(action=_link)

    inside = commands.add_parser("run", help="run a command inside a host")
    inside.add_argument("host", choices=HOSTS)
    inside.add_argument("argv", nargs="+", metavar="-- ARGV")
    inside.set_defaults(action=_run)

    snapshots = commands.add_parser("snapshot", help="save and restore the hosts' disks as a set")
    snapshots.add_argument("verb", choices=("save", "restore", "list"))
    snapshots.add_argument("name", nargs="?")
    snapshots.set_defaults(action=_snapshot)
    return parser


def main() -> int:
    args = _parser().parse_args()
    try:
        machine.require_root()
        status: int = args.action(Lab(from_environment()), args)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return status


if __name__ == "__main__":
    sys.exit(main())
