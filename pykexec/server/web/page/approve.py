# SPDX-License-Identifier: Apache-2.0
"""The pages by which persons approve a boot, on a phone: by the machine's QR code, or its code.

    GET  /approve                    for the code, where there is no camera
    GET  /approve/{reference}        before the login: nothing but that there is something
    GET  /approve/{reference}/login  to the provider
    GET  /approve/callback           and back
    GET  /approve/{reference}        machine, payload, findings; a form for code and reason
    POST /approve/{reference}        the decision

What has to survive the login is in a cookie, sealed: nothing is kept for who does not log in.
"""

from __future__ import annotations

import functools
import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pykexec.attest.approval import login_nonce
from pykexec.errors import PykexecError
from pykexec.server import persons, quotas
from pykexec.server.approving import Desk
from pykexec.server.break_glass import Glass
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.people.id_token import LoginRefused
from pykexec.server.people.provider import Login, Provider, ProviderDown
from pykexec.server.persons import Case, NotCounted
from pykexec.server.sealed_json import SealedJson
from pykexec.server.store.approvals import Visitor, form_token
from pykexec.server.web.page import forms
from pykexec.server.web.page.page import render
from pykexec.server.web.problems import Problem
from pykexec.server.web.web import Web

log = logging.getLogger(__name__)

BEGUN_COOKIE = "__Host-pykexec-begun"
PERSON_COOKIE = "__Host-pykexec-person"
_BEGUN_MAX = 1024  # characters
_NONE = "this server has no login service (serve --people)"


@dataclass(frozen=True, slots=True)
class _Begun:
    """A login on its way; expires is in seconds since 1970."""

    reference: str
    login: Login
    expires: int


class Pages:
    """What all pages for persons share."""

    def __init__(self, web: Web, provider: Provider) -> None:
        self.web = web
        self.glass = Glass(web.store, web.service.desk)
        self.provider = provider
        key = web.store.derived_key("begun login")
        self._box = SealedJson(key, b"pykexec begun login 1", _BEGUN_MAX)

    @property
    def desk(self) -> Desk:
        """Who knows what waits."""
        return self.web.service.desk

    async def case(self, reference: str) -> Case:
        """It; Problem when it waits no more."""
        now = datetime.now(UTC)
        look_up = functools.partial(persons.look_up, self.web.store, self.desk)
        try:
            return await self.web.run(look_up, reference, now)
        except NotFound as error:
            raise Problem(404, str(error)) from None

    def seal(self, begun: _Begun) -> str:
        """For the browser to carry."""
        login = begun.login
        return self._box.seal(
            {
                "reference": begun.reference,
                "state": login.state,
                "verifier": login.verifier,
                "expires": begun.expires,
            }
        )

    def begun(self, request: Request) -> _Begun:
        """What this browser has begun; Problem if that is nothing."""
        cookie = forms.cookie(request, BEGUN_COOKIE, _BEGUN_MAX)
        fields = self._box.open(cookie) if cookie else None
        if fields is None:
            raise Problem(400, "this browser has begun no login here: scan the code again")
        begun = _Begun(
            fields.text("reference"),
            Login(fields.text("state"), fields.text("verifier")),
            fields.number("expires"),
        )
        if begun.expires < datetime.now(UTC).timestamp():
            raise Problem(400, "the login took too long: scan the code again")
        return begun

    async def nonce(self, case: Case) -> str:
        """Of every login for this boot."""
        version = await self.web.run(self.web.store.policy, *case.found.policy)
        return login_nonce(case.found.statement, version.text.encode())

    async def note(self, reference: str, visitor: Visitor | None, text: str, peer: str) -> None:
        """Into the audit trail, as long as it is not filled with that."""
        if not self.web.limiter.take("audited", "approvals", self.web.options.failures):
            note = self.desk.approvals.note_failure
            await self.web.run(note, reference, visitor, text, peer)


Page = Callable[[Pages, Request], Awaitable[Response]]


def routes_of(web: Web, pages: Iterable[tuple[str, str, Page]]) -> list[Route]:
    """By path, method and page; without a provider none says more than that."""
    shared = None if web.provider is None else Pages(web, web.provider)
    return [
        Route(path, _endpoint(web, shared, page), methods=[method]) for path, method, page in pages
    ]


def routes(web: Web) -> list[Route]:
    """All of them."""
    return routes_of(
        web,
        (
            ("/approve", "GET", _ask_code),
            ("/approve", "POST", _find),
            ("/approve/callback", "GET", _come_back),
            ("/approve/{reference}", "GET", _show),
            ("/approve/{reference}", "POST", _decide),
            ("/approve/{reference}/login", "GET", _log_in),
        ),
    )


def _endpoint(
    web: Web, pages: Pages | None, page: Page
) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        request.scope["pykexec.route"] = f"page:approve{page.__name__}"
        try:
            if pages is None:
                raise Problem(404, _NONE)
            return await page(pages, request)
        except Problem as problem:
            return _say(problem.detail, problem.status, headers=problem.headers)
        except ProviderDown as error:
            log.warning("%s", error)
            web.metrics.count("pykexec_approvals_total", result="login service down")
            text = f"{error}. Nothing is lost: the machine waits, try again in a moment."
            return _say(text, 503)

    return endpoint


async def _ask_code(pages: Pages, request: Request) -> Response:
    return render("approve_code.html", None, fault="")


async def _find(pages: Pages, request: Request) -> Response:
    forms.check_origin(request)
    form = await forms.read(pages.web, request)
    pages.web.hold_guesses(request.scope["pykexec.peer"])
    digest = pages.desk.codes.digest(form.get("code", "")[:64])
    found = await pages.web.run(pages.desk.approvals.by_code, digest, datetime.now(UTC))
    if found is None:
        fault = "No machine waits with this code."
        return render("approve_code.html", None, 404, fault=fault)
    return RedirectResponse(f"/approve/{found}", 303)


async def _log_in(pages: Pages, request: Request) -> Response:
    case = await pages.case(request.path_params["reference"])
    login = Login.new()
    settings = pages.provider.settings
    wanted = persons.wanted(case, await pages.nonce(case), settings)
    try:
        address = await pages.web.run_for_person(pages.provider.begin, login, wanted)
    except LoginRefused as error:
        # Of our request: the person has no part in that.
        raise ProviderDown(str(error)) from None
    expires = int(datetime.now(UTC).timestamp()) + quotas.LOGIN_S
    response = RedirectResponse(address, 303)
    sealed = pages.seal(_Begun(case.found.reference, login, expires))
    # Not "strict": the browser comes back from another site.
    forms.set_cookie(response, BEGUN_COOKIE, sealed, quotas.LOGIN_S, "lax")
    return response


async def _come_back(pages: Pages, request: Request) -> Response:
    begun, peer = pages.begun(request), request.scope["pykexec.peer"]
    case = await pages.case(begun.reference)
    wanted = persons.wanted(case, await pages.nonce(case), pages.provider.settings)
    answer, now = dict(request.query_params), datetime.now(UTC)
    try:
        person = await pages.web.run_for_person(
            pages.provider.finish, begun.login, answer, wanted, now
        )
    except LoginRefused as error:
        pages.web.metrics.count("pykexec_approvals_total", result="login refused")
        await pages.note(begun.reference, None, str(error), peer)
        return _say(f"{error}.", 403, again=f"/approve/{begun.reference}")
    try:
        secret = await pages.web.run(
            pages.desk.approvals.open_session, begun.reference, person, peer
        )
    except NotFound as error:
        raise Problem(404, str(error)) from None
    response = RedirectResponse(f"/approve/{begun.reference}", 303)
    forms.set_cookie(response, PERSON_COOKIE, secret, quotas.LOGIN_S, "lax")
    forms.drop_cookie(response, BEGUN_COOKIE, "lax")
    return response


async def _show(pages: Pages, request: Request) -> Response:
    case = await pages.case(request.path_params["reference"])
    secret, visitor = await visitor_of(pages, request, case.found.reference)
    if visitor is None:
        return render("approve_login.html", None, reference=case.found.reference)
    return _form(case, visitor, secret)


async def _decide(pages: Pages, request: Request) -> Response:
    forms.check_origin(request)
    form = await forms.read(pages.web, request)
    peer = request.scope["pykexec.peer"]
    case = await pages.case(request.path_params["reference"])
    secret, visitor = await visitor_of(pages, request, case.found.reference)
    if visitor is None:
        return render("approve_login.html", None, 403, reference=case.found.reference)
    check_form(form, secret)
    pages.web.hold_guesses(peer)
    reason = form.get("reason", "").replace("\0", "").strip()[: persons.REASON_MAX]
    act = functools.partial(persons.decide, pages.desk, case, visitor)
    try:
        decision = await pages.web.run(
            act,
            form.get("decision") == "refuse",
            form.get("code", "")[:64],
            reason,
            peer,
            datetime.now(UTC),
        )
    except (NotCounted, Conflict, NotFound) as error:
        pages.web.metrics.count("pykexec_approvals_total", result="not counted")
        await pages.note(case.found.reference, visitor, str(error), peer)
        return await _again(pages, case, visitor, secret, error)
    pages.web.metrics.count("pykexec_approvals_total", result=decision)
    if case.found.is_break_glass and decision != "refused":
        return RedirectResponse(f"/break-glass/{case.found.reference}", 303)
    if decision == "refused":
        return _say("Refused. The machine is given nothing.", 200, good=True)
    case = await pages.case(case.found.reference)
    if case.approved:
        return _say("Approved. The machine goes on within seconds.", 200, good=True)
    if decision == "requested":
        return _say("Asked. Somebody else has to approve now.", 200, good=True)
    return _say(f"Approved. It still takes: {case.left} more.", 200, good=True)


async def _again(
    pages: Pages, case: Case, visitor: Visitor, secret: str, error: PykexecError
) -> Response:
    """The form once more, if the boot still waits."""
    try:
        case = await pages.case(case.found.reference)
    except Problem:
        return _say(f"{error}.", 403)
    return _form(case, visitor, secret, f"{error}.", 403)


async def visitor_of(pages: Pages, request: Request, reference: str) -> tuple[str, Visitor | None]:
    """The session's secret, and who has it for this boot."""
    secret = forms.cookie(request, PERSON_COOKIE) or ""
    visitor = pages.desk.approvals.visitor
    return secret, await pages.web.run(visitor, reference, secret) if secret else None


def check_form(form: Mapping[str, str], secret: str) -> None:
    """Problem unless it comes from a page of this login."""
    if not hmac.compare_digest(form.get("csrf", "").encode(), form_token(secret).encode()):
        raise Problem(403, "the form is not of this login; load the page again")


def _form(
    case: Case, visitor: Visitor, secret: str, fault: str = "", status: int = 200
) -> Response:
    return render(
        "approve.html",
        None,
        status,
        case=case,
        visitor=visitor,
        token=form_token(secret),
        fault=fault,
        left_s=int((case.found.expires - datetime.now(UTC)).total_seconds()),
    )


def _say(
    text: str,
    status: int,
    good: bool = False,
    again: str = "/approve",
    headers: dict[str, str] | None = None,
) -> Response:
    response = render("approve_said.html", None, status, text=text, good=good, again=again)
    response.headers.update(headers or {})
    return response
