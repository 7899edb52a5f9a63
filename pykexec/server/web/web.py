# SPDX-License-Identifier: Apache-2.0
"""What all parts of the web service share: the store, the service, limits and counters."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from pykexec.server import quotas
from pykexec.server.store.audit_watch import AuditWatch
from pykexec.server.store.logins import Logins
from pykexec.server.web.bodies import Bodies
from pykexec.server.web.limits import Limiter, Rate, peer_key
from pykexec.server.web.metrics import Metrics
from pykexec.server.web.peer import Network
from pykexec.server.web.problems import Problem, too_many
from pykexec.server.webhooks.settings import WebhookSettings

if TYPE_CHECKING:
    from pykexec.server.people.provider import Provider
    from pykexec.server.service import Service
    from pykexec.server.store.accounts import Accounts
    from pykexec.server.store.store import Store

T = TypeVar("T")
_OPERATORS = 4  # threads
_PERSONS = 4
_AGENTS, _API = Rate(10, 60), Rate(20, 100)
_FAILURES = _ACCOUNT = Rate(0.1, 10)
_MACHINE = Rate(0.2, 60)
_WEBHOOKS = WebhookSettings()


@dataclass(frozen=True, slots=True)
class WebOptions:
    """Limits per peer, and who is believed about peers.

    Rates: agents count challenges and attestations, api the admin API and the pages, failures
    wrong tokens and passwords, account the logins to one account, machine the attestations of one
    machine, from wherever: each leaves rows behind. certificates are files (PEM) whose end is told.
    """

    agents: Rate = _AGENTS
    api: Rate = _API
    failures: Rate = _FAILURES
    account: Rate = _ACCOUNT
    machine: Rate = _MACHINE
    proxies: tuple[Network, ...] = ()
    threads: int = 2
    body_patience_s: float = quotas.BODY_PATIENCE_S
    body_budget: int = quotas.BODIES_MAX
    tls: bool = True
    certificates: tuple[Path, ...] = ()
    access_log: bool = True
    webhooks: WebhookSettings = _WEBHOOKS


@dataclass(frozen=True, slots=True)
class Web:
    """One worker's parts; limiter and metrics may be shared with other workers.

    provider is where persons log in who approve boots, operator_provider the same for operators,
    who come back to another address; None where that is not set up.
    """

    store: Store
    service: Service
    accounts: Accounts
    options: WebOptions = field(default_factory=WebOptions)
    limiter: Limiter = field(default_factory=Limiter)
    metrics: Metrics = field(default_factory=Metrics)
    watch: AuditWatch = field(default_factory=AuditWatch)
    provider: Provider | None = None
    operator_provider: Provider | None = None
    logins: Logins = field(init=False)
    bodies: Bodies = field(init=False)
    _agents: ThreadPoolExecutor = field(init=False)
    _operators: ThreadPoolExecutor = field(init=False)
    _persons: ThreadPoolExecutor = field(init=False)
    _waiting: asyncio.Semaphore = field(init=False)

    def __post_init__(self) -> None:
        options = self.options
        bodies = Bodies(options.body_budget, options.body_patience_s)
        object.__setattr__(self, "bodies", bodies)
        object.__setattr__(self, "logins", Logins(self.accounts))
        object.__setattr__(self, "_agents", ThreadPoolExecutor(options.threads, "agents"))
        object.__setattr__(self, "_operators", ThreadPoolExecutor(_OPERATORS, "operators"))
        object.__setattr__(self, "_persons", ThreadPoolExecutor(_PERSONS, "persons"))
        waiting = asyncio.Semaphore(quotas.PROVIDER_WAITERS)
        object.__setattr__(self, "_waiting", waiting)

    def hold_to(self, limit: str, key: str, rate: Rate) -> None:
        """Problem, and counted, where key asks faster than that."""
        if wait := self.limiter.take(limit, key, rate):
            self.metrics.count("pykexec_limited_total", limit=limit)
            raise too_many(wait)

    def hold_guesses(self, peer: str) -> None:
        """The same for a peer that has, or may have, guessed."""
        self.hold_to("failures", peer_key(peer), self.options.failures)

    def count_webhook(self, result: str) -> None:
        """One more attempt to tell somebody."""
        self.metrics.count("pykexec_webhook_messages_total", result=result)

    async def run(self, function: Callable[..., T], *arguments: object) -> T:
        """Call it in a thread: it computes, or waits for the store."""
        return await _run(self._operators, function, *arguments)

    async def run_for_agent(self, function: Callable[..., T], *arguments: object) -> T:
        """The same in threads that no operator keeps busy, and few: they compute all the time."""
        return await _run(self._agents, function, *arguments)

    async def run_for_person(self, function: Callable[..., T], *arguments: object) -> T:
        """The same for what waits for the login service, however long that takes: in threads that
        nobody else needs. Problem when too many wait.
        """
        if self._waiting.locked():
            raise Problem(503, "too many wait for the login service; again in a moment")
        async with self._waiting:
            return await _run(self._persons, function, *arguments)

    def close(self) -> None:
        """Wait for the threads and close the store."""
        self._agents.shutdown()
        self._operators.shutdown()
        self._persons.shutdown()
        self.store.close()


async def _run(pool: ThreadPoolExecutor, function: Callable[..., T], *arguments: object) -> T:
    """In the context of who asks: what is logged there is of the same request."""
    loop = asyncio.get_running_loop()
    return await loop.run_in_executor(pool, copy_context().run, function, *arguments)
