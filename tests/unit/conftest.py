# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Lets tests import this checkout as ansible_collections.mailops.cyrus, as Ansible does."""

from __future__ import annotations

import importlib
from pathlib import Path

from hypothesis import HealthCheck, settings

ROOT = Path(__file__).resolve().parents[2]

# The package `ansible` brings a regular package of this name, which would hide ours on sys.path.
ansible_collections = importlib.import_module("ansible_collections")
ansible_collections.__path__.append(str(ROOT / ".ansible/collections/ansible_collections"))

# A machine that is busy with something else is no failure.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")
