# SPDX-License-Identifier: Apache-2.0
"""How a store is opened: schema, then the store's own key."""

from __future__ import annotations

import secrets

from sqlalchemy import Connection, func, insert, inspect, select, text

from pykexec.server.errors import Tampered
from pykexec.server.keys.envelope import Keyring, WrappedKey
from pykexec.server.keys.keys import RESTORED, Keys
from pykexec.server.keys.masterkey import KEY_SIZE
from pykexec.server.store import audit, migrations, rewrapping, tables
from pykexec.server.store.database import Database
from pykexec.server.store.rewrapping import CONTEXT

_MIGRATION_LOCK = 0x70796B6578656301


def prepare(database: Database, keyring: Keyring, migrate: bool) -> tuple[str, Keys]:
    """The schema's revision and the store's key, which a new store is given."""
    if migrate:
        with database.changing() as connection:
            lock(connection)
            _wait_for_writers(connection)
            migrations.migrate(connection)
    with database.reading() as connection:
        revision = migrations.check(connection)
        row = rewrapping.store_key(connection)
        old = rewrapping.old_store_key(connection)
        restored = audit.last(connection, RESTORED)
    if row is not None:
        # Another server may have the next master key already.
        known = old if old is not None and not keyring.has(row.key_id) else row
        key = keyring.unwrap(WrappedKey(known.wrapped, known.key_id), CONTEXT)
        return revision, Keys(key, restored)
    return revision, _first_key(database, keyring)


def _first_key(database: Database, keyring: Keyring) -> Keys:
    key = bytearray(secrets.token_bytes(KEY_SIZE))
    wrapped = keyring.wrap(key, CONTEXT)
    keys = Keys(key)
    with database.changing() as connection:
        lock(connection)
        # Another server may have been faster.
        if (row := rewrapping.store_key(connection)) is not None:
            keys.wipe()
            return Keys(keyring.unwrap(WrappedKey(row.wrapped, row.key_id), CONTEXT))
        for table in (tables.audit, tables.machines, tables.policies):
            if connection.execute(select(func.count()).select_from(table)).scalar_one():
                raise Tampered("the store has rows, but its key is gone")
        values = {"id": 1, "wrapped": wrapped.data, "key_id": wrapped.key_id}
        connection.execute(insert(tables.store_key), values)
        head = {"id": 1, **audit.head_values(keys, 0, audit.START)}
        connection.execute(insert(tables.audit_head), head)
    return keys


def _wait_for_writers(connection: Connection) -> None:
    """Servers of the version before go on meanwhile. They take the chain's head first and then the
    tables in an order of their own; who changed tables without it would block one of them for ever.
    """
    if inspect(connection).has_table(tables.audit_head.name):
        connection.execute(select(tables.audit_head).with_for_update())


def lock(connection: Connection) -> None:
    """Be alone in making or changing the schema, until the transaction's end."""
    # SQLite has one writer anyhow.
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
