# SPDX-License-Identifier: Apache-2.0
"""Tells receivers what the audit trail has for them: in order, at least once, with growing pauses,
and in threads that nobody else waits for.
"""

from __future__ import annotations

import logging
import random
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.canonical import now, to_ms
from pykexec.server.errors import StoreError
from pykexec.server.store.records import AuditEntry
from pykexec.server.store.webhooks import Webhook, Webhooks
from pykexec.server.webhooks.receiver import Receiver, Unreachable
from pykexec.server.webhooks.settings import WebhookSettings, parse_target
from pykexec.server.webhooks.signature import body_of, headers_of, message_id, test_body

if TYPE_CHECKING:
    from pykexec.server.store.store import Store

log = logging.getLogger(__name__)

_LOOK_S = 1.0
_SAVE = timedelta(seconds=1)
_LEASE = timedelta(seconds=quotas.WEBHOOK_LEASE_S)
_NOT_UNDERSTOOD = (400, 413, 415, 422)
"""Statuses by which a receiver says that it is this message, not itself, that is out of order."""
_GONE = 410
Count = Callable[[str], None]
"""Is told the result of each attempt: delivered, failed, refused, stopped."""


def send_test(hook: Webhook, settings: WebhookSettings) -> tuple[bool, str]:
    """Send one message that tells of nothing; whether it was taken, and the answer in words."""
    time = now()
    body = test_body(hook.name, time)
    try:
        with Receiver(parse_target(hook.address, settings), settings) as receiver:
            number = f"test-{to_ms(time)}"
            status = receiver.post(headers_of(hook.secret, number, time, body), body)
    except (UsageError, Unreachable) as error:
        return False, str(error)
    return 200 <= status < 300, f"status {status}"


class Messenger:
    """Of one worker of one server; any number may share a database."""

    def __init__(
        self,
        store: Store,
        settings: WebhookSettings,
        count: Count,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._hooks = Webhooks(store.database, store.keys)
        self._settings = settings
        self._count = count
        self._clock = clock
        self._pool = ThreadPoolExecutor(quotas.WEBHOOK_THREADS, "webhooks")
        self._ends = threading.Event()
        self._busy: dict[str, Future[None]] = {}
        self._thread = threading.Thread(target=self._run, name="messenger", daemon=True)

    def start(self) -> None:
        """Look for messages from now on."""
        self._thread.start()

    def stop(self) -> None:
        """Wait for the messages that are on their way, and tell no others."""
        self._ends.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown(cancel_futures=True)

    def _run(self) -> None:
        said = ""
        while not self._ends.wait(_LOOK_S):
            try:
                self.look()
                said = ""
            except StoreError as error:
                # Nobody is told anything while the database is away; one line is enough.
                if (words := str(error)) != said:
                    log.error("webhooks: %s", words)
                said = words
            except Exception as error:
                log.error("webhooks: %s", type(error).__qualname__)

    def look(self) -> list[Future[None]]:
        """Have all told whose turn it is; what is under way by that."""
        self._busy = {name: task for name, task in self._busy.items() if not task.done()}
        for hook in self._hooks.waiting(self._clock()):
            if hook.name not in self._busy:
                self._busy[hook.name] = self._pool.submit(self._safely, hook)
        return list(self._busy.values())

    def _safely(self, hook: Webhook) -> None:
        try:
            self._tell(hook)
        except Exception as error:
            # Of its text nothing is said: it may have something of an address.
            log.error("webhook %s: %s", hook.name, type(error).__qualname__)

    def _tell(self, hook: Webhook) -> None:
        entries, end = self._hooks.messages(hook)
        if not entries:
            # Not each time: a quiet receiver shall cost others nothing.
            if end - hook.seq >= quotas.WEBHOOK_WINDOW:
                self._hooks.move(hook, seq=end)
            return
        held = self._hooks.move(hook, due=self._clock() + _LEASE)
        if held is None:
            return  # Another server's turn.
        try:
            target = parse_target(held.address, self._settings)
        except UsageError as error:
            self._failed(held, held.seq, entries[0].seq, 0, str(error))
            return
        with Receiver(target, self._settings) as receiver:
            self._tell_all(receiver, held, entries, end)

    def _tell_all(
        self, receiver: Receiver, held: Webhook, entries: tuple[AuditEntry, ...], end: int
    ) -> None:
        """Note now and then how far it is: what was not noted is sent again, should we end here."""
        seq, saved = held.seq, self._clock()
        fine = {"attempts": 0, "failing": None, "last": ""}
        for entry in entries:
            status, words = self._send(receiver, held, entry)
            if not 200 <= status < 300:
                self._failed(held, seq, entry.seq, status, words)
                return
            self._count("delivered")
            seq = entry.seq
            if self._ends.is_set():
                break
            if self._clock() - saved >= _SAVE:
                saved = self._clock()
                moved = self._hooks.move(held, seq=seq, due=saved + _LEASE, **fine)
                if moved is None:
                    return
                held = moved
        else:
            seq = end
        self._hooks.move(held, seq=seq, due=self._clock(), **fine)

    def _send(self, receiver: Receiver, hook: Webhook, entry: AuditEntry) -> tuple[int, str]:
        """The answer's status, 0 without one, and in words."""
        body, number = body_of(entry), message_id(entry)
        try:
            status = receiver.post(headers_of(hook.secret, number, self._clock(), body), body)
        except Unreachable as error:
            return 0, str(error)
        return status, f"status {status}"

    def _failed(self, held: Webhook, seq: int, failed: int, status: int, words: str) -> None:
        """Entry failed was not taken, behind seq; try again later, or come to an end."""
        time = self._clock()
        attempts = held.attempts + 1 if seq == held.seq else 1
        since = (held.failing if attempts > 1 else None) or time
        changes = {"seq": seq, "attempts": attempts, "failing": since, "last": words}
        if status in _NOT_UNDERSTOOD and attempts >= quotas.WEBHOOK_REFUSALS:
            changes |= {"seq": failed, "attempts": 0, "failing": None, "due": time}
            self._end(held, "refused", failed, changes)
        elif status == _GONE or attempts > len(quotas.WEBHOOK_PAUSES_S):
            self._end(held, "stopped", failed, changes | {"stopped": time, "due": time})
        else:
            pause_ms = int(quotas.WEBHOOK_PAUSES_S[attempts - 1] * random.uniform(900, 1100))
            self._hooks.move(held, due=time + timedelta(milliseconds=pause_ms), **changes)
            self._count("failed")
            log.info("webhook %s: entry %d: %s", held.name, failed, words)

    def _end(self, held: Webhook, how: str, failed: int, changes: dict[str, Any]) -> None:
        if self._hooks.end(held, f"webhook.{how}", failed, **changes) is not None:
            self._count(how)
            words = changes["last"]
            log.error("webhook %s: %s at entry %d: %s", held.name, how, failed, words)
