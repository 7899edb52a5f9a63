# SPDX-License-Identifier: Apache-2.0
"""Values that are destroyed for good, each with a certificate that is kept."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Row, delete, insert, select

from pykexec.server.keys import destruction
from pykexec.server.store import machines, tables
from pykexec.server.store.database import Writing
from pykexec.server.store.key_tables import destructions as _TABLE
from pykexec.server.store.view import View

_SECRETS, _RETAINED, _OLD = tables.secrets, tables.retained, tables.old_wrappings


def destroy(tx: Writing, *which: ColumnElement[bool]) -> int:
    """Retained values; how many. Their keys by an older master key go with them."""
    query = select(_SECRETS).join(_RETAINED, _RETAINED.c.secret_id == _SECRETS.c.id)
    rows = list(tx.connection.execute(query.where(*which)))
    ids = [row.id for row in rows]
    if not ids:
        return 0
    tx.connection.execute(delete(_RETAINED).where(_RETAINED.c.secret_id.in_(ids)))
    certify(tx, rows)
    return len(ids)


def certify(tx: Writing, rows: Sequence[Row[Any]]) -> None:
    """Write down that these secrets have no value any more."""
    for row in rows:
        tx.connection.execute(delete(_OLD).where(_OLD.c.secret_id == row.id))
        fingerprint = machines.get(tx, row.machine_id).fingerprint
        said = destruction.statement(
            fingerprint,
            row.name,
            row.kind,
            row.version,
            row.created,
            row.revoked or tx.now,
            tx.now,
        )
        values = {
            "secret_id": row.id,
            "machine_id": row.machine_id,
            "time": tx.now,
            "certificate": destruction.certify(tx.keys, said),
        }
        tx.connection.execute(insert(_TABLE), values)
        detail = {"name": row.name, "version": row.version}
        subject = machines.subject(fingerprint)
        tx.chain.append(tx.now, machines.SERVER, "key.destroy", subject, detail)


def of_machine(view: View, machine_id: int) -> tuple[str, ...]:
    """Its certificates, newest first."""
    query = select(_TABLE.c.certificate).where(_TABLE.c.machine_id == machine_id)
    newest = query.order_by(_TABLE.c.time.desc(), _TABLE.c.secret_id.desc())
    return tuple(view.connection.execute(newest).scalars())
