# SPDX-License-Identifier: Apache-2.0
"""The admin API's operations on who is let in now: tokens, sessions and security keys."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from pykexec.server.roles import make_scope
from pykexec.server.store.records import ROLES
from pykexec.server.store.security_keys import SecurityKey
from pykexec.server.store.sessions import Session
from pykexec.server.web.admin.operations import Call, Operation
from pykexec.server.web.record_shapes import (
    NAME,
    SCOPE,
    TIME,
    TOKEN,
    time_text,
    token_json,
)
from pykexec.server.web.shapes import Flag, Integer, ListOf, Nullable, Record, Text

DAYS_MAX = 3660
"""Of a token."""
_REFERENCE = Text(16, pattern="[0-9a-f]{16}", size_min=16)
_ACTOR = Text(512, size_min=1)
SESSION = Record(
    {
        "session": _REFERENCE,
        "actor": _ACTOR,
        "name": Text(256),
        "role": Text(16, choices=ROLES),
        "scope": SCOPE,
        "how": Text(16, choices=("password", "provider")),
        "security_key": Flag(),
        "started": TIME,
        "used": TIME,
        "peer": Text(128),
        "agent": Text(256),
    }
)
SECURITY_KEY = Record(
    {
        "key": _REFERENCE,
        "actor": _ACTOR,
        "name": Text(64),
        "created": TIME,
        "last_used": Nullable(TIME),
    }
)


def _session_json(session: Session) -> dict[str, object]:
    return {
        "session": session.reference,
        "actor": session.operator.actor,
        "name": session.operator.name,
        "role": session.operator.role,
        "scope": list(session.operator.scope),
        "how": session.how,
        "security_key": session.keyed,
        "started": time_text(session.started),
        "used": time_text(session.used),
        "peer": session.peer,
        "agent": session.agent,
    }


def _key_json(key: SecurityKey) -> dict[str, object]:
    return {
        "key": key.reference,
        "actor": key.actor,
        "name": key.name,
        "created": time_text(key.created),
        "last_used": time_text(key.last_used) if key.last_used else None,
    }


def scope_of(call: Call) -> tuple[str, ...]:
    """The body's."""
    return make_scope(str(tag) for tag in call.get("scope", list, []))


def _tokens(call: Call) -> object:
    return {"tokens": [token_json(token) for token in call.web.store.tokens()]}


def _create_token(call: Call) -> object:
    days = call.optional("expires_days", int)
    expires = datetime.now(UTC) + timedelta(days=days) if days else None
    token, text = call.web.store.create_token(
        call.get("name", str, ""), call.get("role", str, ""), call.actor, expires, scope_of(call)
    )
    return {**token_json(token), "token": text}


def _revoke_token(call: Call) -> object:
    return token_json(call.web.store.revoke_token(call.path["token"], call.actor))


def _sessions(call: Call) -> object:
    return {"sessions": [_session_json(session) for session in call.web.logins.sessions()]}


def _end_session(call: Call) -> object:
    call.web.logins.end_session(call.path["session"], call.actor)
    return None


def _keys(call: Call) -> object:
    return {"keys": [_key_json(key) for key in call.web.logins.keys()]}


def _remove_key(call: Call) -> object:
    call.web.logins.remove_key(call.path["key"], call.actor)
    return None


def _reset_keys(call: Call) -> object:
    return {"count": call.web.logins.reset_keys(call.get("actor", str, ""), call.actor)}


OPERATIONS = (
    Operation(
        "listTokens", "GET", "/tokens", "admin", "All tokens, without their text.", _tokens,
        Record({"tokens": ListOf(TOKEN, 100_000)}),
    ),
    Operation(
        "createToken", "POST", "/tokens", "admin",
        "A new token; its text is in this answer and nowhere else.", _create_token,
        Record({**TOKEN.fields, "token": Text(256)}),
        Record(
            {"name": NAME, "role": Text(16, choices=ROLES)},
            {"expires_days": Integer(1, DAYS_MAX), "scope": SCOPE},
        ),
        errors=(409,), status=201,
    ),
    Operation(
        "revokeToken", "DELETE", "/tokens/{token}", "admin", "It counts no more.", _revoke_token,
        TOKEN, path_shapes={"token": NAME}, errors=(404,),
    ),
    Operation(
        "listSessions", "GET", "/sessions", "admin", "Who is logged in, newest first.", _sessions,
        Record({"sessions": ListOf(SESSION, 100_000)}),
    ),
    Operation(
        "endSession", "DELETE", "/sessions/{session}", "admin", "Log somebody out.",
        _end_session, path_shapes={"session": _REFERENCE}, errors=(404,),
    ),
    Operation(
        "listSecurityKeys", "GET", "/security-keys", "admin",
        "Security keys, by whose they are.", _keys,
        Record({"keys": ListOf(SECURITY_KEY, 100_000)}),
    ),
    Operation(
        "removeSecurityKey", "DELETE", "/security-keys/{key}", "admin", "Forget one.",
        _remove_key, path_shapes={"key": _REFERENCE}, errors=(404,),
    ),
    Operation(
        "resetSecurityKeys", "POST", "/security-keys/reset", "admin",
        "Somebody has lost them: forget all of his, and log him out.", _reset_keys,
        Record({"count": Integer()}), Record({"actor": _ACTOR}), errors=(404,),
    ),
)  # fmt: skip
