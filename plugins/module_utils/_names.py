# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
#
# Note that this module util is **PRIVATE** to the collection. It can have breaking changes at any
# time. Do not use this from other collections or standalone plugins/modules!

"""Names of mailboxes: Cyrus's internal form, whose it is, and from the form an IMAP admin sees."""

from __future__ import annotations


def owner(mailbox: str) -> str | None:
    """The userid whose mailbox this is, deleted ones included; None for a shared mailbox.

    After mbname_from_intname (imap/mboxname.c): ``domain!DELETED.user.name.Folder.5f3a9c12``.
    """
    domain, bang, local = mailbox.rpartition("!")
    parts = local.split(".")
    if len(parts) > 3 and parts[0] == "DELETED":
        parts = parts[1:-1]
    if len(parts) < 2 or parts[0] != "user":
        return None
    userid = parts[1].replace("^", ".")
    return userid + "@" + domain if bang else userid


def is_deleted(mailbox: str) -> bool:
    """Whether the mailbox is one that a delayed delete has set aside."""
    return mailbox.rpartition("!")[2].startswith("DELETED.")


def is_inbox(mailbox: str) -> bool:
    """Whether the mailbox is a user's first one, without which there is no user."""
    local = mailbox.rpartition("!")[2]
    return local.startswith("user.") and local.count(".") == 1


def is_sieve(mailbox: str) -> bool:
    """Whether the mailbox is where newer Cyrus keeps a user's scripts (option sieve_folder)."""
    parts = mailbox.rpartition("!")[2].split(".")
    if parts[0] == "DELETED":
        parts = parts[1:-1]
    return len(parts) == 3 and parts[0] == "user" and parts[2] == "#sieve"


def internal(external: str, delimiter: str, virtdomains: bool = False) -> str:
    """The internal name of what an admin's IMAP LIST shows: ``user/a.b/Sent@dom`` is
    ``dom!user.a^b.Sent`` where the server has virtual domains. Admins have no alternative
    namespace."""
    local, domain = external, ""
    if virtdomains and "@" in external:
        local, _at, domain = external.rpartition("@")
    if delimiter == "/":
        local = local.translate(str.maketrans("/.", ".^"))
    return domain + "!" + local if domain else local


def external(mailbox: str, delimiter: str, virtdomains: bool = False) -> str:
    """The other way round: what Cyrus's tools want for an internal name."""
    domain, bang, local = mailbox.rpartition("!")
    if delimiter == "/":
        local = local.translate(str.maketrans(".^", "/."))
    return f"{local}@{domain}" if bang and virtdomains else domain + bang + local


def pattern_of(user: str, delimiter: str, virtdomains: bool = False) -> str:
    """What to LIST as an admin to see all mailboxes of a user, and perhaps some of others: a name
    may hold the characters that stand for any."""
    local, domain = user, ""
    if virtdomains and "@" in user:
        local, _at, domain = user.rpartition("@")
    if delimiter == ".":
        local = local.replace(".", "^")
    return f"user{delimiter}{local}*" + (f"@{domain}" if domain else "")
