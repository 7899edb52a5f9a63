# SPDX-License-Identifier: Apache-2.0
"""Rows of a key's generations: secrets of its name that have values, and what was found of each.

A secret that an operator has stored has no row beside it: it is current, and nobody has tried it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Row, Select, delete, insert, select, update

from pykexec.server.canonical import to_ms
from pykexec.server.errors import Tampered
from pykexec.server.keys.generations import Generation, Key
from pykexec.server.keys.keys import Keys
from pykexec.server.store import rotations, tables
from pykexec.server.store.database import Writing
from pykexec.server.store.key_tables import generations as _TABLE
from pykexec.server.store.view import View

_SECRETS = tables.secrets
_QUERY: Select[Any] = (
    select(
        _SECRETS.c.id,
        _SECRETS.c.machine_id,
        _SECRETS.c.name,
        _SECRETS.c.kind,
        _SECRETS.c.version,
        _SECRETS.c.stage,
        _SECRETS.c.created,
        _SECRETS.c.created_by,
        _TABLE.c.digest,
        _TABLE.c.proven,
        _TABLE.c.used,
        _TABLE.c.verdict,
        _TABLE.c.seal,
    )
    .select_from(_SECRETS.outerjoin(_TABLE, _TABLE.c.secret_id == _SECRETS.c.id))
    .where(_SECRETS.c.revoked.is_(None))
    .order_by(_SECRETS.c.name, _SECRETS.c.version)
)


@dataclass(frozen=True, slots=True)
class Kept:
    """A generation as it is kept; digest is that of its value, None where nobody wrote it down;
    verdict is what the agent said last, "" nothing.
    """

    id: int
    name: str
    kind: str
    version: int
    stage: str
    created: datetime
    created_by: str
    digest: bytes | None
    proven: datetime | None
    used: datetime | None
    verdict: str


def of_machine(view: View, machine_id: int, name: str | None = None) -> tuple[Kept, ...]:
    """By name, oldest first; Tampered for a row that is not ours."""
    query = _QUERY.where(_SECRETS.c.machine_id == machine_id)
    if name is not None:
        query = query.where(_SECRETS.c.name == name)
    rows: list[Row[Any]] = list(view.connection.execute(query))
    return tuple(_kept(row, view.keys) for row in rows)


def key_of(kept: Sequence[Kept], due: int) -> Key:
    """The generations of one name; due is the version that has to go, or 0."""
    found = {
        each.stage: Generation(each.version, each.proven is not None, each.used is not None)
        for each in kept
    }
    return Key(found.get("next"), found.get("current"), found.get("previous"), due)


def load(view: View, machine_id: int, name: str) -> tuple[Key, dict[int, Kept]]:
    """A key, and its generations by version."""
    kept = of_machine(view, machine_id, name)
    known = rotations.of_machine(view, machine_id).get(name)
    return key_of(kept, known.version if known else 0), {each.version: each for each in kept}


def write(
    tx: Writing,
    secret_id: int,
    stage: str,
    digest: bytes,
    proven: datetime | None = None,
    used: datetime | None = None,
    verdict: str = "",
) -> None:
    """Write down what is known of one, in place of what was; what was retired stays in secrets."""
    forget(tx, secret_id)
    values = {
        "secret_id": secret_id,
        "digest": digest,
        "proven": proven,
        "used": used,
        "verdict": verdict,
    }
    seal = tx.keys.seal(
        "key_generations", *_sealed(secret_id, stage, digest, proven, used, verdict)
    )
    tx.connection.execute(insert(_TABLE), {**values, "seal": seal})
    row = _SECRETS.c.id == secret_id
    tx.connection.execute(update(_SECRETS).where(row).values(stage=stage))


def forget(tx: Writing, secret_id: int) -> None:
    """Nothing is known of it any more."""
    tx.connection.execute(delete(_TABLE).where(_TABLE.c.secret_id == secret_id))


def _kept(row: Row[Any], keys: Keys) -> Kept:
    if row.seal is not None:
        fields = (row.stage, row.digest, row.proven, row.used, row.verdict)
        keys.check(row.seal, "key_generations", *_sealed(row.id, *fields))
    elif row.stage != "current":
        raise Tampered(f"secret {row.name!r} version {row.version}: its stage is nobody's word")
    return Kept(
        row.id,
        row.name,
        row.kind,
        row.version,
        row.stage,
        row.created,
        row.created_by,
        row.digest,
        row.proven,
        row.used,
        row.verdict or "",
    )


def _sealed(
    secret_id: int,
    stage: str,
    digest: bytes,
    proven: datetime | None,
    used: datetime | None,
    verdict: str,
) -> tuple[object, ...]:
    times = [time and to_ms(time) for time in (proven, used)]
    return (secret_id, stage, digest.hex(), *times, verdict)
