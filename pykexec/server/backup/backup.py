# SPDX-License-Identifier: Apache-2.0
"""A backup of a store: one snapshot of all its tables, encrypted while it is read.

Both databases show a transaction that reads one state for as long as it lasts, and let others write
meanwhile; so nothing is copied in clear first, and a backup of one goes into the other.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, create_engine, func, select

from pykexec.about import version
from pykexec.errors import UsageError
from pykexec.server.backup import age, rows
from pykexec.server.backup.header import Header
from pykexec.server.backup.lines import Sealer
from pykexec.server.canonical import canonical, now
from pykexec.server.errors import Tampered
from pykexec.server.keys.envelope import WrappedKey
from pykexec.server.keys.keys import Keys
from pykexec.server.store import audit, migrations, rewrapping, tables
from pykexec.server.store.database import Database
from pykexec.server.store.view import Reading
from pykexec.whole import creating

PURPOSE = "backup 1"
"""Of the key that authenticates lines."""
Say = Callable[[str], object]


def store_id(keys: Keys) -> str:
    """Names a store, and says nothing of its key."""
    return keys.derive("store id")[:8].hex()


def write_backup(
    database: Database, keys: Keys, path: Path, recipients: Sequence[age.Recipient], say: Say
) -> Header:
    """Make the file path, encrypted to the recipients, while servers go on; its header.

    It is there whole or not at all: FileExistsError if something is, OSError where it cannot be
    written, StoreError where the database cannot be read, Tampered where its chain's head is wrong.
    say is told how far it is.
    """
    if not recipients:
        raise UsageError("a backup needs a recipient")
    with database.reading() as connection:
        header = _header(connection, keys)
        try:
            with creating(path) as file:
                age.encrypt(lines(connection, header, keys, say), file, recipients)
        except OSError as error:
            if error.filename is not None:
                raise
            raise OSError(error.errno, error.strerror, str(path)) from None
    return header


def _header(connection: Connection, keys: Keys) -> Header:
    schema = migrations.check(connection)
    audit.check_head(Reading(connection, keys))
    head = connection.execute(select(tables.audit_head)).one()
    found = (rewrapping.store_key(connection), rewrapping.old_store_key(connection))
    wrapped = tuple(WrappedKey(row.wrapped, row.key_id) for row in found if row is not None)
    if not wrapped:
        raise Tampered("the store has no key")
    return Header(now(), version(), schema, store_id(keys), head.seq, head.hash, wrapped)


def lines(connection: Connection, header: Header, keys: Keys, say: Say) -> Iterator[bytes]:
    """What is encrypted: the header, each table's columns and rows, how many there were."""
    sealer = Sealer(keys.derive(PURPOSE))
    yield sealer.seal(header.text())
    found = rows.tables_of(connection)
    for name in found.keys() - _tables_of_schema():
        del found[name]
        say(f"{name}: left out, it is no table of pykexec's")
    counts = {}
    for name, table in found.items():
        total = connection.execute(select(func.count()).select_from(table)).scalar_one()
        yield sealer.seal(canonical({"table": name, "columns": list(table.columns.keys())}))
        count = 0
        for batch in rows.dump(connection, table):
            yield sealer.seal(canonical({"rows": batch}))
            count += len(batch)
            say(f"{name}: {count} of {total}")
        counts[name] = count
    last = rows.last_numbers(connection, list(found.values()))
    yield sealer.seal(canonical({"end": counts, "last": last}))


def _tables_of_schema() -> set[str]:
    """What a restore will have to put rows into: whatever the migrations make."""
    engine = create_engine("sqlite://")
    try:
        with engine.begin() as connection:
            migrations.migrate(connection)
            return set(rows.tables_of(connection))
    finally:
        engine.dispose()
