# SPDX-License-Identifier: Apache-2.0
"""Databases that older versions have written, and what their servers go on to write."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text

from pykexec.server.backup import rows
from pykexec.server.store import migrations
from pykexec.server.store.database import Database, Writing

_STORES = Path(__file__).resolve().parents[1] / "data/stores"
OLDEST, OLDEST_SCHEMA = _STORES / "e24450b.sql", "0002"


def load(sql: Path, path: Path) -> None:
    """Into a new file of SQLite."""
    with closing(sqlite3.connect(path)) as connection:
        connection.executescript(sql.read_text())


def copy(path: Path, url: str, schema: str) -> None:
    """From a file of SQLite into an empty database of any kind."""
    with closing(Database(f"sqlite:///{path}")) as source, closing(Database(url)) as target:
        with source.reading() as old, target.changing() as new:
            migrations.migrate(new, schema)
            places = rows.tables_of(new)
            found = rows.tables_of(old)
            for name, table in found.items():
                for batch in rows.dump(old, table):
                    rows.load(new, places[name], table.columns.keys(), batch)
            last = rows.last_numbers(old, list(found.values()))
            rows.set_last_numbers(new, list(places.values()), last)


def insert_attestation(tx: Writing, number: int) -> None:
    """What a server of e24450b did first with an attestation that released nothing."""
    tx.connection.execute(
        text(
            "INSERT INTO attestations (time, fingerprint, machine_id, accepted, findings, peer, "
            "released) VALUES (:number, 'f', 1, :yes, '[]', 'p', '[]')"
        ),
        {"number": number, "yes": True},
    )
    tx.chain.append(tx.now, "server", "attestation.accepted", "load", {"number": number})


def insert_nonce(tx: Writing, number: int) -> None:
    """And then."""
    values = {"digest": number.to_bytes(32, "big"), "expires": number}
    statement = "INSERT INTO nonces (digest, expires) VALUES (:digest, :expires)"
    tx.connection.execute(text(statement), values)
