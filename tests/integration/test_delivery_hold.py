# Copyright: (c) 2026, mailops.cyrus contributors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A store's mail waits on a real mail exchanger, others' goes on, none is lost or bounced.

TEST_LONG=1 ends the module at more points.
"""

from __future__ import annotations

import re
import smtplib
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.lab import site
from tests.lab.mail import generate, the_store

from . import lab
from .ledger import Ledger, idents, queued
from .load import SmtpLoad, append, log_in, message

MTA, MASTER = "mx1", "imap1"
USERS = [f"u{number:05}" for number in range(1, 5)]
NOTES = "/var/lib/cyrus-replication/mta"
BY_TRANSPORT: dict[str, Any] = {"transports": ["store1"]}
BY_DOMAIN: dict[str, Any] = {"domains": ["lab.test"]}
POINTS = ["noted", "installed", "reloaded"] if lab.LONG else ["installed"]
BOTH = pytest.mark.parametrize("meant", [BY_TRANSPORT, BY_DOMAIN], ids=["transport", "domain"])


@pytest.fixture(scope="module", autouse=True)
def around() -> None:
    """A mail exchanger that hands its mail to the store."""
    store = the_store()
    site.surround(store)
    generate(store, len(USERS), seed=4, folders=1, count=1)


@pytest.fixture(autouse=True)
def nothing_held() -> Iterator[None]:
    before = files()
    yield
    if lab.ssh(MTA, f"ls {NOTES}", check=False).stdout:
        # Whatever is held of the store is released, by whatever it was meant.
        assert not release(**BY_TRANSPORT).get("failed")
    assert files() == before
    lab.until(lambda: queued() == 0, 30, what="an empty queue")


def hold(check: bool = False, stop_at: str = "", store: str = "store1", **more: Any) -> Any:
    return lab.module(
        MTA, "delivery_hold", check=check, stop_at=stop_at, store=store, state="held", **more
    )


def release(check: bool = False, stop_at: str = "", store: str = "store1", **more: Any) -> Any:
    return lab.module(
        MTA, "delivery_hold", check=check, stop_at=stop_at, store=store, state="released", **more
    )


def info(**meant: Any) -> Any:
    return lab.module(MTA, "delivery_info", store="store1", **meant)


def files() -> str:
    """What there is on disk, content and rights."""
    return lab.ssh(
        MTA,
        "cd /etc/postfix && find . -type f ! -name '*.db' -exec sha256sum {} + | sort -k2;"
        f" stat -c '%n %a %U' main.cf master.cf; ls -A {NOTES} 2> /dev/null",
        check=False,
    ).stdout


def handed_over(since: float, service: str = "store1") -> int:
    """How many deliveries Postfix says to have made to the store since then."""
    log = lab.ssh(
        MTA, f"journalctl --since @{since:.3f} -o cat -q -t postfix/{service}/lmtp -t postfix/lmtp"
    )
    return len(re.findall("status=sent", log.stdout))


def send(ledger: Ledger, user: str = USERS[0], domain: str = "lab.test") -> str:
    """One message that the mail exchanger has taken."""
    ident = ledger.new_ident()
    with smtplib.SMTP(lab.address(MTA), 25, "load.lab.test", timeout=30) as session:
        session.sendmail("sender@example.com", [f"{user}@{domain}"], message(ident, user))
    if domain == "lab.test":
        ledger.accept(ident, user, "smtp", MTA)
    return ident


def sent_elsewhere(since: float) -> int:
    log = lab.ssh(MTA, f"journalctl --since @{since:.3f} -o cat -q -t postfix/discard").stdout
    return len(re.findall("status=sent", log))


def arrived(ident: str, user: str = USERS[0]) -> bool:
    return ident in idents(MASTER, [user])[user]


@contextmanager
def reloaded() -> Iterator[None]:
    """Postfix with settings that are taken back afterwards."""
    lab.ssh(MTA, "cp -p /etc/postfix/main.cf /root/main.cf")
    try:
        yield
    finally:
        lab.ssh(MTA, "mv /root/main.cf /etc/postfix/main.cf && postfix reload; postqueue -f")


def test_the_ledger_finds_a_loss_and_a_duplicate() -> None:
    ledger = Ledger()
    with SmtpLoad(ledger, USERS, rate=20):
        lab.until(lambda: len(ledger.accepted()) >= 20, 30)
    ledger.check_soon(MASTER, 20).assert_exactly_once()
    first, second = ledger.accepted()[:2]
    session = log_in(lab.address(MASTER), first.user, 10)
    append(session, message(first.ident, first.user))
    session.shutdown()
    session = log_in(lab.address(MASTER), second.user, 10)
    session.select("INBOX")
    (uids,) = session.uid("SEARCH", "HEADER", "Message-ID", f'"{second.ident}"')[1]
    session.uid("STORE", uids.decode(), "+FLAGS", "(\\Deleted)")
    session.uid("EXPUNGE", uids.decode())
    session.shutdown()
    verdict = ledger.check(MASTER)
    assert verdict.lost == [second]
    assert verdict.duplicated == {first.ident: 2}
    with pytest.raises(AssertionError, match="lost"):
        verdict.assert_exactly_once()


def test_plain_postfix_does_not_hold() -> None:
    """`defer_transports` is Postfix's own way, and any flush of the queue overrides it."""
    ledger = Ledger()
    with reloaded():
        lab.ssh(MTA, "postconf -e defer_transports=store1 && postfix reload")
        ident = send(ledger)
        lab.until(lambda: "deferred transport" in lab.ssh(MTA, "postqueue -p").stdout, 10)
        assert not arrived(ident)
        lab.ssh(MTA, "postqueue -f")
        lab.until(lambda: arrived(ident), 10, what="mail that the flush let through")


@BOTH
def test_a_hold_under_load(meant: dict[str, Any]) -> None:
    ledger = Ledger()
    before = files()
    foreseen = hold(check=True, **meant)
    assert foreseen["changed"]
    assert files() == before
    with SmtpLoad(ledger, USERS, rate=20):
        lab.until(lambda: len(ledger.accepted()) >= 20, 20)
        begun = time.monotonic()
        held = hold(**meant)
        print(f"held after {time.monotonic() - begun:.1f} s")
        since = time.time()
        assert held["held"] is True
        assert held["diff"] == foreseen["diff"]
        again = hold(**meant)
        assert (again["changed"], again["held"]) == (False, True)
        so_far = len(ledger.accepted())
        lab.ssh(MTA, "postqueue -f")
        send(ledger, domain="other.test")
        lab.until(lambda: len(ledger.accepted()) >= so_far + 40, 20)
        lab.ssh(MTA, "postqueue -f")
        lab.until(lambda: sent_elsewhere(since) == 1, 10, what="mail for others")
    found = info(**meant)
    assert (found["held"], found["running"], found["reason"]) == (True, True, None)
    assert found["queued"] == queued() >= 40
    assert handed_over(since) == 0
    assert release(check=True, **meant)["changed"]
    begun = time.monotonic()
    released = release(**meant)
    assert (released["held"], released["queued"]) == (False, found["queued"])
    ledger.check_soon(MASTER, 20).assert_exactly_once()
    print(f"{found['queued']} flushed, all there {time.monotonic() - begun:.1f} s after the call")
    assert files() == before
    assert ledger.bounces() == []
    assert release(**meant)["changed"] is False


def test_what_was_deferred_before_goes_at_once() -> None:
    """A master that was away leaves mail that plain Postfix would not try for five minutes."""
    ledger = Ledger()
    lab.ssh(MASTER, "systemctl stop cyrus-imapd")
    try:
        ident = send(ledger)
        lab.until(lambda: "refused" in lab.ssh(MTA, "postqueue -p").stdout, 15)
    finally:
        lab.ssh(MASTER, "systemctl start cyrus-imapd")
    lab.until(lambda: not arrived(ident), 20, what="Cyrus")
    time.sleep(3)
    assert queued() == 1
    hold(**BY_TRANSPORT)
    release(**BY_TRANSPORT)
    lab.until(lambda: arrived(ident), 10, what="mail that was deferred")


@pytest.mark.parametrize("meant", [BY_TRANSPORT, BY_DOMAIN] if lab.LONG else [BY_DOMAIN])
def test_a_delivery_that_has_begun_is_waited_for(meant: dict[str, Any]) -> None:
    ledger = Ledger()
    ident = send(ledger)
    lab.until(lambda: arrived(ident), 10)
    lab.ssh(MASTER, "pkill -STOP lmtpd")
    try:
        ident = send(ledger)
        lab.until(lambda: lab.ssh(MTA, "pgrep -x lmtp", check=False).stdout, 10)
        time.sleep(1)
        refused = hold(timeout=2, **meant)
        assert refused["failed"]
        assert "still handing over" in refused["msg"]
    finally:
        lab.ssh(MASTER, "pkill -CONT lmtpd")
    assert hold(**meant)["held"] is True
    assert arrived(ident) or queued() == 1


@pytest.mark.parametrize("point", POINTS)
def test_killed_and_run_again(point: str) -> None:
    ledger = Ledger()
    assert hold(stop_at=f"{point}:1", **BY_DOMAIN)["failed"]
    assert info(**BY_DOMAIN)["held"] is False
    assert hold(**BY_DOMAIN)["held"] is True
    ident = send(ledger)
    assert release(stop_at=f"{point}:1", **BY_DOMAIN)["failed"]
    done = release(**BY_DOMAIN)
    assert (done["held"], done["changed"]) == (False, True)
    lab.until(lambda: arrived(ident), 10)


def test_killed_and_undone() -> None:
    assert hold(stop_at="installed:1", **BY_TRANSPORT)["failed"]
    assert release(**BY_TRANSPORT)["held"] is False


@lab.only_long
def test_two_stores_on_one_host() -> None:
    ledger = Ledger()
    since = time.time()
    other: dict[str, Any] = {"store": "store2", "domains": ["other.test"]}
    assert hold(**BY_DOMAIN)["held"]
    assert hold(**other)["held"]
    with smtplib.SMTP(lab.address(MTA), 25, "load.lab.test", timeout=30) as session:
        ident = ledger.new_ident()
        session.sendmail(
            "sender@example.com",
            [f"{USERS[0]}@lab.test", "somebody@other.test"],
            message(ident, USERS[0]),
        )
    lab.until(lambda: lab.ssh(MTA, "postqueue -p").stdout.count("are held") == 2, 10)
    assert release(**BY_DOMAIN)["queued"] == 1
    lab.until(lambda: arrived(ident), 10)
    assert sent_elsewhere(since) == 0
    assert queued() == 1
    release(**other)
    lab.until(lambda: sent_elsewhere(since) == 1, 10)


@lab.only_long
def test_held_over_a_reboot() -> None:
    ledger = Ledger()
    hold(**BY_TRANSPORT)
    ident = send(ledger)
    lab.lab("reboot", MTA)
    lab.until(lambda: info(**BY_TRANSPORT)["held"], 20)
    lab.ssh(MTA, "postqueue -f")
    time.sleep(2)
    assert not arrived(ident)
    assert hold(**BY_TRANSPORT)["changed"] is False
    release(**BY_TRANSPORT)
    lab.until(lambda: arrived(ident), 10)


@lab.only_long
def test_what_an_administrator_holds_stays_held() -> None:
    ledger = Ledger()
    assert hold(by="switchover", **BY_TRANSPORT)["by"] == "switchover"
    taken = hold(**BY_TRANSPORT)
    assert (taken["by"], taken["changed"]) == ("administrator", True)
    before, found = files(), info(**BY_TRANSPORT)
    assert found["by"] == "administrator"
    again = hold(by="switchover", **BY_TRANSPORT)
    assert (again["by"], again["changed"]) == ("administrator", False)
    ident = send(ledger)
    refused = release(by="switchover", **BY_TRANSPORT)
    assert f"held by administrator since {found['since']}" in refused["msg"]
    time.sleep(2)
    assert files() == before
    assert info(**BY_TRANSPORT) == {**found, "queued": 1}
    assert release(**BY_TRANSPORT)["by"] is None
    assert (info(**BY_TRANSPORT)["by"], info(**BY_TRANSPORT)["since"]) == (None, None)
    lab.until(lambda: arrived(ident), 10)


def test_refusals() -> None:
    before = files()
    assert "has no transport store9" in hold(transports=["store9"])["msg"]
    assert "no name of a domain" in hold(domains=["a b"])["msg"]
    assert "nothing says which mail" in hold()["msg"]
    assert "has no transport store9" in info(transports=["store9"])["reason"]
    lab.ssh(MTA, "systemctl stop postfix")
    try:
        assert "does not run" in hold(**BY_TRANSPORT)["msg"]
        found = info(**BY_TRANSPORT)
        assert (found["running"], found["held"]) == (False, None)
    finally:
        lab.ssh(MTA, "systemctl start postfix")
    assert files() == before
