# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""In what the hosts of a store differ. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def differences(layouts: Mapping[str, Mapping[str, str]]) -> list[str]:
    """One sentence for each setting that is not the same on all hosts."""
    found = []
    for setting in sorted({name for layout in layouts.values() for name in layout}):
        # A version that does not know a setting has no value of it to differ in.
        values = {host: layout[setting] for host, layout in layouts.items() if setting in layout}
        if len(set(values.values())) > 1:
            each = ", ".join(f"{host} {value or '(none)'}" for host, value in values.items())
            found.append(f"{setting}: {each}")
    return found


def version_note(versions: Mapping[str, str]) -> str:
    """What to say where the hosts run different versions; empty where they do not."""
    if len(set(versions.values())) < 2:
        return ""
    each = ", ".join(f"{host} {version}" for host, version in versions.items())
    return f"{each}: bring all to one version, the replicas first"
