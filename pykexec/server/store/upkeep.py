# SPDX-License-Identifier: Apache-2.0
"""What is done to a store from time to time: forget what is over, see whether it works."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from time import monotonic

from sqlalchemy import Connection, insert, text

from pykexec.server import quotas
from pykexec.server.canonical import now
from pykexec.server.errors import StoreError
from pykexec.server.keys.envelope import Keyring
from pykexec.server.keys.keys import Keys
from pykexec.server.store import approval_rows, audit, retention, tables, thinning
from pykexec.server.store.database import Database
from pykexec.server.store.enrolment import get_settings
from pykexec.server.store.records import Health
from pykexec.server.store.view import Reading

_APPROVAL_KEPT = timedelta(seconds=quotas.APPROVAL_KEPT_S)


def purge(database: Database, keys: Keys, time: datetime) -> dict[str, int]:
    """Used nonces that expired, boots that wait for persons no more, attestations that are older
    than the settings say, and those of machines that have more than their share.
    """
    with database.changing() as connection:
        counts = {
            "nonces": thinning.forget_nonces(connection, time),
            "approvals": approval_rows.forget(connection, time - _APPROVAL_KEPT),
        }
    keep_days = database.read(lambda found: get_settings(Reading(found, keys))).keep_days
    crowded = database.read(thinning.crowded)
    with database.writing(keys) as tx:
        count = 0
        counts["secrets"] = retention.destroy(tx, time)
        if keep_days:
            count += thinning.forget(tx.connection, time - timedelta(days=keep_days))
        for machine_id, last, last_evidence in crowded:
            count += thinning.thin_out(tx.connection, machine_id, last, last_evidence)
        counts["attestations"] = count
        if counts["secrets"]:
            detail = {"count": counts["secrets"]}
            tx.chain.append(tx.now, "server", "secret.destroy", "secrets", detail)
        if count:
            tx.chain.append(tx.now, "server", "purge", "attestations", {"count": count})
    return counts


def health(database: Database, keyring: Keyring, keys: Keys, revision: str) -> Health:
    """Whether database (by writing to it), audit chain, clock and master key can be used."""
    faults = []
    start = monotonic()
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
    latency_ms = (monotonic() - start) * 1000
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
