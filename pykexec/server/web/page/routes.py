# SPDX-License-Identifier: Apache-2.0
"""The operator page's routes: sessions, forms, and who may send which."""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Awaitable, Callable

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pykexec.errors import FormatError, UsageError
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.store.accounts import form_token
from pykexec.server.web.admin.operations import allows
from pykexec.server.web.limits import peer_key
from pykexec.server.web.page import actions, forms, keys, views
from pykexec.server.web.page.page import Page, asset, render
from pykexec.server.web.problems import Problem, too_many
from pykexec.server.web.web import Web

SESSION_COOKIE = "__Host-pykexec"
"""Browsers take it only with Secure, for this host alone (RFC 6265bis, 4.1.3.2)."""
LOGIN_COOKIE = "__Host-pykexec-login"
_LOGIN_S = 3600
_WRONG = "Name or password is wrong."

View = Callable[[Page], Response]


def routes(web: Web) -> list[Route]:
    """All pages."""

    async def style(request: Request) -> Response:
        request.scope["pykexec.route"] = "static"
        return asset(request.path_params["name"])

    async def start(request: Request) -> Response:
        return RedirectResponse("/machines", 303)

    found = [
        Route("/", start, methods=["GET"]),
        Route("/static/{name}", style, methods=["GET"]),
        Route("/login", _login_form(web), methods=["GET"]),
        Route("/login", _login(web), methods=["POST"]),
        Route("/logout", _page(web, actions.log_out, "viewer"), methods=["POST"]),
    ]
    for path, view in {**views.VIEWS, **keys.VIEWS}.items():
        found.append(Route(path, _page(web, view, "viewer"), methods=["GET"]))
    for path, (method, role, action) in {**keys.ACTIONS, **actions.ACTIONS}.items():
        found.append(Route(path, _page(web, action, role), methods=[method, "POST"]))
    return found


def _page(web: Web, view: View, role: str) -> Callable[[Request], Awaitable[Response]]:
    """Behind a session; a POST needs the role and the form's token."""

    async def endpoint(request: Request) -> Response:
        request.scope["pykexec.route"] = f"page:{view.__name__}"
        secret = forms.cookie(request, SESSION_COOKIE)
        session = await web.run(web.accounts.session, secret) if secret else None
        if session is None or secret is None:
            return RedirectResponse("/login", 303)
        form = await forms.read(web, request) if request.method == "POST" else {}
        query = dict(request.query_params)
        page = Page(web, session, secret, request.method, dict(request.path_params), query, form)
        try:
            if request.method == "POST":
                forms.check_origin(request)
                _check_token(form, session.csrf)
            if not allows(session.operator.role, role):
                raise Problem(403, f"your role is {session.operator.role}, this needs {role}")
            return await web.run(_view, view, page)
        except Problem as problem:
            return render("error.html", page, problem.status, problem=problem)

    return endpoint


def _view(view: View, page: Page) -> Response:
    try:
        return view(page)
    except NotFound as error:
        raise Problem(404, str(error)) from None
    except Conflict as error:
        raise Problem(409, str(error)) from None
    except (FormatError, UsageError) as error:
        raise Problem(400, str(error)) from None


def _login_form(web: Web) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope["pykexec.route"] = "page:login"
        return _ask(request, 200, "")

    return endpoint


def _login(web: Web) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope["pykexec.route"] = "page:login"
        form = await forms.read(web, request)
        forms.check_origin(request)
        before = forms.cookie(request, LOGIN_COOKIE)
        if before is None:
            return _ask(request, 403, "Please try again: the form was too old.")
        _check_token(form, form_token(before))
        name, password = form.get("name", ""), form.get("password", "")
        peer = request.scope["pykexec.peer"]
        for limit, key, rate in (
            ("failures", peer_key(peer), web.options.failures),
            ("account", name, web.options.account),
        ):
            if wait := web.limiter.take(limit, key, rate):
                # Others must not be able to lock anybody out of where he logs in from.
                if limit == "account" and await web.run(
                    web.accounts.logged_in_from, name[:128], peer
                ):
                    continue
                web.metrics.count("pykexec_limited_total", limit=limit)
                raise too_many(wait)
        previous = forms.cookie(request, SESSION_COOKIE)
        secret = await web.run(web.accounts.login, name[:128], password[:2048], peer, previous)
        web.metrics.count("pykexec_logins_total", result="accepted" if secret else "refused")
        if secret is None:
            # Whoever guesses on and on must not fill the audit trail either: figures count on.
            if not web.limiter.take("audited", "logins", web.options.failures):
                await web.run(web.accounts.note_failure, name[:128], peer)
            return _ask(request, 403, _WRONG)
        response = RedirectResponse("/machines", 303)
        forms.set_cookie(response, SESSION_COOKIE, secret, None)
        forms.drop_cookie(response, LOGIN_COOKIE)
        return response

    return endpoint


def _ask(request: Request, status: int, fault: str) -> Response:
    """The login form, with a token of its own: nobody shall log others in to his account."""
    secret = secrets.token_urlsafe(32)
    response = render("login.html", None, status, token=form_token(secret), fault=fault)
    forms.set_cookie(response, LOGIN_COOKIE, secret, _LOGIN_S)
    return response


def _check_token(form: dict[str, str], token: str) -> None:
    if not hmac.compare_digest(form.get("csrf", "").encode(), token.encode()):
        raise Problem(403, "the form is not of this session; load the page again")
