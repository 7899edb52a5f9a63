# SPDX-License-Identifier: Apache-2.0
"""The pages by which operators log in: by a password or at the provider, and by a security key.

GET  /login           which ways there are
POST /login           by a password
GET  /login/provider  to the provider
GET  /login/callback  and back
GET  /login/key       the second step, where one is wanted
POST /login/key       the key's answer
"""

from __future__ import annotations

import hashlib
import hmac
import json
import logging
import secrets
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pykexec.attest.fields import base64url
from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.errors import Conflict
from pykexec.server.people.id_token import LoginRefused, Wanted
from pykexec.server.people.provider import Login, Provider, ProviderDown
from pykexec.server.people.security_keys import KeyRefused
from pykexec.server.roles import Reach
from pykexec.server.sealed_json import SealedJson
from pykexec.server.store.logins import KeyQuestion, NotAdmitted, person_subject
from pykexec.server.store.sessions import form_token
from pykexec.server.web.headers import SCRIPTED
from pykexec.server.web.limits import peer_key
from pykexec.server.web.page import forms
from pykexec.server.web.page.page import render
from pykexec.server.web.problems import Problem, too_many
from pykexec.server.web.reach import declare
from pykexec.server.web.web import Web

log = logging.getLogger(__name__)

SESSION_COOKIE = "__Host-pykexec"
"""Browsers take it only with Secure, for this host alone (RFC 6265bis, 4.1.3.2)."""
LOGIN_COOKIE = "__Host-pykexec-login"
BEGUN_COOKIE = "__Host-pykexec-operator"
_LOGIN_S = 3600
_BEGUN_MAX = 1024  # characters
_WRONG = "Name or password is wrong."
_NONCE_PREFIX = b"pykexec operator login 1\0"

_Endpoint = Callable[[Web, Request], Awaitable[Response]]


def routes(web: Web) -> list[Route]:
    """All of them."""
    return [
        _route(web, "/login", "GET", _ask),
        _route(web, "/login", "POST", _by_password),
        _route(web, "/login/provider", "GET", _to_provider),
        _route(web, "/login/callback", "GET", _come_back),
        _route(web, "/login/key", "GET", _ask_key),
        _route(web, "/login/key", "POST", _take_key),
    ]


def _route(web: Web, path: str, method: str, page: _Endpoint) -> Route:
    async def endpoint(request: Request) -> Response:
        request.scope["pykexec.route"] = f"page:login{page.__name__}"
        try:
            return await page(web, request)
        except Problem as problem:
            response = _form(web, problem.status, problem.detail)
            response.headers.update(problem.headers)
            return response
        except ProviderDown as error:
            log.warning("%s", error)
            web.metrics.count("pykexec_logins_total", result="login service down")
            await _note(web, request, "?", str(error))
            return _form(web, 503, f"{error}. Try again in a moment.")

    return Route(path, declare(endpoint, Reach.PUBLIC), methods=[method])


async def _ask(web: Web, request: Request) -> Response:
    return _form(web, 200, "")


async def _by_password(web: Web, request: Request) -> Response:
    form = await forms.read(web, request)
    forms.check_origin(request)
    before = forms.cookie(request, LOGIN_COOKIE)
    if before is None:
        return _form(web, 403, "Please try again: the form was too old.")
    check_token(form, form_token(before))
    name, password = form.get("name", "")[:128], form.get("password", "")[:2048]
    await _limit_password(web, request, name)
    peer, agent = request.scope["pykexec.peer"], request.headers.get("user-agent", "")
    previous = forms.cookie(request, SESSION_COOKIE)
    try:
        secret = await web.run(web.logins.login, name, password, peer, previous, agent)
    except NotAdmitted as error:
        return await _refuse(web, request, name, error)
    web.metrics.count("pykexec_logins_total", result="accepted" if secret else "refused")
    if secret is None:
        await _note(web, request, name, "")
        return _form(web, 403, _WRONG)
    response = RedirectResponse(await _next(web, secret), 303)
    forms.set_cookie(response, SESSION_COOKIE, secret, None)
    forms.drop_cookie(response, LOGIN_COOKIE)
    return response


async def _to_provider(web: Web, request: Request) -> Response:
    provider = _provider(web)
    login = Login.new()
    try:
        address = await web.run_for_person(provider.begin, login, _wanted(web, provider, login))
    except LoginRefused as error:
        # Of our request: the operator has no part in that.
        raise ProviderDown(str(error)) from None
    expires = int(datetime.now(UTC).timestamp()) + quotas.LOGIN_S
    values = {"state": login.state, "verifier": login.verifier, "expires": expires}
    response = RedirectResponse(address, 303)
    # Not "strict": the browser comes back from another site.
    forms.set_cookie(response, BEGUN_COOKIE, _box(web).seal(values), quotas.LOGIN_S, "lax")
    return response


async def _come_back(web: Web, request: Request) -> Response:
    provider, peer = _provider(web), request.scope["pykexec.peer"]
    web.hold_guesses(peer)
    cookie = forms.cookie(request, BEGUN_COOKIE, _BEGUN_MAX)
    fields = _box(web).open(cookie) if cookie else None
    if fields is None:
        return await _refuse(web, request, "?", "this browser has begun no login here")
    login = Login(fields.text("state"), fields.text("verifier"))
    if fields.number("expires") < datetime.now(UTC).timestamp():
        return await _refuse(web, request, "?", "the login took too long")
    answer, now = dict(request.query_params), datetime.now(UTC)
    wanted = _wanted(web, provider, login)
    try:
        person = await web.run_for_person(provider.finish, login, answer, wanted, now)
    except LoginRefused as error:
        return await _refuse(web, request, "?", error)
    agent = request.headers.get("user-agent", "")
    try:
        secret = await web.run(web.logins.login_person, person, peer, agent)
    except NotAdmitted as error:
        return await _refuse(web, request, "?", error, person_subject(person.subject))
    web.metrics.count("pykexec_logins_total", result="accepted")
    # No redirection: of one that another site has begun browsers leave the new cookie out.
    response = render("login_done.html", None, to=await _next(web, secret))
    forms.set_cookie(response, SESSION_COOKIE, secret, None)
    forms.drop_cookie(response, BEGUN_COOKIE, "lax")
    return response


async def _ask_key(web: Web, request: Request) -> Response:
    return await _key_page(web, request, "", 200)


async def _take_key(web: Web, request: Request) -> Response:
    forms.check_origin(request)
    form = await forms.read(web, request)
    secret = forms.cookie(request, SESSION_COOKIE) or ""
    session = await web.run(web.logins.begun, secret)
    if session is None:
        return RedirectResponse("/login", 303)
    check_token(form, session.csrf)
    peer = request.scope["pykexec.peer"]
    web.hold_guesses(peer)
    known = await web.run(web.logins.keys, session.operator.actor)
    answer = form.get("answer", "")
    try:
        if known:
            opened = await web.run(web.logins.show_key, secret, answer)
        else:
            name = form.get("name", "")
            _, opened = await web.run(web.logins.register_key, secret, name, answer)
    except (KeyRefused, Conflict, UsageError) as error:
        await note_key(web, session.operator.actor, peer, error)
        return await _key_page(web, request, f"{error}.", 403)
    response = RedirectResponse("/machines", 303)
    forms.set_cookie(response, SESSION_COOKIE, opened, None)
    return response


async def _key_page(web: Web, request: Request, fault: str, status: int) -> Response:
    secret = forms.cookie(request, SESSION_COOKIE) or ""
    session = await web.run(web.logins.begun, secret)
    question = await web.run(web.logins.key_question, secret) if session else None
    if question is None:
        return RedirectResponse("/login", 303)
    return key_form(question, "login_key.html", status, fault=fault)


def key_form(question: KeyQuestion, template: str, status: int = 200, **values: object) -> Response:
    """A page that asks for a security key."""
    options = json.dumps(dict(question.options), default=dict)
    page = values.pop("page", None)
    response = render(template, page, status, question=question, options=options, **values)  # type: ignore[arg-type]
    response.headers.update(SCRIPTED)
    return response


async def note_key(web: Web, actor: str, peer: str, error: Exception) -> None:
    """A security key that did not count, into the audit trail, as long as it is not filled."""
    web.metrics.count("pykexec_logins_total", result="security key refused")
    if not web.limiter.take("audited", "logins", web.options.failures):
        await web.run(web.logins.note_key_failure, actor, peer, str(error))


def check_token(form: dict[str, str], token: str) -> None:
    """Problem unless the form is of this session."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), token.encode()):
        raise Problem(403, "the form is not of this session; load the page again")


async def _next(web: Web, secret: str) -> str:
    begun = await web.run(web.logins.begun, secret)
    return "/login/key" if begun else "/machines"


async def _limit_password(web: Web, request: Request, name: str) -> None:
    peer = request.scope["pykexec.peer"]
    for limit, key, rate in (
        ("failures", peer_key(peer), web.options.failures),
        ("account", name, web.options.account),
    ):
        if wait := web.limiter.take(limit, key, rate):
            # Others must not be able to lock anybody out of where he logs in from.
            if limit == "account" and await web.run(web.accounts.logged_in_from, name, peer):
                continue
            web.metrics.count("pykexec_limited_total", limit=limit)
            raise too_many(wait)


async def _refuse(
    web: Web, request: Request, name: str, error: object, actor: str = ""
) -> Response:
    web.metrics.count("pykexec_logins_total", result="refused")
    await _note(web, request, name, str(error), actor)
    return _form(web, 403, f"{error}.")


async def _note(web: Web, request: Request, name: str, reason: str, actor: str = "") -> None:
    """Whoever guesses on and on must not fill the audit trail either: figures count on."""
    if not web.limiter.take("audited", "logins", web.options.failures):
        peer = request.scope["pykexec.peer"]
        await web.run(web.accounts.note_failure, name, peer, reason, actor)


def _form(web: Web, status: int, fault: str) -> Response:
    """The ways to log in, with a token of its own: nobody shall log others in to his account."""
    secret = secrets.token_urlsafe(32)
    response = render(
        "login.html",
        None,
        status,
        token=form_token(secret),
        fault=fault[:1].upper() + fault[1:],
        provider=web.operator_provider is not None,
        passwords=web.accounts.settings.passwords,
    )
    forms.set_cookie(response, LOGIN_COOKIE, secret, _LOGIN_S)
    return response


def _provider(web: Web) -> Provider:
    if web.operator_provider is None:
        raise Problem(404, "operators log in by passwords here (serve --operators)")
    return web.operator_provider


def _wanted(web: Web, provider: Provider, login: Login) -> Wanted:
    """The nonce follows from what this browser alone has: a token of another login has another."""
    nonce = hashlib.sha256(_NONCE_PREFIX + login.verifier.encode()).digest()
    settings = web.accounts.settings
    return Wanted(
        issuer=provider.settings.issuer,
        client_id=provider.settings.client_id,
        nonce=base64url(nonce),
        groups_claim=provider.settings.groups_claim,
        max_age_s=settings.max_age_s,
        acr=settings.acr,
        purpose="session than this browser's",
    )


def _box(web: Web) -> SealedJson:
    key = web.store.derived_key("begun operator login")
    return SealedJson(key, b"pykexec operator login 1", _BEGUN_MAX)
