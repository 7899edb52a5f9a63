# SPDX-License-Identifier: Apache-2.0
"""How a store is opened: schema, then the store's own key; and how its keys are wrapped anew."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, text, update

from pykexec.server.errors import Tampered
from pykexec.server.keys.envelope import Keyring, WrappedKey, wipe
from pykexec.server.keys.keys import Keys
from pykexec.server.keys.masterkey import KEY_SIZE
from pykexec.server.store import audit, migrations, secret_values, tables
from pykexec.server.store.database import Database

_CONTEXT = b"pykexec store key 1"
_MIGRATION_LOCK = 0x70796B6578656301
_ROWS_AT_ONCE = 50


def prepare(database: Database, keyring: Keyring, migrate: bool) -> tuple[str, Keys]:
    """The schema's revision and the store's key, which a new store is given."""
    if migrate:
        with database.changing() as connection:
            _lock(connection)
            migrations.migrate(connection)
    with database.reading() as connection:
        revision = migrations.check(connection)
        row = _key_row(connection)
    if row is not None:
        return revision, Keys(keyring.unwrap(_wrapped(row), _CONTEXT))
    return revision, _first_key(database, keyring)


def rewrap(database: Database, keyring: Keyring, keys: Keys, actor: str) -> int:
    """Wrap the store's key and every secret's by the master key; small steps, so that others can
    go on meanwhile.
    """
    count, last = 0, 0
    while True:
        with database.reading() as connection:
            rows = secret_values.next_rows(connection, last, _ROWS_AT_ONCE)
        if not rows:
            break
        new = [(row, secret_values.rewrapped(keyring, row)) for row in rows]
        with database.changing() as connection:
            for row, wrapped in new:
                count += secret_values.replace_key(connection, row, wrapped)
        last = rows[-1].id
    with database.reading() as connection:
        own = _key_row(connection)
    if own is None:
        raise Tampered("the store has no key")
    key = keyring.unwrap(_wrapped(own), _CONTEXT)
    try:
        new_own = keyring.wrap(key, _CONTEXT)
    finally:
        wipe(key)
    with database.writing(keys) as tx:
        values = {"wrapped": new_own.data, "key_id": new_own.key_id}
        tx.connection.execute(update(tables.store_key).values(values))
        tx.chain.append(tx.now, actor, "rewrap", "secrets", {"count": count, "key": new_own.key_id})
    return count + 1


def _first_key(database: Database, keyring: Keyring) -> Keys:
    key = bytearray(secrets.token_bytes(KEY_SIZE))
    wrapped = keyring.wrap(key, _CONTEXT)
    keys = Keys(key)
    with database.changing() as connection:
        _lock(connection)
        # Another server may have been faster.
        if (row := _key_row(connection)) is not None:
            keys.wipe()
            return Keys(keyring.unwrap(_wrapped(row), _CONTEXT))
        for table in (tables.audit, tables.machines, tables.policies):
            if connection.execute(select(func.count()).select_from(table)).scalar_one():
                raise Tampered("the store has rows, but its key is gone")
        values = {"id": 1, "wrapped": wrapped.data, "key_id": wrapped.key_id}
        connection.execute(insert(tables.store_key), values)
        head = {"id": 1, **audit.head_values(keys, 0, audit.START)}
        connection.execute(insert(tables.audit_head), head)
    return keys


def _lock(connection: Connection) -> None:
    # SQLite has one writer anyhow.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})


def _key_row(connection: Connection) -> Row[Any] | None:
    return connection.execute(select(tables.store_key)).one_or_none()


def _wrapped(row: Row[Any]) -> WrappedKey:
    return WrappedKey(row.wrapped, row.key_id)
