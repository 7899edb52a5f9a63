# SPDX-License-Identifier: Apache-2.0
"""What happens is told: all of it, in order, signed, and again where it was not taken."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from datetime import datetime, timedelta

import pytest

from pykexec.server import quotas
from pykexec.server.canonical import now
from pykexec.server.errors import Conflict, Tampered
from pykexec.server.store.store import Store
from pykexec.server.store.webhooks import Webhook, Webhooks
from pykexec.server.webhooks.messenger import Messenger
from pykexec.server.webhooks.settings import WebhookSettings
from pykexec.server.webhooks.signature import secret_text
from tests.support.receivers import Receiver, receiving
from tests.support.store_samples import enrolled, record, tamper, with_secret

ACTOR = "operator:test"
HERE = WebhookSettings(http=True, loopback=True)
ALARM = "break-glass.released"


class Clock:
    """Goes on when it is told to."""

    def __init__(self) -> None:
        self.now = now()

    def __call__(self) -> datetime:
        return self.now

    def forward(self, seconds: float) -> None:
        """The pauses' jitter is within it."""
        self.now += timedelta(seconds=seconds)


class Telling:
    """A store, its messenger, and who listens."""

    def __init__(self, store: Store, receiver: Receiver) -> None:
        self.store, self.receiver = store, receiver
        self.hooks = Webhooks(store.database, store.keys)
        self.clock = Clock()
        self.counts: Counter[str] = Counter()
        self.messenger = self.another()

    def another(self) -> Messenger:
        """Another worker's."""
        return Messenger(self.store, HERE, self._count, self.clock)

    def _count(self, result: str) -> None:
        self.counts[result] += 1

    def add(self, name: str = "pager", *events: str) -> Webhook:
        """One that is told by the receiver's path of its name."""
        address = f"{self.receiver.address}/{name}?key=sesame"
        made = self.hooks.add(name, address, events or ("break-glass",), ACTOR)
        self.clock.now = max(self.clock.now, made.due)
        return made

    def look(self) -> None:
        """All that is to be done now."""
        for task in self.messenger.look():
            task.result()

    def alarm(self) -> int:
        """The number of an entry that is to be told."""
        return self.store.audit("server", ALARM, "machine:ab", {"secret": "root"}).seq


@pytest.fixture(name="telling")
def telling_fixture(store: Store) -> Iterator[Telling]:
    with receiving() as receiver:
        made = Telling(store, receiver)
        yield made
        made.messenger.stop()


def test_an_event_is_told_once_as_standard_webhooks_says(telling: Telling) -> None:
    hook = telling.add()
    seq = telling.alarm()
    telling.store.audit("server", "operator.login", "operator:anna")
    telling.look()
    telling.look()
    (message,) = telling.receiver.messages
    entry = telling.store.audit_entries(action=ALARM)[0]
    assert message.path == "/pager?key=sesame"
    assert message.json == {
        "type": ALARM,
        "timestamp": entry.time.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "data": {
            "seq": seq,
            "actor": "server",
            "subject": "machine:ab",
            "detail": {"secret": "root"},
            "hash": entry.hash,
        },
    }
    assert message.headers["content-type"] == "application/json"
    assert message.headers["webhook-timestamp"] == str(int(telling.clock.now.timestamp()))
    assert message.is_signed(secret_text(hook.secret))
    other = telling.add("other")
    assert not message.is_signed(secret_text(other.secret))


def test_what_was_before_is_not_told(telling: Telling) -> None:
    telling.alarm()
    telling.add()
    telling.look()
    assert telling.receiver.messages == []


def test_a_release_and_its_message_are_one_transaction(telling: Telling) -> None:
    """Who was not written is not told of; who was, is, though nobody has looked meanwhile."""
    store = telling.store
    machine = enrolled(store)
    secret = with_secret(store, machine)
    telling.add("siem", "release")
    store.record_attestation(record(machine, b"n", secret))
    with pytest.raises(Exception, match="nonce was used"):
        store.record_attestation(record(machine, b"n", secret))
    telling.look()
    assert [message.json["type"] for message in telling.receiver.messages] == [
        "attestation.released"
    ]


def test_all_are_told_in_order_by_one_connection_and_a_restart_forgets_nothing(
    telling: Telling,
) -> None:
    telling.add()
    seqs = [telling.alarm() for _ in range(quotas.WEBHOOK_BATCH + 3)]
    telling.look()
    assert telling.receiver.seqs == seqs[: quotas.WEBHOOK_BATCH]
    assert len(telling.receiver.peers) == 1
    telling.messenger.stop()
    telling.messenger = telling.another()
    telling.look()
    assert telling.receiver.seqs == seqs


def test_a_trail_of_other_things_is_passed(telling: Telling) -> None:
    telling.add()
    with telling.store.database.writing(telling.store.keys) as tx:
        for _ in range(quotas.WEBHOOK_WINDOW):
            tx.chain.append(tx.now, "server", "operator.login", "operator:anna")
    seq = telling.alarm()
    telling.look()
    telling.look()
    assert telling.receiver.seqs == [seq]


@pytest.mark.parametrize("status", [500, 302, 404, 429])
def test_what_is_not_taken_is_sent_again_later_as_the_same_message(
    telling: Telling, status: int
) -> None:
    telling.receiver.answer = lambda number: status if number < 2 else 200
    telling.add()
    first, second = telling.alarm(), telling.alarm()
    for pause in quotas.WEBHOOK_PAUSES_S[:2]:
        telling.look()
        telling.clock.forward(pause * 0.85)
        telling.look()
        telling.clock.forward(pause * 0.3)
    assert telling.receiver.seqs == [first, first]
    (failing,) = telling.hooks.every()
    assert (failing.state, failing.attempts, failing.last) == ("failing", 2, f"status {status}")
    telling.look()
    assert telling.receiver.seqs == [first, first, first, second]
    numbers = [message.number for message in telling.receiver.messages]
    assert len(set(numbers[:3])) == 1 and numbers[3] != numbers[0]
    (fine,) = telling.hooks.every()
    assert (fine.state, fine.attempts, fine.last) == ("ok", 0, "")
    assert telling.counts == {"failed": 2, "delivered": 2}


def test_it_comes_to_an_end_which_the_trail_has_and_goes_on_when_told_to(
    telling: Telling,
) -> None:
    telling.receiver.answer = lambda _number: 503
    telling.add()
    seq = telling.alarm()
    for pause in quotas.WEBHOOK_PAUSES_S:
        telling.look()
        telling.clock.forward(pause * 1.2)
    assert telling.hooks.every()[0].state == "failing"
    telling.look()
    assert telling.hooks.every()[0].state == "stopped"
    (entry,) = telling.store.audit_entries(action="webhook.stopped")
    assert (entry.subject, entry.detail) == ("webhook:pager", {"seq": seq, "last": "status 503"})
    telling.clock.forward(30 * 86400)
    later = telling.alarm()
    telling.look()
    assert len(telling.receiver.messages) == len(quotas.WEBHOOK_PAUSES_S) + 1
    telling.receiver.answer = lambda _number: 200
    telling.receiver.messages.clear()
    telling.hooks.resume("pager", False, ACTOR)
    telling.look()
    assert telling.receiver.seqs == [seq, later]


def test_who_is_gone_is_not_asked_again(telling: Telling) -> None:
    telling.receiver.answer = lambda _number: 410
    telling.add()
    telling.alarm()
    telling.look()
    telling.clock.forward(86400)
    telling.look()
    assert len(telling.receiver.messages) == 1
    assert telling.hooks.every()[0].state == "stopped"
    telling.hooks.resume("pager", True, ACTOR)
    telling.look()
    assert len(telling.receiver.messages) == 1


def test_a_message_that_is_not_understood_does_not_hold_up_those_behind_it(
    telling: Telling,
) -> None:
    bad_tries = quotas.WEBHOOK_REFUSALS
    telling.receiver.answer = lambda number: 422 if number < bad_tries else 200
    telling.add()
    bad, good = telling.alarm(), telling.alarm()
    for pause in quotas.WEBHOOK_PAUSES_S[: bad_tries + 1]:
        telling.look()
        telling.clock.forward(pause * 1.2)
    assert telling.receiver.seqs == [bad] * bad_tries + [good]
    (entry,) = telling.store.audit_entries(action="webhook.refused")
    assert entry.detail == {"seq": bad, "last": "status 422"}


def test_two_workers_do_not_tell_the_same(
    telling: Telling, monkeypatch: pytest.MonkeyPatch
) -> None:
    telling.add()
    telling.alarm()
    # Both have seen that it waits; the second comes when the first has taken it.
    seen = telling.hooks.waiting(telling.clock.now)
    assert telling.hooks.move(seen[0], due=telling.clock.now + timedelta(seconds=1)) is not None
    with monkeypatch.context() as patched:
        patched.setattr(Webhooks, "waiting", lambda _hooks, _now: seen)
        telling.look()
    assert telling.receiver.messages == []
    telling.clock.forward(2)
    telling.look()
    assert len(telling.receiver.messages) == 1


def test_a_receiver_that_is_dead_costs_nobody_else_anything(telling: Telling) -> None:
    """Neither rows, however much happens, nor anybody's time: others are told meanwhile."""
    dead = "http://127.0.0.1:1/dead"
    telling.hooks.add("dead", dead, ("release", "break-glass"), ACTOR)
    telling.add("alive")
    seqs = [telling.alarm() for _ in range(20)]
    telling.look()
    assert telling.receiver.seqs == seqs
    found = {hook.name: hook for hook in telling.hooks.every()}
    assert (found["dead"].attempts, found["dead"].last) == (1, "Connection refused")
    assert len(found) == 2


def test_neither_log_nor_trail_nor_database_has_a_secret(
    telling: Telling, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    telling.receiver.answer = lambda _number: 410
    telling.hooks.add("dead", "http://127.0.0.1:1/sesame", ("break-glass",), ACTOR)
    hook = telling.add("pager")
    telling.alarm()
    telling.look()
    assert "webhook pager: stopped at entry" in caplog.text
    assert "webhook dead: entry" in caplog.text
    with telling.store.database.reading() as connection:
        rows = str([tuple(row) for row in connection.exec_driver_sql("SELECT * FROM webhooks")])
        rows += str(list(connection.exec_driver_sql("SELECT * FROM audit")))
    said = caplog.text + repr(hook) + rows
    assert "sesame" not in said
    assert secret_text(hook.secret) not in said and str(hook.secret) not in said


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE webhooks SET seq = seq + 1",
        "UPDATE webhooks SET events = '[\"release\"]'",
        "UPDATE webhooks SET name = 'other'",
        "UPDATE webhooks SET stopped = 1",
        "UPDATE webhooks SET address = (SELECT address FROM webhooks WHERE name = 'b')",
    ],
)
def test_who_writes_the_database_cannot_have_an_alarm_skipped_or_sent_elsewhere(
    telling: Telling, change: str
) -> None:
    telling.add("a")
    telling.add("b")
    tamper(telling.store, f"{change} WHERE name = 'a'")
    with pytest.raises(Tampered, match="not as this server wrote it"):
        telling.hooks.every()


def test_that_one_was_deleted_the_audit_check_finds(telling: Telling) -> None:
    telling.add("a")
    telling.add("b")
    telling.hooks.remove("b", ACTOR)
    assert telling.store.verify_audit().faults == ()
    tamper(telling.store, "DELETE FROM webhooks")
    assert telling.store.verify_audit().faults == ("webhook 'a' is missing",)


def test_names_count_once_and_there_are_so_many(telling: Telling) -> None:
    telling.add("a")
    with pytest.raises(Conflict, match="there is a webhook 'a' already"):
        telling.add("a")
    for number in range(1, quotas.WEBHOOKS_MAX):
        telling.add(f"w{number}")
    with pytest.raises(Conflict, match="as many as may be"):
        telling.add("more")
