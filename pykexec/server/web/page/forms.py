# SPDX-License-Identifier: Apache-2.0
"""Forms and cookies of all pages: read within bounds, from our own pages alone."""

from __future__ import annotations

from http.cookies import CookieError, SimpleCookie
from typing import Literal
from urllib.parse import parse_qsl

from starlette.requests import Request
from starlette.responses import Response

from pykexec.server.web.problems import Problem
from pykexec.server.web.web import Web

FORM_MAX = 32 << 10  # bytes
_COOKIES_MAX = 8192
_COOKIE_MAX = 128
SameSite = Literal["strict", "lax"]


async def read(web: Web, request: Request) -> dict[str, str]:
    """A form's fields; Problem for what is none."""
    content_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if content_type != "application/x-www-form-urlencoded":
        raise Problem(415, "this is for forms")
    with web.bodies.charging(request.scope) as reader:
        body = await reader.read(request.scope, request.receive, FORM_MAX)
    try:
        pairs = parse_qsl(body.decode("ascii"), keep_blank_values=True, max_num_fields=64)
    except ValueError:
        raise Problem(400, "this is no form") from None
    return dict(pairs)


def check_origin(request: Request) -> None:
    """Browsers say where a form comes from (Fetch Metadata)."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise Problem(403, "the form comes from another site")


def cookie(request: Request, name: str, size_max: int = _COOKIE_MAX) -> str | None:
    """A cookie, if it looks like one of ours."""
    try:
        cookies = SimpleCookie(request.headers.get("cookie", "")[:_COOKIES_MAX])
    except CookieError:
        return None
    found = cookies.get(name)
    value = found.value if found else ""
    return value if 0 < len(value) <= size_max and value.isascii() else None


def set_cookie(
    response: Response,
    name: str,
    value: str,
    max_age: int | None,
    same_site: SameSite = "strict",
) -> None:
    """For this host alone, and no script."""
    response.set_cookie(
        name, value, max_age=max_age, path="/", secure=True, httponly=True, samesite=same_site
    )


def drop_cookie(response: Response, name: str, same_site: SameSite = "strict") -> None:
    """Have it forgotten."""
    response.delete_cookie(name, path="/", secure=True, httponly=True, samesite=same_site)
