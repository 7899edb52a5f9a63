# SPDX-License-Identifier: Apache-2.0
"""What machines ask of the server that are no attesters: health, metrics, the API's document."""

from __future__ import annotations

import asyncio

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pykexec.server import quotas
from pykexec.server.expiry import Expiry, now
from pykexec.server.roles import Reach
from pykexec.server.store.records import MACHINE_STATES, Health
from pykexec.server.store.webhooks import STATES, Webhooks
from pykexec.server.web import metrics
from pykexec.server.web.admin.auth import authenticate
from pykexec.server.web.openapi import document
from pykexec.server.web.reach import admitted, declare
from pykexec.server.web.web import Web


def routes(web: Web) -> list[Route]:
    """/healthz, /readyz, /metrics and /openapi.json."""
    described = JSONResponse(document())
    readiness = _Readiness(web)
    expiry = Expiry(web.store, web.options.certificates)

    async def alive(request: Request) -> Response:
        request.scope["pykexec.route"] = "healthz"
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        request.scope["pykexec.route"] = "readyz"
        # Not what is wrong: anybody may ask.
        ok = await readiness.ok()
        return JSONResponse({"status": "ok" if ok else "fault"}, 200 if ok else 503)

    async def figures(request: Request) -> Response:
        request.scope["pykexec.route"] = "metrics"
        caller = await authenticate(web, request.scope, request.scope["pykexec.peer"])
        await admitted(web, caller, "viewer", Reach.WHOLE, {})
        return PlainTextResponse(
            await web.run(_render, web, expiry), media_type=metrics.CONTENT_TYPE
        )

    async def openapi(request: Request) -> Response:
        request.scope["pykexec.route"] = "openapi"
        return described

    return [
        Route("/healthz", declare(alive, Reach.PUBLIC), methods=["GET"]),
        Route("/readyz", declare(ready, Reach.PUBLIC), methods=["GET"]),
        Route("/metrics", declare(figures, Reach.WHOLE), methods=["GET"]),
        Route("/openapi.json", declare(openapi, Reach.PUBLIC), methods=["GET"]),
    ]


class _Readiness:
    """One look at a time, for all who ask; what takes too long is not ready."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self._since = 0.0
        self._look: asyncio.Future[Health] | None = None

    async def ok(self) -> bool:
        """Whether the store can be used, as of a moment ago."""
        now = asyncio.get_running_loop().time()
        look = self._look
        if look is None or (look.done() and now - self._since > quotas.READY_EVERY_S):
            self._since = now
            look = self._look = asyncio.ensure_future(self._web.run(self._web.store.health))
        try:
            return (await asyncio.wait_for(asyncio.shield(look), quotas.READY_S)).ok
        except TimeoutError:
            return False


def _render(web: Web, expiry: Expiry) -> str:
    counts = web.store.machine_counts()
    gauges = [
        ("pykexec_machines", {"state": state}, float(counts.get(state, 0)))
        for state in MACHINE_STATES
    ]
    gauges.append(("pykexec_ready", {}, float(web.store.health().ok)))
    hooks = Webhooks(web.store.database, web.store.keys).states()
    gauges += [("pykexec_webhooks", {"state": state}, float(hooks[state])) for state in STATES]
    return web.metrics.render([*gauges, *expiry.gauges(now())])
