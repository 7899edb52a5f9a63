# SPDX-License-Identifier: Apache-2.0
"""Who is let in, for administrators: who may do what, sessions, security keys and tokens."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from starlette.responses import RedirectResponse, Response

from pykexec.server.roles import Grant
from pykexec.server.store.logins import LastLogin
from pykexec.server.web.page.page import Page, render


@dataclass(frozen=True, slots=True)
class _Row:
    """Somebody; last is None of who has never logged in."""

    actor: str
    name: str
    grant: Grant
    password: bool
    nr_keys: int
    nr_sessions: int
    last: LastLogin | None


def show(page: Page) -> Response:
    """All of it."""
    return render(
        "operators.html",
        page,
        rows=_rows(page),
        sessions=page.web.logins.sessions(),
        tokens=[token for token in page.web.store.tokens() if token.revoked is None],
        settings=page.web.accounts.settings,
        provider=page.web.operator_provider,
        now=datetime.now(UTC),
    )


def _rows(page: Page) -> list[_Row]:
    logins = page.web.logins
    accounts = {operator.actor: operator for operator in page.web.accounts.operators()}
    last = {login.actor: login for login in logins.last_logins()}
    keys = [key.actor for key in logins.keys()]
    sessions = [session.operator.actor for session in logins.sessions()]
    return [
        _Row(
            actor,
            accounts[actor].name if actor in accounts else last[actor].name,
            accounts[actor].grant if actor in accounts else last[actor].grant,
            actor in accounts,
            keys.count(actor),
            sessions.count(actor),
            last.get(actor),
        )
        for actor in sorted({*accounts, *last})
    ]


def end_session(page: Page) -> Response:
    """Anybody's."""
    page.web.logins.end_session(page.form.get("session", ""), page.actor)
    return RedirectResponse("/operators", 303)


def reset_keys(page: Page) -> Response:
    """Of somebody who has lost them."""
    page.web.logins.reset_keys(page.form.get("actor", ""), page.actor)
    return RedirectResponse("/operators", 303)


def revoke_token(page: Page) -> Response:
    """Anybody's."""
    page.web.store.revoke_token(page.form.get("token", ""), page.actor)
    return RedirectResponse("/operators", 303)


PAGES = {
    "/operators": ("GET", show),
    "/operators/sessions/end": ("POST", end_session),
    "/operators/keys/reset": ("POST", reset_keys),
    "/operators/tokens/revoke": ("POST", revoke_token),
}
"""By path: the method, the page; all are for administrators of the whole server."""
