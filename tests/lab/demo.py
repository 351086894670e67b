# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From bare hosts to a parity report, a difference found, and a switchover: `make demo`."""

from __future__ import annotations

import json
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.integration import lab

from . import mail, plant, site
from .command import say
from .errors import LabError

_MAILBOX = "INBOX/Sent"
_FLAG = "\\Flagged"
# A change takes far less to reach a replica; this bounds the changes, not the wait.
_TOUCHES = 50

Report = dict[str, Any]


def shown(output: str) -> str:
    """Return what a playbook shows to people, without Ansible's own lines."""
    found = re.findall(r"^TASK \[[^\n]* Show [^\n]*\n(.*?)\n(?:ok: |\n)", output, re.M | re.S)
    return "\n".join(found)


@contextmanager
def _step(title: str) -> Iterator[None]:
    print(flush=True)
    say(f"== {title}")
    yield
    say("   done")


def _play(name: str, **extra: object) -> None:
    options = "".join(f" -e {key}={value}" for key, value in extra.items())
    say(f"   ansible-playbook mailops.cyrus.{name}{options} ...")
    run = lab.playbook(name, extra=extra)
    if run.rc != 0:
        raise LabError(f"the playbook {name} failed with status {run.rc}:\n{run.output}")
    print(shown(run.output) or f"changed={run.changed()}")


def _parity() -> list[Report]:
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory, "parity.json")
        _play(
            "parity",
            cyrus_parity_level="messages",
            cyrus_parity_fail=False,
            cyrus_parity_report=str(path),
        )
        reports: list[Report] = json.loads(path.read_text())
    if not reports:
        raise LabError("the playbook parity wrote no report")
    for report in reports:
        say(f"   {report['replica']}: in_sync: {json.dumps(report['in_sync'])}")
    return reports


def _expect_in_sync(reports: list[Report]) -> None:
    if not all(report["in_sync"] is True for report in reports):
        raise LabError("a replica is not in sync, though it has to be")


def _break(store: mail.Store, replica: str, user: str) -> int:
    with store.imap(user) as session:
        session.run(f'SELECT "{_MAILBOX}"')
        answer = b" ".join(session.run("UID SEARCH UNFLAGGED"))
    uids = [int(word) for word in answer.split() if word.isdigit()]
    if not uids:
        raise LabError(f"every message in {_MAILBOX} of {user} is flagged already")
    plant.flag(replica, user, _MAILBOX, uids[0], _FLAG)
    say(f"   on {replica} alone, {user}'s message with UID {uids[0]} in {_MAILBOX} is flagged now")
    return uids[0]


def is_named(report: Report, user: str, uid: int) -> bool:
    """Tell whether a report names the flag that differs, and no other."""
    flags = [d for d in report["differences"] if d["kind"] == "message_flags"]
    named = [(d["user"], d["mailbox"], d["uid"], d["field"].lower()) for d in flags]
    mailbox = f"user.{user}.{_MAILBOX.removeprefix('INBOX/')}"
    return report["in_sync"] is False and named == [(user, mailbox, uid, _FLAG.lower())]


def _expect_found(reports: list[Report], replica: str, user: str, uid: int) -> None:
    found = [report for report in reports if report["replica"] == replica]
    if not found or not is_named(found[0], user, uid):
        raise LabError(f"the report on {replica} does not name the flag that differs: {found}")
    _expect_in_sync([report for report in reports if report["replica"] != replica])
    say(f"   the report names user {user}, mailbox {_MAILBOX}, UID {uid} and {_FLAG}")


def _expect_master(host: str) -> None:
    if mail.the_store().master != host:
        raise LabError(f"{host} is not the master, though it has to be")


def _modseq(lines: list[bytes]) -> int:
    return max(int(number) for number in re.findall(rb"MODSEQ \((\d+)\)", b" ".join(lines)))


def _mend(store: mail.Store, replica: str, user: str, uid: int) -> None:
    """Change the message on the master until its change is the newer one, which wins."""
    with plant.imap(replica, user) as session:
        session.run(f'EXAMINE "{_MAILBOX}"')
        theirs = _modseq(session.run(f"UID FETCH {uid} (MODSEQ)"))
    with store.imap(user) as session:
        session.run(f'SELECT "{_MAILBOX}"')
        for _touch in range(_TOUCHES):
            session.run(f"UID STORE {uid} +FLAGS ({_FLAG})")
            session.run(f"UID STORE {uid} -FLAGS ({_FLAG})")
            if _modseq(session.run(f"UID FETCH {uid} (MODSEQ)")) > theirs:
                say(f"   on {store.master} the message changed after {replica}'s change")
                return
    raise LabError(f"{store.master} can't overtake {replica}'s change")


def run() -> None:
    with _step("setup: from bare hosts to a store that replicates"):
        _play("setup")
    with _step("users and mail, over IMAP, LMTP and ManageSieve; a mail exchanger, a name server"):
        store = mail.the_store()
        say("   the mail exchanger and the name server ...")
        site.surround(store)
        say("   mail into every mailbox ...")
        say(f"   {mail.fill(store)}")
    replica = next(host for host in lab.hosts() if host != store.master)
    user = str(lab.var("lab_users", store.master)[0])
    with _step("status"):
        _play("status")
    with _step("parity: every replica is in sync"):
        _expect_in_sync(_parity())
    with _step(f"one flag breaks on {replica}, behind replication's back"):
        uid = _break(store, replica, user)
    with _step("parity: the report names what differs"):
        _expect_found(_parity(), replica, user, uid)
    with _step("the message changes on the master, replication carries it over"):
        _mend(store, replica, user, uid)
    with _step("parity: every replica is in sync again"):
        _expect_in_sync(_parity())
    with _step(f"switchover: {replica} becomes master"):
        _play("switchover", cyrus_candidate=replica)
        _expect_master(replica)
    with _step("parity: the old master and the other replica have everything"):
        _expect_in_sync(_parity())
    print()
    say(f"the demo is through: in sync, a difference found and mended, {replica} is master")


def main() -> int:
    try:
        run()
    except (LabError, AssertionError, OSError) as error:
        print(f"demo: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
