# SPDX-License-Identifier: Apache-2.0
"""Rows of plans: which keys a machine's system may hand in, and how old they may become."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Row, delete, func, insert, select

from pykexec.errors import UsageError
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.keys.escrow_values import ESCROWED_KINDS
from pykexec.server.keys.keys import Keys
from pykexec.server.store import machines, secret_values
from pykexec.server.store.database import Writing
from pykexec.server.store.key_tables import plans as _TABLE
from pykexec.server.store.records import KeyPlan
from pykexec.server.store.view import View

ROTATE_DAYS_MAX = 3660
NAME_MAX = 64
"""Characters: all names go into a token."""
PLANS_MAX = 16
"""Of one machine: each may have three generations in a release of 64 secrets."""


def put(tx: Writing, machine_id: int, plan: KeyPlan, actor: str) -> KeyPlan:
    """Let a machine's system hand in a key; UsageError for what is no plan, Conflict for one too
    many, or where what is kept under that name is of another kind.
    """
    if plan.kind not in ESCROWED_KINDS:
        raise UsageError(f"{plan.kind!r} is not one of {', '.join(ESCROWED_KINDS)}")
    if not 0 <= plan.rotate_days <= ROTATE_DAYS_MAX:
        raise UsageError(f"rotate_days: from 0 to {ROTATE_DAYS_MAX}")
    if len(plan.name) > NAME_MAX:
        raise UsageError(f"a key that is handed in has a name of at most {NAME_MAX} characters")
    secret_values.check(plan.name, plan.kind, plan.parameters, b"a value")
    machine = machines.get(tx, machine_id)
    if machine.state == "retired":
        raise Conflict(f"machine {machine.fingerprint} is retired")
    for known in secret_values.of_machine(tx, machine_id, False):
        if known.name == plan.name and known.kind != plan.kind:
            raise Conflict(f"the secret {plan.name!r} is of kind {known.kind}")
    others = select(func.count()).where(
        _TABLE.c.machine_id == machine_id, _TABLE.c.name != plan.name
    )
    if tx.connection.execute(others).scalar_one() >= PLANS_MAX:
        raise Conflict(f"a machine has at most {PLANS_MAX} keys that its system hands in")
    _delete(tx, machine_id, plan.name)
    values = {
        "machine_id": machine_id,
        "name": plan.name,
        "kind": plan.kind,
        "parameters": dict(plan.parameters),
        "rotate_days": plan.rotate_days,
        "created": tx.now,
        "created_by": actor,
        "seal": tx.keys.seal("key_plans", machine_id, *_sealed(plan)),
    }
    tx.connection.execute(insert(_TABLE), values)
    detail = {
        "name": plan.name,
        "kind": plan.kind,
        "parameters": dict(plan.parameters),
        "rotate_days": plan.rotate_days,
    }
    tx.chain.append(tx.now, actor, "key.plan", machines.subject(machine.fingerprint), detail)
    return plan


def remove(tx: Writing, machine_id: int, name: str, actor: str) -> None:
    """Nothing of that name is taken any more; what is kept stays. NotFound."""
    if not _delete(tx, machine_id, name):
        raise NotFound(f"there is no plan for a key {name!r}")
    subject = machines.subject(machines.get(tx, machine_id).fingerprint)
    tx.chain.append(tx.now, actor, "key.plan-remove", subject, {"name": name})


def of_machine(view: View, machine_id: int) -> tuple[KeyPlan, ...]:
    """By name; Tampered for a row that is not ours."""
    query = select(_TABLE).where(_TABLE.c.machine_id == machine_id).order_by(_TABLE.c.name)
    return tuple(_plan(row, view.keys) for row in view.connection.execute(query))


def get(view: View, machine_id: int, name: str) -> KeyPlan:
    """By name; NotFound."""
    for plan in of_machine(view, machine_id):
        if plan.name == name:
            return plan
    raise NotFound(f"there is no plan for a key {name!r}")


def _delete(tx: Writing, machine_id: int, name: str) -> int:
    mine = (_TABLE.c.machine_id == machine_id, _TABLE.c.name == name)
    return tx.connection.execute(delete(_TABLE).where(*mine)).rowcount


def _sealed(plan: KeyPlan) -> tuple[object, ...]:
    return plan.name, plan.kind, dict(plan.parameters), plan.rotate_days


def _plan(row: Row[Any], keys: Keys) -> KeyPlan:
    plan = KeyPlan(row.name, row.kind, row.parameters, row.rotate_days)
    keys.check(row.seal, "key_plans", row.machine_id, *_sealed(plan))
    return plan
