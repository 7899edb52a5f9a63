# SPDX-License-Identifier: Apache-2.0
"""Who calls the admin API: bearer tokens (RFC 6750) and what their roles allow."""

from __future__ import annotations

from starlette.types import Scope

from pykexec.server.store.records import Token
from pykexec.server.web.admin.operations import allows
from pykexec.server.web.limits import peer_key
from pykexec.server.web.problems import Problem, too_many
from pykexec.server.web.web import Web

TOKEN_MAX = 256  # characters
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="pykexec"'}
_WRONG = {"WWW-Authenticate": 'Bearer realm="pykexec", error="invalid_token"'}
_FORBIDDEN = {"WWW-Authenticate": 'Bearer realm="pykexec", error="insufficient_scope"'}


def actor_of(token: Token) -> str:
    """Its holder's name in the audit trail."""
    return f"token:{token.name}"


async def authenticate(web: Web, scope: Scope, peer: str, role: str) -> Token:
    """The token of the request; 401, 403 and 429 as Problem.

    A peer that presents wrong tokens is slowed down before they are looked up.
    """
    presented = _bearer(scope)
    if presented is None:
        raise Problem(401, "a bearer token is needed", _CHALLENGE)
    token = await web.run(web.store.token, presented) if presented else None
    if token is None:
        if wait := web.limiter.take("failures", peer_key(peer), web.options.failures):
            web.metrics.count("pykexec_limited_total", limit="failures")
            raise too_many(wait)
        raise Problem(401, "the token is not known, has expired or was revoked", _WRONG)
    if not allows(token.role, role):
        detail = f"the token's role is {token.role}, this needs {role}"
        raise Problem(403, detail, _FORBIDDEN)
    return token


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
