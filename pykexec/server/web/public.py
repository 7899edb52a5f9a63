# SPDX-License-Identifier: Apache-2.0
"""What machines ask of the server that are no attesters: health, metrics, the API's document."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from pykexec.server.store.records import MACHINE_STATES
from pykexec.server.web import metrics
from pykexec.server.web.admin.auth import authenticate
from pykexec.server.web.openapi import document
from pykexec.server.web.web import Web


def routes(web: Web) -> list[Route]:
    """/healthz, /readyz, /metrics and /openapi.json."""
    described = JSONResponse(document())

    async def alive(request: Request) -> Response:
        request.scope["pykexec.route"] = "healthz"
        return JSONResponse({"status": "ok"})

    async def ready(request: Request) -> Response:
        request.scope["pykexec.route"] = "readyz"
        health = await web.run(web.store.health)
        # Not what is wrong: anybody may ask.
        return JSONResponse({"status": "ok" if health.ok else "fault"}, 200 if health.ok else 503)

    async def figures(request: Request) -> Response:
        request.scope["pykexec.route"] = "metrics"
        await authenticate(web, request.scope, request.scope["pykexec.peer"], "viewer")
        return PlainTextResponse(await web.run(_render, web), media_type=metrics.CONTENT_TYPE)

    async def openapi(request: Request) -> Response:
        request.scope["pykexec.route"] = "openapi"
        return described

    return [
        Route("/healthz", alive, methods=["GET"]),
        Route("/readyz", ready, methods=["GET"]),
        Route("/metrics", figures, methods=["GET"]),
        Route("/openapi.json", openapi, methods=["GET"]),
    ]


def _render(web: Web) -> str:
    counts = web.store.machine_counts()
    gauges = [
        ("pykexec_machines", {"state": state}, float(counts.get(state, 0)))
        for state in MACHINE_STATES
    ]
    gauges.append(("pykexec_ready", {}, float(web.store.health().ok)))
    return web.metrics.render(gauges)
