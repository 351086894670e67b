# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Real systemd hosts on one machine, without a container engine.

A host is an overlay over a cached Debian tree, a network namespace with one veth into the lab's
bridge, and a systemd-nspawn that boots it. Run as root: ``python3 -m tests.lab up``.
"""
