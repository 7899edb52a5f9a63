# SPDX-License-Identifier: Apache-2.0
"""A mainboard was swapped: a machine's keys go to another EK, by the word of two persons.

The machine of before is retired, with all its history; the values are sealed anew for the other
one, which is that machine from then on: name, tags, policy, plans, generations. None of them counts
as proven, and those that a system was to make it is to make still.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, delete, insert, select

from pykexec.errors import UsageError
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict
from pykexec.server.keys.envelope import WrappedKey, wipe
from pykexec.server.keys.generations import STAGES
from pykexec.server.keys.keys import Keys
from pykexec.server.store import (
    generation_rows,
    key_plans,
    machines,
    retention,
    rotations,
    secret_values,
    tables,
)
from pykexec.server.store.database import Writing
from pykexec.server.store.key_tables import rebinds as _TABLE
from pykexec.server.store.records import KeyPlan, Machine, StoredSecret
from pykexec.server.store.view import Reading, View

if TYPE_CHECKING:
    from pykexec.server.store.store import Store

EXPIRES = timedelta(days=1)
"""So long the second person has."""
_REASON_MAX = 1024
_Moved = list[tuple[StoredSecret, tuple[WrappedKey, bytes]]]


@dataclass(frozen=True, slots=True)
class Rebind:
    """What one person has asked for."""

    machine_id: int
    to_id: int
    reason: str
    actor: str
    asked: datetime


def ask(store: Store, machine_id: int, to_id: int, actor: str, reason: str) -> Rebind:
    """One person wants it; in place of what was asked before. Conflict for machines that it could
    not be done to, UsageError without a reason.
    """
    if not reason.strip():
        raise UsageError("say why: it goes into the audit trail")
    with store.database.writing(store.keys) as tx:
        old, new = _check(tx, machine_id, to_id)
        tx.connection.execute(delete(_TABLE).where(_TABLE.c.machine_id == machine_id))
        asked = Rebind(machine_id, to_id, reason[:_REASON_MAX], actor, tx.now)
        tx.connection.execute(insert(_TABLE), _values(asked, tx.keys))
        detail = {"to": new.fingerprint, "reason": asked.reason}
        subject = machines.subject(old.fingerprint)
        tx.chain.append(tx.now, actor, "machine.rebind-ask", subject, detail)
    return asked


def confirm(store: Store, machine_id: int, to_id: int, actor: str) -> Machine:
    """Another person agrees: it is done; the machine as it is now. Conflict where nobody has asked
    for this in time, or where it was the same person.
    """
    wanted = store.machine_by_id(to_id)
    opened = store.open_secrets(machine_id, *STAGES)
    moved: _Moved = []
    try:
        for secret, value in opened:
            # The master key may be a request away: not within the transaction.
            fields = (secret.name, secret.kind, secret.parameters)
            sealed = secret_values.seal(store.keyring, wanted.fingerprint, *fields, value)
            moved.append((secret, sealed))
    finally:
        for _, value in opened:
            wipe(value)
    with store.database.writing(store.keys) as tx:
        asked = _asked(tx, machine_id)
        if asked is None or asked.to_id != to_id or tx.now - asked.asked >= EXPIRES:
            raise Conflict("nobody has asked for this in the last day: it takes two persons")
        if asked.actor == actor:
            raise Conflict("who has asked cannot agree: it takes somebody else")
        old, new = _check(tx, machine_id, to_id)
        _move(tx, old, new, moved, asked, actor)
        return machines.get(tx, to_id)


def asked_for(store: Store, machine_id: int) -> Rebind | None:
    """What one person has asked for, and nobody has agreed to yet."""
    keys = store.keys
    return store.database.read(lambda connection: _asked(Reading(connection, keys), machine_id))


def _check(tx: Writing, machine_id: int, to_id: int) -> tuple[Machine, Machine]:
    old, new = machines.get(tx, machine_id), machines.get(tx, to_id)
    if old.id == new.id:
        raise Conflict("that is the same machine")
    if old.state not in ("enrolled", "refused"):
        raise Conflict(f"machine {old.fingerprint} is {old.state}")
    if new.state not in ("pending", "enrolled"):
        raise Conflict(f"machine {new.fingerprint} is {new.state}")
    if secret_values.of_machine(tx, new.id, True) or key_plans.of_machine(tx, new.id):
        raise Conflict(f"machine {new.fingerprint} has keys of its own")
    return old, new


def _move(
    tx: Writing, old: Machine, new: Machine, moved: _Moved, asked: Rebind, actor: str
) -> None:
    kept = {each.id: each for each in generation_rows.of_machine(tx, old.id)}
    if {secret.id for secret, _ in moved} != set(kept):
        raise Conflict("its secrets were changed meanwhile: once more")
    due = rotations.of_machine(tx, old.id)
    plans = key_plans.of_machine(tx, old.id)
    retention.retire(tx, old.id, actor, f"rebound to {new.fingerprint}: {asked.reason}")
    values = {
        "state": "enrolled",
        "name": old.name,
        "tags": dict(old.tags),
        "policy": old.policy,
    }
    machines.change(tx, new.id, actor, "machine.rebind", values, f"it was {old.fingerprint}")
    for plan in plans:
        key_plans.put(tx, new.id, plan, actor)
    for secret, sealed in moved:
        plan = KeyPlan(secret.name, secret.kind, secret.parameters)
        row = secret_values.new_row(plan, new.id, secret.version, sealed, asked.actor, tx.now)
        query = insert(tables.secrets).returning(tables.secrets.c.id)
        stage = secret.stage
        secret_id = tx.connection.execute(query, {**row, "stage": stage}).scalar_one()
        generation_rows.write(tx, secret_id, stage, b"")
        rotation = due.get(secret.name)
        if rotation is not None and rotation.version == secret.version:
            fresh = replace(secret, id=secret_id, machine_id=new.id)
            rotations.rotation_due(tx, fresh, rotation.reason, actor)
        detail = {"name": secret.name, "version": secret.version, "from": old.fingerprint}
        subject = machines.subject(new.fingerprint)
        tx.chain.append(tx.now, actor, "secret.rebind", subject, detail)
    tx.connection.execute(delete(_TABLE).where(_TABLE.c.machine_id == old.id))


def _asked(view: View, machine_id: int) -> Rebind | None:
    query = select(_TABLE).where(_TABLE.c.machine_id == machine_id)
    row = view.connection.execute(query).one_or_none()
    return None if row is None else _rebind(row, view.keys)


def _values(asked: Rebind, keys: Keys) -> dict[str, object]:
    return {
        "machine_id": asked.machine_id,
        "to_id": asked.to_id,
        "reason": asked.reason,
        "actor": asked.actor,
        "asked": asked.asked,
        "seal": keys.seal("key_rebinds", *_sealed(asked)),
    }


def _sealed(asked: Rebind) -> tuple[object, ...]:
    return asked.machine_id, asked.to_id, asked.reason, asked.actor, to_ms(asked.asked)


def _rebind(row: Row[Any], keys: Keys) -> Rebind:
    found = Rebind(row.machine_id, row.to_id, row.reason, row.actor, row.asked)
    keys.check(row.seal, "key_rebinds", *_sealed(found))
    return found
