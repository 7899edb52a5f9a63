# SPDX-License-Identifier: Apache-2.0
"""Who calls the admin API: bearer tokens (RFC 6750), and what they allow."""

from __future__ import annotations

from starlette.types import Scope

from pykexec.server.roles import Grant
from pykexec.server.store.records import Token
from pykexec.server.web.problems import Problem
from pykexec.server.web.reach import Caller
from pykexec.server.web.web import Web

TOKEN_MAX = 256  # characters
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pykexec"'}
_WRONG = {"WWW-Authenticate": 'Bearer realm="pykexec", error="invalid_token"'}
_FORBIDDEN = {"WWW-Authenticate": 'Bearer realm="pykexec", error="insufficient_scope"'}


def actor_of(token: Token) -> str:
    """Its holder's name in the audit trail."""
    return f"token:{token.name}"


async def authenticate(web: Web, scope: Scope, peer: str) -> Caller:
    """Whose token the request has; 401 and 429 as Problem.

    A peer that presents wrong tokens is slowed down before they are looked up.
    """
    presented = _bearer(scope)
    if presented is None:
        raise Problem(401, "a bearer token is needed", _CHALLENGE)
    token = await web.run(web.store.token, presented) if presented else None
    if token is None:
        web.hold_guesses(peer)
        # Not more often than other logins that fail: figures count on.
        if not web.limiter.take("audited", "tokens", web.options.failures):
            await web.run(web.accounts.note_token_failure, presented, peer)
        raise Problem(401, "the token is not known, has expired or was revoked", _WRONG)
    return Caller(actor_of(token), Grant(token.role, token.scope))


def forbidden(problem: Problem) -> Problem:
    """The same, as RFC 6750 (3.1) has it."""
    if problem.status == 403:
        problem.headers.update(_FORBIDDEN)
    return problem


def _bearer(scope: Scope) -> str | None:
    """The token; empty when it cannot be one, None when there is none."""
    for name, value in scope["headers"]:
        if name == b"authorization":
            scheme, _, text = value.decode("latin-1").partition(" ")
            if scheme.lower() != "bearer":
                return None
            text = text.strip()
            return text if text.isascii() and text.isprintable() and len(text) < TOKEN_MAX else ""
    return None
