# SPDX-License-Identifier: Apache-2.0
"""The operator page's routes: sessions, forms, and who may send which."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pykexec.errors import FormatError, UsageError
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.roles import Reach, reach_of
from pykexec.server.store.within import OutOfScope
from pykexec.server.web.page import account, actions, forms, keys, login, operators, views
from pykexec.server.web.page.login import SESSION_COOKIE, check_token
from pykexec.server.web.page.page import Page, asset, render
from pykexec.server.web.problems import Problem
from pykexec.server.web.reach import Caller, admitted, declare
from pykexec.server.web.web import Web

View = Callable[[Page], Response]


def routes(web: Web) -> list[Route]:
    """All pages."""

    async def style(request: Request) -> Response:
        request.scope["pykexec.route"] = "static"
        return asset(request.path_params["name"])

    async def start(request: Request) -> Response:
        return RedirectResponse("/machines", 303)

    found = [
        Route("/", declare(start, Reach.PUBLIC), methods=["GET"]),
        Route("/static/{name}", declare(style, Reach.PUBLIC), methods=["GET"]),
        *login.routes(web),
    ]
    # Before what has a name where these have a word.
    for path, view in keys.VIEWS.items():
        found.append(Route(path, _page(web, view, "viewer", Reach.WHOLE), methods=["GET"]))
    for path, (method, role, action) in keys.ACTIONS.items():
        endpoint = _page(web, action, role, Reach.WHOLE)
        found.append(Route(path, endpoint, methods=[method, "POST"]))
    for path, view in views.VIEWS.items():
        said = Reach.SCOPED if path in views.SCOPED else None
        found.append(Route(path, _page(web, view, "viewer", reach_of(path, said)), methods=["GET"]))
    for path, (method, role, action) in actions.ACTIONS.items():
        endpoint = _page(web, action, role, reach_of(path))
        found.append(Route(path, endpoint, methods=[method, "POST"]))
    for path, (method, view) in account.PAGES.items():
        found.append(Route(path, _page(web, view, "viewer", Reach.OWN), methods=[method]))
    for path, (method, view) in operators.PAGES.items():
        found.append(Route(path, _page(web, view, "admin", Reach.WHOLE), methods=[method]))
    return found


def _page(
    web: Web, view: View, role: str, reach: Reach
) -> Callable[[Request], Awaitable[Response]]:
    """Behind a session; a POST needs the role and the form's token."""

    async def endpoint(request: Request) -> Response:
        request.scope["pykexec.route"] = f"page:{view.__name__}"
        secret = forms.cookie(request, SESSION_COOKIE)
        session = await web.run(web.logins.session, secret) if secret else None
        if session is None or secret is None:
            return RedirectResponse("/login", 303)
        form = await forms.read(web, request) if request.method == "POST" else {}
        query = dict(request.query_params)
        path, peer = dict(request.path_params), request.scope["pykexec.peer"]
        page = Page(web, session, secret, request.method, path, query, form, peer)
        caller = Caller(page.actor, session.operator.grant)
        try:
            if request.method == "POST":
                forms.check_origin(request)
                check_token(form, session.csrf)
            seen = await admitted(web, caller, role, reach, path)
            return await web.run(_view, view, replace(page, web=seen))
        except Problem as problem:
            return render("error.html", page, problem.status, problem=problem)

    return declare(endpoint, reach)


def _view(view: View, page: Page) -> Response:
    try:
        return view(page)
    except NotFound as error:
        raise Problem(404, str(error)) from None
    except Conflict as error:
        raise Problem(409, str(error)) from None
    except OutOfScope as error:
        raise Problem(403, str(error)) from None
    except (FormatError, UsageError) as error:
        raise Problem(400, str(error)) from None
