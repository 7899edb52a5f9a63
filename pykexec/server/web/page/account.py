# SPDX-License-Identifier: Apache-2.0
"""One's own account: security keys, sessions, and tokens for programs that act for one."""

from __future__ import annotations

from datetime import UTC, datetime

from starlette.responses import RedirectResponse, Response

from pykexec.server.people.security_keys import KeyRefused
from pykexec.server.roles import ROLES, Grant, make_scope
from pykexec.server.web.page import forms
from pykexec.server.web.page.login import SESSION_COOKIE, key_form
from pykexec.server.web.page.page import Page, render
from pykexec.server.web.problems import Problem

_TOO_OLD = "your login is too old to make what lasts: log in anew"


def show(page: Page) -> Response:
    """All of it."""
    return _show(page)


def _show(page: Page, made: str = "") -> Response:
    logins = page.web.logins
    session, now = page.session, datetime.now(UTC)
    return render(
        "account.html",
        page,
        made=made,
        keys=logins.keys(page.actor),
        keyed=logins.party is not None,
        fresh=session.fresh(now),
        sessions=logins.sessions(page.actor),
        tokens=logins.own_tokens.of(page.actor),
        roles=ROLES[: ROLES.index(session.operator.role) + 1],
        now=now,
    )


def ask_key(page: Page) -> Response:
    """Have the browser make one."""
    return _ask_key(page, "", 200)


def _ask_key(page: Page, fault: str, status: int) -> Response:
    _check_fresh(page)
    question = page.web.logins.key_question(page.secret, registers=True)
    if question is None:
        raise Problem(404, "this server has no address: no security keys (serve --operators)")
    return key_form(question, "account_key.html", status, page=page, fault=fault)


def add_key(page: Page) -> Response:
    """What the browser has made."""
    _check_fresh(page)
    name, answer = page.form.get("name", ""), page.form.get("answer", "")
    try:
        page.web.logins.register_key(page.secret, name, answer)
    except KeyRefused as error:
        page.web.logins.note_key_failure(page.actor, page.peer, str(error))
        return _ask_key(page, f"{error}.", 403)
    return RedirectResponse("/account", 303)


def remove_key(page: Page) -> Response:
    """One of their own."""
    _check_fresh(page)
    page.web.logins.remove_key(page.form.get("key", ""), page.actor, page.actor)
    return RedirectResponse("/account", 303)


def end_session(page: Page) -> Response:
    """One of their own; this one, too."""
    page.web.logins.end_session(page.form.get("session", ""), page.actor, page.actor)
    return RedirectResponse("/account", 303)


def create_token(page: Page) -> Response:
    """A token that may do at most what they may, for a time; it is shown once."""
    _check_fresh(page)
    grant = Grant(page.form.get("role", ""), make_scope(page.form.get("scope", "").split()))
    days = page.form.get("days", "")
    made = page.web.logins.own_tokens.create(
        page.session.operator,
        page.form.get("name", "").strip(),
        grant,
        int(days) if days.isascii() and days.isdigit() and len(days) < 6 else 0,
    )
    return _show(page, made)


def revoke_token(page: Page) -> Response:
    """One that they have made."""
    page.web.logins.own_tokens.revoke(page.actor, page.form.get("token", ""))
    return RedirectResponse("/account", 303)


def log_out(page: Page) -> Response:
    """End the session."""
    page.web.logins.logout(page.secret)
    response = RedirectResponse("/login", 303)
    forms.drop_cookie(response, SESSION_COOKIE)
    return response


def _check_fresh(page: Page) -> None:
    if not page.session.fresh(datetime.now(UTC)):
        raise Problem(403, _TOO_OLD)


PAGES = {
    "/account": ("GET", show),
    "/account/key": ("GET", ask_key),
    "/account/keys/add": ("POST", add_key),
    "/account/keys/remove": ("POST", remove_key),
    "/account/sessions/end": ("POST", end_session),
    "/account/tokens/create": ("POST", create_token),
    "/account/tokens/revoke": ("POST", revoke_token),
    "/logout": ("POST", log_out),
}
"""By path: the method, the page."""
