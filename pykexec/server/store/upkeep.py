# SPDX-License-Identifier: Apache-2.0
"""What is done to a store from time to time: forget what is over, see whether it works."""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, text

from pykexec.server import quotas
from pykexec.server.canonical import now
from pykexec.server.errors import StoreError
from pykexec.server.keys.envelope import Keyring
from pykexec.server.keys.keys import Keys
from pykexec.server.store import attestations, audit, tables
from pykexec.server.store.database import Database
from pykexec.server.store.records import Health
from pykexec.server.store.view import Reading


def purge(database: Database, keys: Keys, now: datetime, keep: timedelta | None) -> dict[str, int]:
    """Used nonces that expired, attestations older than keep."""
    with database.changing() as connection:
        counts = {"nonces": attestations.forget_nonces(connection, now)}
    if keep is not None:
        with database.writing(keys) as tx:
            counts["attestations"] = attestations.forget(tx.connection, now - keep)
            if count := counts["attestations"]:
                tx.chain.append(tx.now, "server", "purge", "attestations", {"count": count})
    return counts


def health(database: Database, keyring: Keyring, keys: Keys, revision: str) -> Health:
    """Whether database (by writing to it), audit chain, clock and master key can be used."""
    faults = []
    start = time.monotonic()
    try:
        database.read(lambda connection: audit.check_head(Reading(connection, keys)))
        with database.changing() as connection:
            # A nonce that nobody was given and that is over: SQLite writes only what is new.
            nonce = {"digest": secrets.token_bytes(32), "expires": now()}
            connection.execute(insert(tables.nonces), nonce)
            apart_s = _clocks_apart_s(connection)
        if apart_s > quotas.CLOCKS_APART_S:
            faults.append(f"this server's clock and the database's are {apart_s:.0f} s apart")
    except StoreError as error:
        faults.append(str(error))
    latency_ms = (time.monotonic() - start) * 1000
    try:
        keyring.master.check()
    except StoreError as error:
        faults.append(str(error))
    return Health(tuple(faults), database.kind, revision, latency_ms)


def _clocks_apart_s(connection: Connection) -> float:
    if connection.dialect.name == "sqlite":
        return 0.0  # The same machine's.
    theirs = connection.execute(text("SELECT clock_timestamp()")).scalar_one()
    assert isinstance(theirs, datetime)
    return abs((datetime.now(UTC) - theirs).total_seconds())
