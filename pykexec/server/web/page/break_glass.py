# SPDX-License-Identifier: Apache-2.0
"""The pages by which persons help a machine without a network: from its QR code to the answer.

    GET  /BREAK-GLASS/{offer}       where the QR code leads: nothing but that there is something
    GET  /break-glass               for who has its text
    POST /break-glass               it is judged; from here on as any boot that waits: /approve/...
    GET  /break-glass/{reference}   who still has to approve, or the answer, for who has approved
    POST /break-glass/{reference}   the answer is given

A GET changes nothing: what shows links in advance must not ask anybody.
"""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from pykexec.attest.break_glass import PATH, TEXT_MAX, parse_offer
from pykexec.attest.fields import ProtocolError
from pykexec.server.persons import NotCounted
from pykexec.server.store.approvals import Visitor, form_token
from pykexec.server.web.page import forms
from pykexec.server.web.page.approve import Pages, check_form, routes_of, visitor_of
from pykexec.server.web.page.page import render
from pykexec.server.web.problems import Problem
from pykexec.server.web.web import Web

_METRIC = "pykexec_break_glass_total"


def routes(web: Web) -> list[Route]:
    """All of them."""
    return routes_of(
        web,
        (
            (PATH + "{offer}", "GET", _show_offer),
            ("/break-glass", "GET", _ask_offer),
            ("/break-glass", "POST", _take),
            ("/break-glass/{reference}", "GET", _show),
            ("/break-glass/{reference}", "POST", _give),
        ),
    )


async def _ask_offer(pages: Pages, request: Request) -> Response:
    return _offer("", "")


async def _show_offer(pages: Pages, request: Request) -> Response:
    return _offer(request.path_params["offer"][:TEXT_MAX], "")


async def _take(pages: Pages, request: Request) -> Response:
    forms.check_origin(request)
    form = await forms.read(pages.web, request)
    peer = request.scope["pykexec.peer"]
    pages.web.hold_guesses(peer)
    try:
        offer = parse_offer(form.get("offer", ""))
        reference = await pages.web.run(pages.glass.take, offer, peer, datetime.now(UTC))
    except ProtocolError as error:
        return _offer("", f"This is not what the machine shows: {error}.", 400)
    except NotCounted as error:
        pages.web.metrics.count(_METRIC, result="refused")
        return _offer("", f"Nobody is asked: {error}.", 403)
    pages.web.metrics.count(_METRIC, result="asked")
    return RedirectResponse(f"/approve/{reference}", 303)


async def _show(pages: Pages, request: Request) -> Response:
    reference, secret, _ = await _approver(pages, request)
    return await _answer(pages, reference, secret, "")


async def _give(pages: Pages, request: Request) -> Response:
    forms.check_origin(request)
    form = await forms.read(pages.web, request)
    reference, secret, visitor = await _approver(pages, request)
    check_form(form, secret)
    peer, fault = request.scope["pykexec.peer"], ""
    if await pages.web.run(pages.glass.given, reference) is None:
        try:
            await pages.web.run(pages.glass.answer, reference, peer, datetime.now(UTC))
        except NotCounted as error:
            fault = f"{error}."
            await pages.note(reference, visitor, str(error), peer)
        pages.web.metrics.count(_METRIC, result="refused" if fault else "released")
    return await _answer(pages, reference, secret, fault)


async def _approver(pages: Pages, request: Request) -> tuple[str, str, Visitor]:
    """Nobody but who has decided for it is told anything of an answer."""
    reference = request.path_params["reference"]
    secret, visitor = await visitor_of(pages, request, reference)
    if visitor is None or visitor.decision not in ("requested", "approved"):
        raise Problem(403, "Whoever has approved this sees the answer: log in and approve")
    return reference, secret, visitor


async def _answer(pages: Pages, reference: str, secret: str, fault: str) -> Response:
    groups = await pages.web.run(pages.glass.given, reference)
    case = None if groups else await pages.case(reference)
    return render(
        "break_glass_answer.html",
        None,
        403 if fault else 200,
        reference=reference,
        groups=groups or (),
        case=case,
        token=form_token(secret),
        fault=fault,
    )


def _offer(offer: str, fault: str, status: int = 200) -> Response:
    return render("break_glass.html", None, status, offer=offer, fault=fault)
