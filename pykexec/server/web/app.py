# SPDX-License-Identifier: Apache-2.0
"""The ASGI application: every request passes here, is counted, logged and answered."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import secrets
import time
import traceback
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Router
from starlette.types import Message, Receive, Scope, Send

from pykexec.server.errors import StoreError
from pykexec.server.expiry import Expiry, announce
from pykexec.server.roles import Reach
from pykexec.server.web import agents, escrow, public
from pykexec.server.web.admin import routes as admin
from pykexec.server.web.headers import HEADERS
from pykexec.server.web.json_log import begin_request, note_machine
from pykexec.server.web.limits import peer_key
from pykexec.server.web.page import approve, break_glass
from pykexec.server.web.page import routes as pages
from pykexec.server.web.peer import peer_of
from pykexec.server.web.problems import Problem
from pykexec.server.web.reach import declare_all, declared
from pykexec.server.web.web import Web
from pykexec.server.webhooks.messenger import Messenger

access = logging.getLogger("pykexec.access")
log = logging.getLogger(__name__)

_PURGE_S = 300.0
_ANNOUNCE_S = 3600.0
_PUBLISH_S = 1.0
_HSTS = (b"strict-transport-security", b"max-age=31536000")
_NO_STORE = (b"cache-control", b"no-store")


_FAULT = Problem(500, "the server failed; its log knows why", {"Connection": "close"})
_UNAVAILABLE = Problem(
    503, "the server cannot reach its database", {"Connection": "close", "Retry-After": "2"}
)


class Application:
    """ASGI 3; agents' requests are dispatched before anything else is asked. All other routes have
    declared how far they reach.
    """

    def __init__(self, web: Web) -> None:
        self.web = web
        self.routes = declared(
            [
                *public.routes(web),
                *admin.routes(web),
                *declare_all(escrow.routes(web), Reach.MACHINE),
                *declare_all(approve.routes(web), Reach.PERSON),
                *declare_all(break_glass.routes(web), Reach.PERSON),
                *pages.routes(web),
            ]
        )
        self._router = Router(self.routes, redirect_slashes=False, lifespan=self._lifespan)
        self._expiry = Expiry(web.store, web.options.certificates)
        self._headers = (*HEADERS, _HSTS) if web.options.tls else HEADERS

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection's lifespan or request."""
        if scope["type"] == "lifespan":
            await self._router(scope, receive, send)
        elif scope["type"] == "http":
            await self._request(scope, receive, send)
        else:
            raise RuntimeError("only HTTP is served")

    async def _request(self, scope: Scope, receive: Receive, send: Send) -> None:
        start = time.perf_counter()
        scope["pykexec.note"] = begin_request(secrets.token_hex(8))
        scope["app"] = self  # Starlette then raises its 404 and 405 instead of answering.
        scope["pykexec.route"] = "other"
        scope["pykexec.peer"] = peer_of(scope, self.web.options.proxies)
        sent = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal sent
            if message["type"] == "http.response.start":
                sent = message["status"]
                headers = message["headers"]
                names = {name for name, _value in headers}
                headers += [pair for pair in self._headers if pair[0] not in names]
                if b"cache-control" not in names:
                    headers.append(_NO_STORE)
            await send(message)

        try:
            await self._answer(scope, receive, send_with_headers)
        except Problem as problem:
            await problem.response()(scope, receive, send_with_headers)
        except HTTPException as error:
            refusal = Problem(error.status_code, error.detail, error.headers)
            await refusal.response()(scope, receive, send_with_headers)
        except Exception as error:
            number = _log_fault(scope, error)
            # The database is locked, full or not there: that may pass.
            passing = type(error) is StoreError
            self.web.metrics.count("pykexec_failures_total")
            if sent:
                raise RuntimeError(f"request {number} failed after its answer began") from None
            fault = _UNAVAILABLE if passing else _FAULT
            await fault.response(number)(scope, receive, send_with_headers)
        finally:
            self._account(scope, sent, time.perf_counter() - start)

    async def _answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        web, path = self.web, scope["path"]
        agent = agents.PATHS.get(path)
        limit, rate = ("agents", web.options.agents) if agent else ("api", web.options.api)
        web.hold_to(limit, peer_key(scope["pykexec.peer"]), rate)
        if agent is None:
            await self._router(scope, receive, send)
            return
        scope["pykexec.route"] = path.rpartition("/")[2]
        response: Response = await agent(web, scope, receive)
        await response(scope, receive, send)

    def _account(self, scope: Scope, status: int, seconds: float) -> None:
        route = scope["pykexec.route"]
        metrics = self.web.metrics
        metrics.count("pykexec_requests_total", route=route, status=str(status))
        metrics.observe("pykexec_request_seconds", seconds, route=route)
        if self.web.options.access_log and access.isEnabledFor(logging.INFO):
            path = ascii(scope["path"][:256])[1:-1]
            peer, method = scope["pykexec.peer"], ascii(scope["method"][:16])[1:-1]
            ms = round(seconds * 1000, 1)
            note_machine(scope.get("path_params", {}).get("machine", ""))
            fields = {
                "peer": peer,
                "method": method,
                "path": path,
                "route": route,
                "status": status,
                "ms": ms,
            }
            line = (peer, method, path, status, ms)
            access.info("%s %s %s %d %.1f ms", *line, extra={"fields": fields})

    @contextlib.asynccontextmanager
    async def _lifespan(self, _app: object) -> AsyncIterator[None]:
        web = self.web
        messenger = Messenger(web.store, web.options.webhooks, web.count_webhook)
        messenger.start()
        works = (self._publish(), self._purge(), self._announce())
        tasks = [asyncio.create_task(work) for work in works]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await asyncio.to_thread(messenger.stop)
            web.metrics.publish()
            await asyncio.to_thread(web.close)

    async def _publish(self) -> None:
        while True:
            await asyncio.sleep(_PUBLISH_S)
            self.web.metrics.publish()

    async def _purge(self) -> None:
        while True:
            await asyncio.sleep(_PURGE_S * (0.5 + secrets.randbelow(1000) / 1000))
            try:
                now = datetime.now(UTC)
                await self.web.run(self.web.store.purge, now)
                await self.web.run(self.web.logins.purge, now)
            except Exception as error:
                _log_fault(None, error)

    async def _announce(self) -> None:
        wait_s = _PURGE_S
        while True:
            await asyncio.sleep(wait_s * (0.5 + secrets.randbelow(1000) / 1000))
            wait_s = _ANNOUNCE_S
            try:
                await self.web.run(announce, self.web.store, self._expiry, datetime.now(UTC))
            except Exception as error:
                _log_fault(None, error)


def _log_fault(scope: Scope | None, error: Exception) -> str:
    """Where it happened, without the exception's text: that may hold what a request held."""
    number = scope["pykexec.note"].number if scope else secrets.token_hex(8)
    what = f"{scope['method']} {scope['pykexec.route']}" if scope else "upkeep"
    frames = "".join(traceback.format_tb(error.__traceback__))
    log.error("%s: request %s: %s\n%s", what, number, type(error).__qualname__, frames)
    return number
