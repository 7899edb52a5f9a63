# SPDX-License-Identifier: Apache-2.0
"""The admin API's routes: every row of the tables behind the same checks, in the same order."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from pykexec.attest.fields import ProtocolError
from pykexec.errors import FormatError, UsageError
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.store.within import OutOfScope
from pykexec.server.web.admin import (
    access,
    audit,
    break_glass,
    bulk,
    expiry,
    keys,
    machines,
    operators,
    quarantine,
    rebinding,
    rollouts,
    settings,
    webhooks,
)
from pykexec.server.web.admin.auth import authenticate, forbidden
from pykexec.server.web.admin.operations import (
    Call,
    Operation,
    answer,
    read_body,
    read_path,
    read_query,
)
from pykexec.server.web.problems import Problem
from pykexec.server.web.reach import admitted, declare
from pykexec.server.web.web import Web

OPERATIONS: tuple[Operation, ...] = (
    *machines.OPERATIONS,
    *keys.OPERATIONS,
    *expiry.OPERATIONS,
    *quarantine.OPERATIONS,
    *rollouts.OPERATIONS,
    *rebinding.OPERATIONS,
    *break_glass.OPERATIONS,
    *settings.OPERATIONS,
    *operators.OPERATIONS,
    *access.OPERATIONS,
    *audit.OPERATIONS,
    *bulk.OPERATIONS,
    *webhooks.OPERATIONS,
)


def routes(web: Web) -> list[Route]:
    """All of them; what a path has as fixed words goes before what it has as a name."""
    ordered = sorted(OPERATIONS, key=lambda operation: operation.path.count("{"))
    return [
        Route(operation.route, _endpoint(web, operation), methods=[operation.method])
        for operation in ordered
    ]


def _endpoint(web: Web, operation: Operation) -> Callable[[Request], Awaitable[Response]]:
    reach = operation.reaches

    async def endpoint(request: Request) -> Response:
        scope = request.scope
        scope["pykexec.route"] = operation.name
        caller = await authenticate(web, scope, scope["pykexec.peer"])
        try:
            seen = await admitted(web, caller, operation.role, reach, request.path_params)
        except Problem as problem:
            raise forbidden(problem) from None
        with web.bodies.charging(scope) as reader:
            body = await reader.read(scope, request.receive, operation.body_max)
            content_type = request.headers.get("content-type", "")
            return await web.run(_call, seen, operation, caller.actor, request, body, content_type)

    return declare(endpoint, reach)


def _call(
    web: Web, operation: Operation, actor: str, request: Request, body: bytes, content_type: str
) -> Response:
    try:
        pairs = parse_qsl(
            request.scope["query_string"].decode("ascii", "replace"),
            keep_blank_values=True,
            max_num_fields=32,
        )
        path = read_path(operation, request.path_params)
        query = read_query(operation, pairs)
        call = Call(web, actor, path, query, read_body(operation, body, content_type))
    except ValueError:
        raise Problem(400, "query: too many parameters") from None
    except ProtocolError as error:
        raise Problem(400, str(error)) from None
    try:
        return answer(web, operation, operation.handler(call))
    except NotFound as error:
        raise Problem(404, str(error)) from None
    except Conflict as error:
        raise Problem(409, str(error)) from None
    except OutOfScope as error:
        raise forbidden(Problem(403, str(error))) from None
    except (FormatError, UsageError) as error:
        raise Problem(422, str(error)) from None
