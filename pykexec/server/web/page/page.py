# SPDX-License-Identifier: Apache-2.0
"""One page: what a view is given, and how templates are filled in."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files

import jinja2
from starlette.responses import HTMLResponse, Response

from pykexec.about import version
from pykexec.server.roles import Scope, allows
from pykexec.server.store.sessions import Session
from pykexec.server.web.problems import Problem
from pykexec.server.web.web import Web

_DIGEST = re.compile("([0-9a-f]{8})[0-9a-f]{24,}")
_BRIEF_MAX = 160
_ASSETS = {
    "keys.js": "text/javascript; charset=utf-8",
    "pykexec.css": "text/css; charset=utf-8",
    "pykexec.svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Page:
    """A request within a session; path, query and form are text that nobody checked."""

    web: Web
    session: Session
    secret: str
    method: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    form: Mapping[str, str]
    peer: str = ""

    @property
    def actor(self) -> str:
        """Who it is, for the audit trail."""
        return self.session.operator.actor

    def may(self, role: str) -> bool:
        """Whether they may do what needs that role."""
        return allows(self.session.operator.role, role)

    @property
    def scope(self) -> Scope:
        """Whose machines they see; () those of the whole server."""
        return self.session.operator.scope

    def number(self, name: str) -> int | None:
        """A number of the query; None where it is none."""
        text = self.query.get(name, "")
        return int(text) if text.isascii() and text.isdigit() and len(text) < 16 else None


def _time(time: datetime | None) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S") if time else "never"


def _short(digest: str) -> str:
    return digest[:12]


def _brief(value: object) -> str:
    """For a list: digests are cut, the page of the thing itself has them whole."""
    text = ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    text = _DIGEST.sub(lambda digest: f"{digest[1]}\u2026", text)
    return text if len(text) <= _BRIEF_MAX else f"{text[:_BRIEF_MAX]}\u2026"


_environment = jinja2.Environment(
    loader=jinja2.PackageLoader("pykexec.server.web.page"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_environment.filters["time"] = _time
_environment.filters["short"] = _short
_environment.filters["brief"] = _brief


def render(name: str, page: Page | None, status: int = 200, **values: object) -> Response:
    """The page by a template; page is None before the login."""
    template = _environment.get_template(name)
    return HTMLResponse(template.render(page=page, version=version(), **values), status)


def asset(name: str) -> Response:
    """A file that pages refer to."""
    if name not in _ASSETS:
        raise Problem(404, "no such file")
    data = files("pykexec.server.web.page").joinpath("static", name).read_bytes()
    return Response(data, 200, {"Cache-Control": "max-age=3600"}, _ASSETS[name])
