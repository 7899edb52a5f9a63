# SPDX-License-Identifier: Apache-2.0
"""Rows of boots that wait for persons: made with their attestation, ended with their release.

A machine has one at a time: who asks anew has been started anew, or has lost the answer.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, delete, insert, select, update

from pykexec.server import quotas
from pykexec.server.canonical import canonical, to_ms
from pykexec.server.keys.keys import Keys
from pykexec.server.store import findings, machines, rotations
from pykexec.server.store.approval_tables import approvals as _TABLE
from pykexec.server.store.approval_tables import persons as _PERSONS
from pykexec.server.store.database import Writing
from pykexec.server.store.records import Approval, AttestationRecord, Counters
from pykexec.server.store.view import View


def add(tx: Writing, fingerprint: str, asked: Approval) -> None:
    """Write one, in place of what its machine had waiting."""
    mine = select(_TABLE.c.reference).where(_TABLE.c.machine_id == asked.machine_id)
    tx.connection.execute(delete(_PERSONS).where(_PERSONS.c.reference.in_(mine)))
    tx.connection.execute(delete(_TABLE).where(_TABLE.c.machine_id == asked.machine_id))
    tx.connection.execute(insert(_TABLE), _values(asked, tx.keys))
    detail = {
        "approval": asked.reference,
        "policy": list(asked.policy),
        "statement": asked.statement.decode(),
        "statement_sha256": hashlib.sha256(asked.statement).hexdigest(),
        "expires_ms": to_ms(asked.expires),
        "peer": asked.peer,
        **({"break_glass": True} if asked.is_break_glass else {}),
    }
    tx.chain.append(tx.now, "server", "approval.ask", machines.subject(fingerprint), detail)


def waiting(tx: Writing, references: Iterable[str]) -> set[str]:
    """Those of them that nobody has refused, and that were not released."""
    query = select(_TABLE).where(_TABLE.c.reference.in_(list(references)))
    rows = tx.connection.execute(query)
    return {row.reference for row in rows if approval(row, tx.keys).state == "waiting"}


def find(view: View, reference: str) -> Approval | None:
    """By its reference; Tampered when its row is not ours."""
    query = select(_TABLE).where(_TABLE.c.reference == reference)
    row = view.connection.execute(query).one_or_none()
    return None if row is None else approval(row, view.keys)


def change(tx: Writing, found: Approval, **values: object) -> None:
    """Another state, or more tries."""
    new = {"state": found.state, "tries": found.tries, **values}
    seal = _seal(found, str(new["state"]), int(str(new["tries"])), tx.keys)
    where = _TABLE.c.reference == found.reference
    tx.connection.execute(update(_TABLE).where(where).values(**new, seal=seal))


def release(tx: Writing, item: AttestationRecord) -> None:
    """A machine is given what it waited for; what persons have carried is to be replaced."""
    assert item.approval is not None
    found = find(tx, item.approval)
    assert found is not None
    change(tx, found, state="released")
    if found.is_break_glass:
        detail = {"approval": found.reference, "secrets": [secret.name for secret in item.released]}
        subject = machines.subject(item.fingerprint)
        tx.chain.append(tx.now, "server", "break-glass.released", subject, detail)
        for secret in item.released:
            rotations.rotation_due(tx, secret, "given by break-glass", "server")


def forget(connection: Connection, before: datetime) -> int:
    """Those that ended before; how many."""
    old = select(_TABLE.c.reference).where(_TABLE.c.expires < before)
    connection.execute(delete(_PERSONS).where(_PERSONS.c.reference.in_(old)))
    return connection.execute(delete(_TABLE).where(_TABLE.c.expires < before)).rowcount


def approval(row: Row[Any], keys: Keys) -> Approval:
    """The row's; Tampered."""
    found = Approval(
        row.reference,
        row.machine_id,
        row.code,
        row.state,
        row.tries,
        row.asked,
        row.expires,
        row.peer,
        row.statement,
        (row.policy, row.policy_version),
        row.claims,
        findings.from_json(row.findings),
        Counters(row.clock_ms, row.reset_count, row.restart_count),
    )
    keys.check(row.seal, "approvals", *_sealed(found, found.state, found.tries))
    return found


def claims_fit(claims: Mapping[str, object]) -> bool:
    """Whether they can be kept."""
    return len(canonical(claims)) <= quotas.CLAIMS_MAX


def _values(asked: Approval, keys: Keys) -> dict[str, object]:
    counters = asked.counters
    return {
        "reference": asked.reference,
        "machine_id": asked.machine_id,
        "code": asked.code,
        "state": asked.state,
        "tries": asked.tries,
        "asked": asked.asked,
        "expires": asked.expires,
        "peer": asked.peer,
        "statement": asked.statement,
        "policy": asked.policy[0],
        "policy_version": asked.policy[1],
        "claims": asked.claims,
        "findings": findings.to_json(asked.findings),
        "clock_ms": counters.clock_ms,
        "reset_count": counters.reset_count,
        "restart_count": counters.restart_count,
        "seal": _seal(asked, asked.state, asked.tries, keys),
    }


def _seal(found: Approval, state: str, tries: int, keys: Keys) -> bytes:
    return keys.seal("approvals", *_sealed(found, state, tries))


def _sealed(found: Approval, state: str, tries: int) -> tuple[object, ...]:
    counters = found.counters
    return (
        found.reference,
        found.machine_id,
        found.code.hex(),
        state,
        tries,
        to_ms(found.asked),
        to_ms(found.expires),
        found.peer,
        found.statement.hex(),
        list(found.policy),
        found.claims,
        findings.to_json(found.findings),
        [counters.clock_ms, counters.reset_count, counters.restart_count],
    )
