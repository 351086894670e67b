# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a checkout needs to reach the hosts: inventory, key, known_hosts."""

from __future__ import annotations

import base64
import json
import secrets
import shutil
from collections.abc import Sequence

from .errors import LabError
from .files import write
from .inventory import inventory, known_hosts, owner, ssh_arguments
from .settings import Settings, lab_ids

_INVENTORY = "inventory.yml"
_FILES = (_INVENTORY, "known_hosts", "id_ed25519")


def check_folder(settings: Settings) -> None:
    """Refuse a folder that gives access to another lab."""
    lab_id = _owner(settings)
    if lab_id not in (None, settings.lab_id) and lab_id in lab_ids():
        raise LabError(
            f"{settings.folder} is the access to the lab {lab_id}: set LAB_DIR to another folder"
        )


def write_to(settings: Settings, names: Sequence[str]) -> None:
    check_folder(settings)
    folder = settings.folder
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / "id_ed25519", settings.key.read_text())
    keys = {name: settings.host_key(name).with_suffix(".pub") for name in names}
    public_keys = {name: path.read_text() for name, path in keys.items() if path.exists()}
    write(folder / "known_hosts", known_hosts(public_keys, settings.network))
    options = ssh_arguments(folder / "known_hosts", settings.ssh_sockets)
    variables = {"lab_id": settings.lab_id, **_secrets(settings)}
    key = folder / "id_ed25519"
    write(folder / _INVENTORY, inventory(names, settings.network, key, options, variables))


def remove(settings: Settings) -> None:
    """Remove the access from this checkout, if it is this lab's."""
    if _owner(settings) != settings.lab_id:
        return
    for name in _FILES:
        (settings.folder / name).unlink(missing_ok=True)
    # What the playbook setup has made up for the lab's stores.
    shutil.rmtree(settings.folder / "cyrus-secrets", ignore_errors=True)
    if not any(settings.folder.iterdir()):
        settings.folder.rmdir()


def _owner(settings: Settings) -> str | None:
    try:
        return owner((settings.folder / _INVENTORY).read_text())
    except FileNotFoundError:
        return None


def _secrets(settings: Settings) -> dict[str, str]:
    """Return the lab's passwords, which last as long as the lab."""
    path = settings.state / "secrets.json"
    found: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    made = {
        "lab_user_password": secrets.token_urlsafe(18),
        "cyrus_admin_password": secrets.token_urlsafe(18),
        "lab_dns_secret": base64.b64encode(secrets.token_bytes(32)).decode(),
    }
    if made.keys() - found.keys():
        found = {**made, **found}
        write(path, json.dumps(found))
    return found
