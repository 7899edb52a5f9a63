# SPDX-License-Identifier: Apache-2.0
"""Which secrets have to be replaced, and why: a row each, until a newer generation is current."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, insert, select

from pykexec.server import quotas
from pykexec.server.canonical import to_ms
from pykexec.server.keys.keys import Keys
from pykexec.server.store import machines
from pykexec.server.store.database import Writing
from pykexec.server.store.key_tables import rotations as _TABLE
from pykexec.server.store.records import Rotation, StoredSecret
from pykexec.server.store.view import View


def rotation_due(tx: Writing, secret: StoredSecret, reason: str, actor: str) -> None:
    """This generation of a secret was seen, used by a person, or is too old: the machine's system
    is told to make another. One line in the audit trail; of several reasons the first is kept.
    """
    known = of_machine(tx, secret.machine_id).get(secret.name)
    if known is not None and known.version >= secret.version:
        return
    reason = reason[: quotas.FINDING_MAX]
    forget(tx, secret.machine_id, secret.name)
    row = {"machine_id": secret.machine_id, "name": secret.name, "version": secret.version}
    values = {**row, "reason": reason, "since": tx.now}
    seal = _seal(tx.keys, secret.machine_id, secret.name, secret.version, reason, to_ms(tx.now))
    tx.connection.execute(insert(_TABLE), {**values, "seal": seal})
    subject = machines.subject(machines.get(tx, secret.machine_id).fingerprint)
    detail = {"name": secret.name, "version": secret.version, "reason": reason}
    tx.chain.append(tx.now, actor, "key.rotation-due", subject, detail)


def of_machine(view: View, machine_id: int) -> dict[str, Rotation]:
    """By the secret's name; Tampered for a row that is not ours."""
    query = select(_TABLE).where(_TABLE.c.machine_id == machine_id)
    return {row.name: _rotation(row, view.keys) for row in view.connection.execute(query)}


def forget(tx: Writing, machine_id: int, name: str) -> None:
    """A newer generation is current, or the secret is withdrawn."""
    mine = (_TABLE.c.machine_id == machine_id, _TABLE.c.name == name)
    tx.connection.execute(delete(_TABLE).where(*mine))


def _seal(
    keys: Keys, machine_id: int, name: str, version: int, reason: str, since_ms: int
) -> bytes:
    return keys.seal("key_rotations", machine_id, name, version, reason, since_ms)


def _rotation(row: Row[Any], keys: Keys) -> Rotation:
    fields = (row.machine_id, row.name, row.version, row.reason)
    keys.check(row.seal, "key_rotations", *fields, to_ms(row.since))
    return Rotation(row.name, row.version, row.reason, row.since)
