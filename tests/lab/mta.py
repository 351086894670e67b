# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's mail exchanger: Postfix, which hands mail to the store over LMTP.

`python -m tests.lab.mta`. Mail for `other.test` is thrown away: it stands for another store.
"""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping

from tests.integration import lab

from .command import say
from .errors import LabError
from .plan import DOMAIN, MTA_TRANSPORT, OTHER_DOMAIN, SERVICE

MTA = "mx1"
_PACKAGES = ("postfix", "libsasl2-modules")
_LOGIN = f"/etc/postfix/{MTA_TRANSPORT}.login"

# Runs on the host after its files were put there.
_START = f"""
set -e
postmap /etc/postfix/transport
postconf -M {MTA_TRANSPORT}/unix="$1"
shift
postconf -e "$@"
systemctl restart postfix
"""


def settings(network: str) -> dict[str, str]:
    """Return what main.cf has beside Debian's own. Pure."""
    return {
        "myhostname": f"{MTA}.{DOMAIN}",
        "mydestination": f"{MTA}.{DOMAIN}, localhost",
        "mynetworks": f"127.0.0.0/8, [::1]/128, {network}",
        "smtpd_relay_restrictions": "permit_mynetworks, reject_unauth_destination",
        "relay_domains": f"{DOMAIN}, {OTHER_DOMAIN}",
        "transport_maps": "hash:/etc/postfix/transport",
    }


def transports() -> str:
    """Return the transport table. Pure."""
    return f"{DOMAIN} {MTA_TRANSPORT}:inet:{SERVICE}:24\n{OTHER_DOMAIN} discard:\n"


def service() -> str:
    """Return the store's entry of master.cf, on one line. Pure."""
    # As `native`, it sees /etc/hosts as well as the name server.
    options: Mapping[str, str] = {
        "lmtp_host_lookup": "native",
        "lmtp_sasl_auth_enable": "yes",
        "lmtp_sasl_password_maps": f"texthash:{_LOGIN}",
        "lmtp_sasl_security_options": "noanonymous",
    }
    words = " ".join(f"-o {name}={value}" for name, value in options.items())
    return f"{MTA_TRANSPORT} unix - - n - - lmtp {words}"


def _put(path: str, text: str, mode: str = "0644") -> None:
    lab.ssh(
        MTA,
        f"umask 077; cat > {path}.new && chmod {mode} {path}.new && mv {path}.new {path}",
        data=text,
    )


def _configure() -> None:
    _put("/etc/postfix/transport", transports())
    network = lab.address(MTA).rpartition(".")[0] + ".0/24"
    pairs = [f"{name}={value}" for name, value in settings(network).items()]
    lab.ssh(MTA, f"sh -s -- {shlex.join([service(), *pairs])}", data=_START)
    user, password = (str(lab.var(f"cyrus_admin_{what}", MTA)) for what in ("user", "password"))
    _put(_LOGIN, f"{SERVICE} {user}:{password}\n", "0600")


def ensure() -> None:
    """Let the mail exchanger take mail for the lab's users; may be run again at any time."""
    if MTA not in lab.hosts("cyrus_mta"):
        raise LabError(f"the lab has no {MTA}: run `up --hosts {MTA}`")
    lab.ssh(
        MTA,
        f"dpkg -s {' '.join(_PACKAGES)} > /dev/null 2>&1 || DEBIAN_FRONTEND=noninteractive"
        f" apt-get -qq install --no-install-recommends {' '.join(_PACKAGES)}",
        timeout=300,
    )
    # Once: what has changed since, such as a hold of its deliveries, stays.
    if lab.ssh(MTA, f"test -e {_LOGIN}", check=False).returncode != 0:
        _configure()
    lab.until(lambda: lab.ssh(MTA, "postfix status").returncode == 0, 20, what="Postfix")
    say(f"{MTA} takes mail for {DOMAIN}")


def main() -> int:
    try:
        ensure()
    except (LabError, AssertionError, OSError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
