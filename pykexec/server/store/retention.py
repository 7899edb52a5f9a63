# SPDX-License-Identifier: Apache-2.0
"""Secrets that were replaced or revoked: kept for a while, restored, destroyed."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, delete, insert, select, update

from pykexec.server.errors import Conflict, NotFound
from pykexec.server.store import destruction, enrolment, generation_rows, machines, tables
from pykexec.server.store.database import Writing
from pykexec.server.store.records import Machine

_TABLE = tables.secrets
_RETAINED = tables.retained
_VALUE = ("wrapped", "key_id", "sealed")
_CURRENT = _TABLE.c.revoked.is_(None)


def withdraw(tx: Writing, *which: ColumnElement[bool]) -> None:
    """Take current secrets away: nobody is given them any more, and they are destroyed later."""
    days = enrolment.get_settings(tx).destroy_days
    rows = list(tx.connection.execute(select(_TABLE).where(_CURRENT, *which)))
    if not days:
        destruction.certify(tx, rows)
    elif rows:
        end = tx.now + timedelta(days=days)
        kept = [
            {"secret_id": row.id, "destroy": end, **{key: getattr(row, key) for key in _VALUE}}
            for row in rows
        ]
        tx.connection.execute(insert(_RETAINED), kept)
    gone = {"revoked": tx.now, "wrapped": None, "sealed": None}
    tx.connection.execute(update(_TABLE).where(_CURRENT, *which).values(gone))


def restore(tx: Writing, machine_id: int, name: str, version: int, actor: str) -> int:
    """Give a version its value back, in place of what is current; the secret's number."""
    machine = machines.get(tx, machine_id)
    if machine.state == "retired":
        raise Conflict(f"machine {machine.fingerprint} is retired: reinstate it first")
    mine = (_TABLE.c.machine_id == machine.id, _TABLE.c.name == name)
    query = select(_RETAINED).join(_TABLE, _TABLE.c.id == _RETAINED.c.secret_id)
    query = query.where(*mine, _TABLE.c.version == version)
    if (row := tx.connection.execute(query).one_or_none()) is None:
        raise NotFound(f"nothing is kept of version {version} of {name!r}")
    withdraw(tx, *mine)
    values = {"revoked": None, "stage": "current", **{key: getattr(row, key) for key in _VALUE}}
    tx.connection.execute(update(_TABLE).where(_TABLE.c.id == row.secret_id).values(values))
    tx.connection.execute(delete(_RETAINED).where(_RETAINED.c.secret_id == row.secret_id))
    generation_rows.forget(tx, row.secret_id)
    detail = {"name": name, "version": version}
    tx.chain.append(tx.now, actor, "secret.restore", machines.subject(machine.fingerprint), detail)
    return int(row.secret_id)


def retire(tx: Writing, machine_id: int, actor: str, reason: str) -> Machine:
    """It is given nothing any more; its secrets are withdrawn with it."""
    machines.change(tx, machine_id, actor, "machine.retire", {"state": "retired"}, reason)
    withdraw(tx, _TABLE.c.machine_id == machine_id)
    return machines.get(tx, machine_id)


def reinstate(tx: Writing, machine_id: int, actor: str, reason: str) -> Machine:
    """A retirement taken back, as long as any of its secrets is kept: it is refused then, and has
    none, until both are changed.
    """
    machine = machines.get(tx, machine_id)
    if machine.state != "retired":
        raise Conflict(f"machine {machine.fingerprint} is {machine.state}, not retired")
    kept = select(_RETAINED.c.secret_id).join(_TABLE, _TABLE.c.id == _RETAINED.c.secret_id)
    if not tx.connection.execute(kept.where(_TABLE.c.machine_id == machine.id)).first():
        raise Conflict(f"machine {machine.fingerprint} is retired for good: nothing of it is kept")
    values = {"state": "refused"}
    return machines.change(tx, machine_id, actor, "machine.reinstate", values, reason, final=False)


def destroy(tx: Writing, time: datetime) -> int:
    """Values whose time is over; how many."""
    return destruction.destroy(tx, _RETAINED.c.destroy < time)
