# SPDX-License-Identifier: Apache-2.0
"""Every route of the server says how far it reaches, or the server does not start; and whoever asks
is given the server as far as he may reach into it: the one place that roles and scopes pass.
"""

from __future__ import annotations

import copy
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar
from weakref import WeakKeyDictionary

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from pykexec.server.roles import Grant, Reach, allows
from pykexec.server.store.within import within
from pykexec.server.web.problems import Problem
from pykexec.server.web.web import Web

Endpoint = Callable[[Request], Awaitable[Response]]
R = TypeVar("R", bound=BaseRoute)


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, by a token or a session: the name in the audit trail, and what he may do."""

    actor: str
    grant: Grant


_declared: WeakKeyDictionary[Callable[..., object], Reach] = WeakKeyDictionary()


def declare(endpoint: Endpoint, reach: Reach) -> Endpoint:
    """Say how far it reaches; what serves it has to hold to that."""
    _declared[endpoint] = reach
    return endpoint


def declare_all(routes: Iterable[R], reach: Reach) -> list[R]:
    """The same of routes."""
    found = list(routes)
    for route in found:
        assert isinstance(route, Route)
        _declared[route.endpoint] = reach
    return found


def declared(routes: Iterable[R]) -> list[R]:
    """These routes; RuntimeError for one of which nothing was declared: it must not be served."""
    found = list(routes)
    for route in found:
        if not isinstance(route, Route) or route.endpoint not in _declared:
            raise RuntimeError(f"{route}: nobody has declared how far it reaches (web/reach.py)")
    return found


def reach_declared(route: Route) -> Reach:
    """What was declared of it."""
    return _declared[route.endpoint]


def admit(web: Web, caller: Caller, role: str, reach: Reach, path: Mapping[str, object]) -> Web:
    """The server as far as the caller may reach into it; Problem 403, or 404 for what is there, but
    not for him. It may wait for the database.
    """
    grant = caller.grant
    if not allows(grant.role, role):
        raise Problem(403, f"your role is {grant.role}, this needs {role}")
    if not grant.scope:
        return web
    if reach is Reach.WHOLE:
        words = " ".join(grant.scope)
        raise Problem(403, f"your scope is {words}, this needs the whole server")
    store = within(web.store, grant.scope)
    machine = path.get("machine")
    if machine is not None and store.machine(str(machine)) is None:
        raise Problem(404, "no such machine")
    narrowed = copy.copy(web)
    object.__setattr__(narrowed, "store", store)
    return narrowed


async def admitted(
    web: Web, caller: Caller, role: str, reach: Reach, path: Mapping[str, object]
) -> Web:
    """The same, in a thread where the database is asked."""
    if not caller.grant.scope:
        return admit(web, caller, role, reach, path)
    return await web.run(admit, web, caller, role, reach, path)
