# SPDX-License-Identifier: Apache-2.0
"""Rows of security keys (WebAuthn credentials), of operators with and without a password."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from pykexec.errors import UsageError
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.keys.keys import Keys
from pykexec.server.people.security_keys import Asserted, KeyRefused, NewKey
from pykexec.server.store.account_tables import security_keys
from pykexec.server.store.database import Writing

KEYS_MAX = 16
"""Of one operator."""
_NAME_MAX = 64
_TABLE = security_keys


@dataclass(frozen=True, slots=True)
class SecurityKey:
    """One that is registered; reference names it to people, credential to browsers."""

    reference: str
    actor: str
    name: str
    credential: bytes
    public: bytes
    created: datetime
    last_used: datetime | None


def every(connection: Connection, keys: Keys, actor: str | None = None) -> tuple[SecurityKey, ...]:
    """All, or those of somebody."""
    query = select(_TABLE).order_by(_TABLE.c.actor, _TABLE.c.created)
    if actor is not None:
        query = query.where(_TABLE.c.actor == actor)
    return tuple(_key(row, keys) for row in connection.execute(query))


def add(tx: Writing, actor: str, name: str, new: NewKey) -> SecurityKey:
    """One more; Conflict when it is registered already, for whomever."""
    name = name.strip() or "security key"
    if len(name) > _NAME_MAX or not name.isprintable():
        raise UsageError(f"a key's name has up to {_NAME_MAX} printable characters")
    if len(every(tx.connection, tx.keys, actor)) >= KEYS_MAX:
        raise Conflict(f"there are {KEYS_MAX} keys already: remove one first")
    known = select(_TABLE.c.credential).where(_TABLE.c.credential == new.credential)
    if tx.connection.execute(known).one_or_none() is not None:
        raise Conflict("this key is registered already")
    values: dict[str, object] = {
        "credential": new.credential,
        "reference": secrets.token_hex(8),
        "actor": actor,
        "name": name,
        "public": new.public,
        "counter": new.counter,
        "created": tx.now,
        "last_used": None,
    }
    tx.connection.execute(insert(_TABLE), {**values, "seal": _seal(tx.keys, values)})
    detail = {"key": values["reference"], "name": name}
    tx.chain.append(tx.now, actor, "operator.key-add", actor, detail)
    row = tx.connection.execute(select(_TABLE).where(_TABLE.c.credential == new.credential)).one()
    return _key(row, tx.keys)


def use(tx: Writing, actor: str, used: Asserted) -> str:
    """Note it; its reference. KeyRefused when its counter says that there are two of it (WebAuthn,
    7.2, 22), or when it is not his.
    """
    where = (_TABLE.c.credential == used.credential, _TABLE.c.actor == actor)
    row = tx.connection.execute(select(_TABLE).where(*where)).one_or_none()
    if row is None:
        raise KeyRefused("this security key is not registered here for you")
    _key(row, tx.keys)
    if (row.counter or used.counter) and used.counter <= row.counter:
        raise KeyRefused(
            f"this key's counter went back, from {row.counter} to {used.counter}: somebody may "
            "have a copy of it; have an administrator reset your keys"
        )
    values = {**row._mapping, "counter": used.counter}
    new = {"counter": used.counter, "last_used": tx.now, "seal": _seal(tx.keys, values)}
    tx.connection.execute(update(_TABLE).where(*where).values(new))
    return str(row.reference)


def remove(tx: Writing, reference: str, by: str, actor: str | None = None) -> str:
    """Whose it was; NotFound unless there is such a one, of somebody if that is told."""
    row = tx.connection.execute(select(_TABLE).where(_TABLE.c.reference == reference)).one_or_none()
    if row is None or actor not in (None, row.actor):
        raise NotFound("there is no such security key")
    tx.connection.execute(delete(_TABLE).where(_TABLE.c.reference == reference))
    detail = {"key": reference, "name": row.name}
    tx.chain.append(tx.now, by, "operator.key-remove", row.actor, detail)
    return str(row.actor)


def remove_all(tx: Writing, actor: str, by: str) -> int:
    """Those of somebody; how many."""
    found = every(tx.connection, tx.keys, actor)
    for key in found:
        remove(tx, key.reference, by)
    return len(found)


def _seal(keys: Keys, values: Any) -> bytes:
    return keys.seal("security_keys", *_sealed(values))


def _sealed(values: Any) -> list[object]:
    return [
        values["reference"],
        values["credential"].hex(),
        values["actor"],
        values["name"],
        values["public"].hex(),
        values["counter"],
        to_ms(values["created"]),
    ]


def _key(row: Row[Any], keys: Keys) -> SecurityKey:
    keys.check(row.seal, "security_keys", *_sealed(row._mapping))
    return SecurityKey(
        row.reference, row.actor, row.name, row.credential, row.public, row.created, row.last_used
    )
