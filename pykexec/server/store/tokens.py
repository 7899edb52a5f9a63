# SPDX-License-Identifier: Apache-2.0
"""Rows of tokens: known by a keyed digest, so that the database gives none away."""

from __future__ import annotations

import hmac
import secrets
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from pykexec.errors import UsageError
from pykexec.server.canonical import from_ms, now, to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.keys.keys import Keys
from pykexec.server.roles import Scope, check_role
from pykexec.server.store import tables
from pykexec.server.store.database import Writing
from pykexec.server.store.records import Token
from pykexec.server.store.view import View

PREFIX = "pykexec_"
"""So that scanners for leaked credentials can find one."""
USE_NOTED_EVERY = timedelta(minutes=1)
_SIZE = 32
_TEXT_MAX = 128
_NAME_MAX = 128
_TABLE = tables.tokens
_CURRENT = _TABLE.c.revoked.is_(None)


def create(
    tx: Writing,
    name: str,
    role: str,
    actor: str,
    expires: datetime | None,
    scope: Scope = (),
) -> tuple[Token, str]:
    """A new row and the token's text."""
    check_role(role)
    if not name.isprintable() or not 0 < len(name) <= _NAME_MAX:
        raise UsageError(f"a token's name has 1 to {_NAME_MAX} printable characters")
    if expires is not None:
        expires = from_ms(to_ms(expires))
    query = select(_TABLE.c.id).where(_TABLE.c.name == name, _CURRENT)
    if tx.connection.execute(query).one_or_none() is not None:
        raise Conflict(f"there is a token {name!r}")
    text = PREFIX + secrets.token_urlsafe(_SIZE)
    digest = _digest(tx.keys, text)
    row = {
        "name": name,
        "digest": digest,
        "role": role,
        "created": tx.now,
        "created_by": actor,
        "expires": expires,
        "scope": list(scope),
        "seal": _seal(tx.keys, name, digest, role, expires, None, scope),
    }
    tx.connection.execute(insert(_TABLE), row)
    detail: dict[str, object] = {"role": role, "expires_ms": expires and to_ms(expires)}
    detail |= {"scope": list(scope)} if scope else {}
    tx.chain.append(tx.now, actor, "token.create", f"token:{name}", detail)
    found = tx.connection.execute(select(_TABLE).where(_TABLE.c.digest == digest)).one()
    return _token(found, tx.keys), text


def find(view: View, presented: str) -> Token | None:
    """Whose it is, as long as it counts."""
    if not presented.startswith(PREFIX) or len(presented) > _TEXT_MAX:
        return None
    query = select(_TABLE).where(_TABLE.c.digest == _digest(view.keys, presented), _CURRENT)
    row = view.connection.execute(query).one_or_none()
    if row is None:
        return None
    token = _token(row, view.keys)
    return None if token.expires is not None and token.expires <= now() else token


def name_of(view: View, presented: str) -> str | None:
    """The name of one that counts, or has counted once."""
    query = select(_TABLE.c.name).where(_TABLE.c.digest == _digest(view.keys, presented))
    return view.connection.execute(query).scalar_one_or_none()


def use_is_news(token: Token) -> bool:
    """Whether note_use() is worth a transaction."""
    return token.last_used is None or now() - token.last_used >= USE_NOTED_EVERY


def note_use(connection: Connection, token: Token) -> None:
    """When it was used last."""
    connection.execute(update(_TABLE).where(_TABLE.c.id == token.id).values(last_used=now()))


def every(view: View) -> tuple[Token, ...]:
    """By name, newest first."""
    query = select(_TABLE).order_by(_TABLE.c.name, _TABLE.c.id.desc())
    return tuple(_token(row, view.keys) for row in view.connection.execute(query))


def revoke(tx: Writing, name: str, actor: str) -> Token:
    """It counts no more; NotFound when none of that name does."""
    row = tx.connection.execute(select(_TABLE).where(_TABLE.c.name == name, _CURRENT)).one_or_none()
    if row is None:
        raise NotFound(f"there is no token {name!r}")
    token = _token(row, tx.keys)
    seal = _seal(tx.keys, name, row.digest, row.role, row.expires, tx.now, token.scope)
    values = {"revoked": tx.now, "seal": seal}
    tx.connection.execute(update(_TABLE).where(_TABLE.c.id == token.id).values(values))
    tx.chain.append(tx.now, actor, "token.revoke", f"token:{name}")
    return replace(token, revoked=tx.now)


def revoke_made_by(tx: Writing, maker: str, actor: str) -> None:
    """Those that somebody has made for himself, whose right has ended or is another by now."""
    query = select(_TABLE.c.name).where(_TABLE.c.created_by == maker, _CURRENT)
    for name in tx.connection.execute(query).scalars().all():
        revoke(tx, name, actor)


def _digest(keys: Keys, text: str) -> bytes:
    return hmac.digest(keys.derive("pykexec tokens"), text.encode(), "sha256")


def _seal(
    keys: Keys,
    name: str,
    digest: bytes,
    role: str,
    expires: datetime | None,
    revoked: datetime | None,
    scope: Scope,
) -> bytes:
    times = [time and to_ms(time) for time in (expires, revoked)]
    return keys.seal("tokens", name, digest.hex(), role, *times, *_scoped(scope))


def _scoped(scope: Scope) -> list[list[str]]:
    """What a seal has more where there is a scope: rows of before there were any stay good."""
    return [list(scope)] if scope else []


def _token(row: Row[Any], keys: Keys) -> Token:
    fields = (row.name, row.digest, row.role, row.expires, row.revoked)
    times = [time and to_ms(time) for time in fields[3:]]
    scope = tuple(row.scope)
    more = _scoped(scope)
    keys.check(row.seal, "tokens", row.name, row.digest.hex(), row.role, *times, *more)
    return Token(
        row.id,
        row.name,
        row.role,
        row.created,
        row.created_by,
        row.expires,
        row.revoked,
        row.last_used,
        scope,
    )
