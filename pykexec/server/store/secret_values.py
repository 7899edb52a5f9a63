# SPDX-License-Identifier: Apache-2.0
"""Rows of secrets: sealed values, replaced, revoked, wrapped anew."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, func, insert, select

from pykexec.attest import protocol
from pykexec.attest.file_names import file_name
from pykexec.errors import UsageError
from pykexec.server.canonical import canonical
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.keys import envelope
from pykexec.server.keys.envelope import Keyring, WrappedKey
from pykexec.server.store import generation_rows, machines, retention, rotations, tables
from pykexec.server.store.database import Writing
from pykexec.server.store.records import KeyPlan, StoredSecret
from pykexec.server.store.view import View

VALUE_MAX = 256 << 10
"""Bytes of a secret: with base64 twice over, two of them fit into a reply (protocol.REPLY_MAX)."""
SECRETS_MAX = 64
"""Of one machine, as many as a release may have."""
_NAME_MAX = 256
Opened = list[tuple[StoredSecret, bytearray]]

_TABLE = tables.secrets
_CURRENT = _TABLE.c.revoked.is_(None)
_IN_USE = _TABLE.c.stage == "current"
_OLD = tables.old_wrappings
_WITH_FINGERPRINT = (
    select(
        _TABLE,
        tables.machines.c.fingerprint,
        _OLD.c.wrapped.label("old_wrapped"),
        _OLD.c.key_id.label("old_key_id"),
    )
    .join(tables.machines, tables.machines.c.id == _TABLE.c.machine_id)
    .outerjoin(_OLD, _OLD.c.secret_id == _TABLE.c.id)
    .where(_CURRENT, _TABLE.c.stage.in_(bindparam("stages", expanding=True)))
)
# Asked with every release.
_TO_OPEN = _WITH_FINGERPRINT.where(_TABLE.c.machine_id == bindparam("machine_id")).order_by(
    _TABLE.c.name
)


def check(
    name: str, kind: str, parameters: Mapping[str, str], value: bytes | bytearray | memoryview
) -> None:
    """UsageError for what could not be released."""
    if not name.isprintable() or not 0 < len(name) <= _NAME_MAX:
        raise UsageError(f"a secret's name has 1 to {_NAME_MAX} printable characters")
    if (known := protocol.SECRET_KINDS.get(kind)) is None:
        raise UsageError(f"{kind!r} is not one of {', '.join(protocol.SECRET_KINDS)}")
    for key, text in parameters.items():
        if key not in known:
            raise UsageError(f"a secret of kind {kind} has no parameter {key!r}")
        if not text.isprintable() or not 0 < len(text) <= _NAME_MAX:
            raise UsageError(f"{key} must have 1 to {_NAME_MAX} printable characters")
    if not 0 < len(value) <= VALUE_MAX:
        raise UsageError(f"a secret has 1 to {VALUE_MAX} bytes, not {len(value)}")


def seal(
    keyring: Keyring,
    fingerprint: str,
    name: str,
    kind: str,
    parameters: Mapping[str, str],
    value: bytes | bytearray | memoryview,
) -> tuple[WrappedKey, bytes]:
    """For one machine, name, kind and parameters alone."""
    return envelope.seal(keyring, context_of(fingerprint, name, kind, parameters), value)


def put(
    tx: Writing,
    machine_id: int,
    name: str,
    kind: str,
    parameters: Mapping[str, str],
    sealed: tuple[WrappedKey, bytes],
    actor: str,
) -> StoredSecret:
    """A new row, the old value withdrawn; Conflict for a machine that is retired."""
    machine = machines.get(tx, machine_id)
    if machine.state == "retired":
        raise Conflict(f"machine {machine.fingerprint} is retired")
    rows = _TABLE.c.machine_id == machine.id
    others = select(func.count()).where(rows, _CURRENT, _TABLE.c.name != name)
    if tx.connection.execute(others).scalar_one() >= SECRETS_MAX:
        raise Conflict(f"a machine has at most {SECRETS_MAX} secrets")
    _check_file(tx, machine.id, name, file_name(kind, parameters))
    version = next_version(tx, machine.id, name)
    retention.withdraw(tx, rows, _TABLE.c.name == name)
    rotations.forget(tx, machine.id, name)
    row = new_row(KeyPlan(name, kind, parameters), machine.id, version, sealed, actor, tx.now)
    tx.connection.execute(insert(_TABLE), row)
    detail = {"name": name, "kind": kind, "parameters": dict(parameters), "version": version}
    tx.chain.append(tx.now, actor, "secret.put", machines.subject(machine.fingerprint), detail)
    return current(tx, machine.id, name)


def _check_file(view: View, machine_id: int, name: str, file: str) -> None:
    """Conflict where two would be one file, for which the agent refuses both."""
    if not file:
        return
    others = (_TABLE.c.machine_id == machine_id, _TABLE.c.name != name, _CURRENT, _IN_USE)
    for row in view.connection.execute(select(_TABLE).where(*others)):
        # FAT knows no difference.
        if file_name(row.kind, row.parameters).lower() == file.lower():
            raise Conflict(f"the machine has the file {file} already, of its secret {row.name}")


def next_version(view: View, machine_id: int, name: str) -> int:
    """Of a secret: they are never given twice."""
    mine = (_TABLE.c.machine_id == machine_id, _TABLE.c.name == name)
    last = view.connection.execute(select(func.max(_TABLE.c.version)).where(*mine))
    return int(last.scalar_one() or 0) + 1


def new_row(
    plan: KeyPlan,
    machine_id: int,
    version: int,
    sealed: tuple[WrappedKey, bytes],
    actor: str,
    now: datetime,
) -> dict[str, object]:
    """A secret's columns."""
    wrapped, data = sealed
    return {
        "machine_id": machine_id,
        "name": plan.name,
        "kind": plan.kind,
        "parameters": dict(plan.parameters),
        "version": version,
        "wrapped": wrapped.data,
        "key_id": wrapped.key_id,
        "sealed": data,
        "created": now,
        "created_by": actor,
    }


def by_id(view: View, secret_id: int) -> StoredSecret:
    """By its number, which is one's."""
    row = view.connection.execute(select(_TABLE).where(_TABLE.c.id == secret_id)).one()
    return _secret(row)


def revoke(tx: Writing, machine_id: int, name: str, actor: str) -> StoredSecret:
    """Withdraw the value."""
    machine = machines.get(tx, machine_id)
    mine = (_TABLE.c.machine_id == machine.id, _TABLE.c.name == name)
    newest = select(_TABLE).where(*mine, _CURRENT).order_by(_TABLE.c.version.desc()).limit(1)
    if (row := tx.connection.execute(newest).one_or_none()) is None:
        raise NotFound(f"machine {machine_id} has no secret {name!r}")
    secret = _secret(row)
    retention.withdraw(tx, *mine)
    rotations.forget(tx, machine.id, name)
    detail = {"name": name, "version": secret.version}
    tx.chain.append(tx.now, actor, "secret.revoke", machines.subject(machine.fingerprint), detail)
    row = tx.connection.execute(select(_TABLE).where(_TABLE.c.id == secret.id)).one()
    return _secret(row)


def current(view: View, machine_id: int, name: str) -> StoredSecret:
    """The one of that name that is in use; NotFound."""
    query = select(_TABLE).where(_TABLE.c.machine_id == machine_id, _TABLE.c.name == name)
    row = view.connection.execute(query.where(_CURRENT, _IN_USE)).one_or_none()
    if row is None:
        raise NotFound(f"machine {machine_id} has no secret {name!r}")
    return _secret(row)


def of_machine(view: View, machine_id: int, history: bool) -> tuple[StoredSecret, ...]:
    """By name, newest version first."""
    kept = tables.retained
    query = select(_TABLE, kept.c.destroy.label("kept_until")).where(
        _TABLE.c.machine_id == machine_id
    )
    query = query.select_from(_TABLE.outerjoin(kept, kept.c.secret_id == _TABLE.c.id))
    if not history:
        query = query.where(_CURRENT)
    rows = view.connection.execute(query.order_by(_TABLE.c.name, _TABLE.c.version.desc()))
    return tuple(replace(_secret(row), kept_until=row.kept_until) for row in rows)


def rows_with_values(view: View, machine_id: int, stages: tuple[str, ...]) -> list[Row[Any]]:
    """For open_rows(), with the machine's fingerprint, by name; Tampered for a false stage."""
    generation_rows.of_machine(view, machine_id)
    values = {"machine_id": machine_id, "stages": stages}
    return list(view.connection.execute(_TO_OPEN, values))


def open_rows(keyring: Keyring, rows: Iterable[Row[Any]]) -> Opened:
    """Secrets with their values, which the caller wipes: all of them or an error."""
    found: Opened = []
    try:
        for row in rows:
            context = context_of(row.fingerprint, row.name, row.kind, row.parameters)
            wrapped = WrappedKey(row.wrapped, row.key_id)
            if row.old_wrapped is not None and not keyring.has(row.key_id):
                # Another server has the next master key already.
                wrapped = WrappedKey(row.old_wrapped, row.old_key_id)
            value = envelope.open_sealed(keyring, context, wrapped, row.sealed)
            found.append((_secret(row), value))
    except BaseException:
        for _, value in found:
            envelope.wipe(value)
        raise
    return found


def context_of(fingerprint: str, name: str, kind: str, parameters: object) -> bytes:
    """What a value is sealed for."""
    return canonical(["pykexec secret 1", fingerprint, name, kind, parameters]).encode()


def _secret(row: Row[Any]) -> StoredSecret:
    return StoredSecret(
        row.id,
        row.machine_id,
        row.name,
        row.kind,
        row.parameters,
        row.version,
        row.key_id,
        row.created,
        row.created_by,
        row.revoked,
        stage=row.stage,
    )
