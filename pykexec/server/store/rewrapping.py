# SPDX-License-Identifier: Apache-2.0
"""Another master key: every key is wrapped by it, beside what the old one wraps until all servers
have the new one.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from pykexec.server.errors import Tampered
from pykexec.server.keys.envelope import Keyring, WrappedKey, wipe
from pykexec.server.keys.keys import Keys
from pykexec.server.store import tables
from pykexec.server.store.database import Database
from pykexec.server.store.secret_values import context_of

CONTEXT = b"pykexec store key 1"
"""Of the store's own key."""
_ROWS_AT_ONCE = 50
_STORE = 0
_OLD = tables.old_wrappings


def store_key(connection: Connection) -> Row[Any] | None:
    """The row of the store's own key."""
    return connection.execute(select(tables.store_key)).one_or_none()


def old_store_key(connection: Connection) -> Row[Any] | None:
    """The same key, wrapped by the master key before."""
    return connection.execute(select(_OLD).where(_OLD.c.secret_id == _STORE)).one_or_none()


def rewrap(database: Database, keyring: Keyring, keys: Keys, actor: str) -> int:
    """Wrap the store's key and every secret's by the master key, in small steps, so that others can
    go on meanwhile; those that only have the old one, too, until finish(). How many.
    """
    count = _rewrap_rows(database, keyring, tables.secrets, "id")
    count += _rewrap_rows(database, keyring, tables.retained, "secret_id")
    with database.reading() as connection:
        own = store_key(connection)
    if own is None:
        raise Tampered("the store has no key")
    new = _by_new(keyring, own, CONTEXT)
    with database.writing(keys) as tx:
        if own.key_id != new.key_id:
            _keep_old(tx.connection, _STORE, own)
        values = {"wrapped": new.data, "key_id": new.key_id}
        tx.connection.execute(update(tables.store_key).values(values))
        tx.chain.append(tx.now, actor, "rewrap", "secrets", {"count": count, "key": new.key_id})
    return count + 1


def finish(database: Database, keyring: Keyring, keys: Keys, actor: str) -> int:
    """What a server with the old master key has written meanwhile, too; from now on that key opens
    nothing any more.
    """
    count = rewrap(database, keyring, keys, actor)
    with database.writing(keys) as tx:
        tx.connection.execute(delete(_OLD))
        tx.chain.append(tx.now, actor, "rewrap.finish", "secrets", {"key": keyring.master.key_id})
    return count


def _rewrap_rows(database: Database, keyring: Keyring, table: Table, name: str) -> int:
    count, last = 0, 0
    secrets, machines = tables.secrets.c, tables.machines.c
    number = table.c[name]
    query = select(
        number.label("number"),
        *(table.c[column] for column in ("wrapped", "key_id")),
        *(secrets[column] for column in ("name", "kind", "parameters")),
        machines.fingerprint,
    )
    source = table if table is tables.secrets else table.join(tables.secrets, number == secrets.id)
    query = query.select_from(source.join(tables.machines, machines.id == secrets.machine_id))
    query = query.where(table.c.wrapped.is_not(None)).order_by(number).limit(_ROWS_AT_ONCE)
    while True:
        with database.reading() as connection:
            rows: list[Row[Any]] = list(connection.execute(query.where(number > last)))
        if not rows:
            return count
        contexts = [context_of(r.fingerprint, r.name, r.kind, r.parameters) for r in rows]
        new = [_by_new(keyring, *pair) for pair in zip(rows, contexts, strict=True)]
        with database.changing() as connection:
            for row, wrapped in zip(rows, new, strict=True):
                count += _replace(connection, table, name, row, wrapped)
        last = rows[-1].number


def _replace(
    connection: Connection, table: Table, name: str, row: Row[Any], new: WrappedKey
) -> int:
    """How many were replaced: none when the secret was rotated or revoked meanwhile."""
    same = (table.c[name] == row.number, table.c.wrapped == row.wrapped)
    values = {"wrapped": new.data, "key_id": new.key_id}
    count = connection.execute(update(table).where(*same).values(values)).rowcount
    if count and table is tables.secrets and row.key_id != new.key_id:
        _keep_old(connection, row.number, row)
    return count


def _keep_old(connection: Connection, number: int, row: Row[Any]) -> None:
    connection.execute(delete(_OLD).where(_OLD.c.secret_id == number))
    old = {"secret_id": number, "wrapped": row.wrapped, "key_id": row.key_id}
    connection.execute(insert(_OLD), old)


def _by_new(keyring: Keyring, row: Row[Any], context: bytes) -> WrappedKey:
    key = keyring.unwrap(WrappedKey(row.wrapped, row.key_id), context)
    try:
        return keyring.wrap(key, context)
    finally:
        wipe(key)
