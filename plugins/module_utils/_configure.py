# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""What the module config is asked for, carried out."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from . import _fence, _host_units, _imapd_conf, _rendered
from ._config import Configuration, Request
from ._errors import ReplicationError
from ._install import GROUP
from ._rendered import File
from ._store import CONFIG_DIR, Store


def carry_out(params: Mapping[str, Any], check: bool) -> dict[str, Any]:
    """Plan, check, replace, and say what has to run now."""
    configuration = Configuration(_request(params))
    configuration.validate()
    outcome = configuration.apply(check)
    return {
        **asdict(outcome),
        "changed": bool(outcome.changed_files or outcome.removed_files),
        "units": _host_units.unit_files(configuration.plan, configuration.request),
    }


def _request(params: Mapping[str, Any]) -> Request:
    files = [_given(file) for file in params["files"]]
    return Request(
        store=Store.load(params["store"]),
        host=params["host"],
        role=params["role"],
        master=params["master"],
        password=params["replication_password"],
        settings=_imapd_conf.as_text(params["settings"]),
        services={name: str(value or "") for name, value in sorted(params["services"].items())},
        files=[*files, *_link_files(params)],
        serving=params["role"] != "master" or _fence.read() is None,
    )


def _link_files(params: Mapping[str, Any]) -> list[File]:
    if params["store"]["link"] == "plain":
        return []
    for name in ("link_ca", "link_cert", "link_key"):
        if not params[name]:
            raise ReplicationError(f"{name} is missing: the link needs it unless it is plain")
    return [
        File(f"{CONFIG_DIR}/{name}.pem", text.strip() + "\n", 0o640, GROUP, name == "key")
        for name, text in (
            ("ca", params["link_ca"]),
            ("cert", params["link_cert"]),
            ("key", params["link_key"]),
        )
    ]


def _given(file: Mapping[str, Any]) -> File:
    mode = 0o755 if file["executable"] else 0o644
    if file["encoding"] == "text":
        return File(file["path"], file["content"], mode)
    try:
        data = base64.b64decode(file["content"], validate=True)
    except binascii.Error as error:
        raise ReplicationError(
            f"the content of {file['path']} is no Base64 ({error}): correct it"
        ) from error
    return File(file["path"], _rendered.text_of(data), mode, binary=True)
