# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name server for the lab, whose store's name can be changed: `python -m tests.lab.dns`."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network

from tests.integration import lab

from .command import say
from .errors import LabError
from .plan import DNS_ALGORITHM, DNS_KEY, DOMAIN, HOSTS, SERVICE, address_of

SERVER = "ns1"
TTL = 300
_ZONES = "/var/lib/bind"
_PACKAGES = ("bind9", "bind9-dnsutils")


def configuration(secret: str) -> str:
    """Return named.conf. Pure."""
    return f"""\
options {{
    directory "/var/cache/bind";
    recursion no;
    dnssec-validation no;
}};
key "{DNS_KEY}" {{
    algorithm {DNS_ALGORITHM};
    secret "{secret}";
}};
zone "{DOMAIN}" {{
    type primary;
    file "{_ZONES}/{DOMAIN}.zone";
    update-policy {{ grant {DNS_KEY} name {SERVICE}. A AAAA; }};
}};
zone "fixed.test" {{
    type primary;
    file "{_ZONES}/fixed.test.zone";
}};
// There is nothing outside the lab: said at once, instead of by a time-out.
zone "." {{
    type primary;
    file "{_ZONES}/root.zone";
}};
"""


def zone(addresses: Mapping[str, str]) -> str:
    """Return a zone of these names, relative to it. Pure."""
    lines = [
        f"$TTL {TTL}",
        f"@ SOA {SERVER}.{DOMAIN}. hostmaster.{DOMAIN}. 1 3600 600 86400 5",
        f"@ NS {SERVER}.{DOMAIN}.",
        *(f"{name} A {address}" for name, address in addresses.items()),
    ]
    return "\n".join(lines) + "\n"


def _zone_of_lab(addresses: Mapping[str, str]) -> str:
    first_master = str(lab.var("cyrus_master", lab.hosts()[0]))
    service = SERVICE.removesuffix(f".{DOMAIN}")
    return zone({**addresses, service: addresses[first_master]}) + "@ MX 10 mx1\n"


def _put(path: str, text: str, group: str = "root", mode: str = "0644") -> None:
    lab.ssh(
        SERVER,
        f"cat > {path}.new && chown root:{group} {path}.new && chmod {mode} {path}.new"
        f" && mv {path}.new {path}",
        data=text,
    )


def _answers(name: str) -> bool:
    asked = f"dig +short +time=1 +tries=1 @127.0.0.1 {shlex.quote(name)} A"
    return bool(lab.ssh(SERVER, asked, check=False).stdout.strip())


def _serve() -> None:
    lab.ssh(
        SERVER,
        f"dpkg -s {' '.join(_PACKAGES)} > /dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive"
        f" apt-get -qq install --no-install-recommends {' '.join(_PACKAGES)}",
        timeout=300,
    )
    network = IPv4Network(f"{lab.address(SERVER)}/24", strict=False)
    zones = {
        # A zone that is there may have been changed since, in its journal.
        DOMAIN: _zone_of_lab({name: str(address_of(network, name)) for name in HOSTS}),
        "fixed.test": zone({"store1": lab.address(SERVER)}),
        "root": zone({f"{SERVER}.{DOMAIN}.": lab.address(SERVER)}),
    }
    for name, text in zones.items():
        path = f"{_ZONES}/{name}.zone"
        if lab.ssh(SERVER, f"test -e {path}", check=False).returncode != 0:
            _put(path, text, group="bind", mode="0664")
    text = configuration(str(lab.var("lab_dns_secret", SERVER)))
    if lab.ssh(SERVER, "cat /etc/bind/named.conf").stdout != text:
        _put("/etc/bind/named.conf", text, group="bind", mode="0640")
        lab.ssh(SERVER, "named-checkconf && systemctl restart named")
    lab.until(lambda: _answers(SERVICE), 20, what=f"{SERVICE} at {SERVER}")


def _resolve_there(host: str) -> None:
    """Let a host ask the lab's name server; Postfix keeps a copy for what runs in its cage."""
    line = f"nameserver {lab.address(SERVER)}"
    cage = "/var/spool/postfix/etc"
    lab.ssh(
        host,
        f"grep -qxF '{line}' /etc/resolv.conf || echo '{line}' > /etc/resolv.conf;"
        f" [ ! -d {cage} ] || cp /etc/resolv.conf {cage}/resolv.conf",
    )


def ensure() -> None:
    """Make the lab's zone and let every host resolve by it; may be run again at any time."""
    if SERVER not in lab.hosts("lab_dns"):
        raise LabError(f"the lab has no {SERVER}: run `up --hosts {SERVER}`")
    _serve()
    for host in [*lab.hosts("cyrus"), *lab.hosts("cyrus_mta")]:
        _resolve_there(host)
    say(f"{SERVICE} is at {SERVER}")


def main() -> int:
    try:
        ensure()
    except (LabError, AssertionError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
