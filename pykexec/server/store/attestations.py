# SPDX-License-Identifier: Apache-2.0
"""Rows of attestations, and what each uses up: its nonce, and its boot if it released anything."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Row, bindparam, delete, func, insert, select, update

from pykexec.server import quotas
from pykexec.server.errors import AlreadyReleased, NotFound, NotReleasable, Replayed, StoreError
from pykexec.server.store import (
    approval_rows,
    findings,
    last_accepted,
    machines,
    rollouts,
    tables,
)
from pykexec.server.store.database import Writing
from pykexec.server.store.enrolment import get_settings
from pykexec.server.store.records import Attestation, AttestationRecord, Counters
from pykexec.server.store.release_rates import Admission
from pykexec.server.store.rollout import DraftDecision
from pykexec.server.store.view import View

_TABLE = tables.attestations
_COLUMNS = (
    *(column for column in _TABLE.c if column is not _TABLE.c.evidence),
    _TABLE.c.evidence.is_not(None).label("has_evidence"),
)
_NONCES = tables.nonces
_RELEASES = tables.releases
# Asked with every attestation: putting a query together takes longer than its answer.
_BY_BOOT = select(_RELEASES.c.machine_id).where(
    *(column == bindparam(column.name) for column in _RELEASES.primary_key)
)
_USED = select(_NONCES.c.digest).where(_NONCES.c.digest.in_(bindparam("digests", expanding=True)))
_MACHINE = tables.machines.c
_MACHINES = select(
    _MACHINE.id,
    _MACHINE.fingerprint,
    _MACHINE.state,
    _MACHINE.clock_ms,
    _MACHINE.reset_count,
    _MACHINE.restart_count,
).where(_MACHINE.id.in_(bindparam("ids", expanding=True)))
_RELEASED = select(
    _RELEASES.c.machine_id, _RELEASES.c.reset_count, _RELEASES.c.restart_count
).where(
    _RELEASES.c.machine_id.in_(bindparam("ids", expanding=True)),
    _RELEASES.c.reset_count.in_(bindparam("resets", expanding=True)),
)
_SECRET = tables.secrets.c
_CURRENT = select(_SECRET.id, _SECRET.machine_id).where(
    _SECRET.id.in_(bindparam("ids", expanding=True)), _SECRET.revoked.is_(None)
)
_INSERT = {table: insert(table) for table in (_TABLE, _NONCES, _RELEASES)}
_INTEGER_MAX = 2**63 - 1
_Boot = tuple[int, int, int]


def record(tx: Writing, records: Sequence[AttestationRecord]) -> list[StoreError | None]:
    """Write those that may be written; for each why not, or None.

    Whoever calls this holds the chain's head, so what is looked up here stays true; the primary
    keys of nonces and releases decide all the same.
    """
    known = _Known(tx, records)
    errors = [known.take(item) for item in records]
    taken = [item for item, error in zip(records, errors, strict=True) if error is None]
    if not taken:
        return errors
    # Most bring no evidence that anybody wants to keep.
    some = any(item.evidence is not None for item in taken)
    keep = get_settings(tx).keep_evidence if some else "never"
    _insert(tx, _NONCES, [_nonce_row(item) for item in taken if item.nonce is not None])
    _insert(tx, _RELEASES, [_release_row(item) for item in taken if item.released])
    waiting, others = known.by_state(taken)
    if waiting:
        # Of who waits for approval, which anybody may, the last one is kept, and none audited.
        tx.connection.execute(delete(_TABLE).where(_TABLE.c.machine_id.in_(waiting)))
    _insert(tx, _TABLE, [_row(item, keep) for item in (*waiting.values(), *others)])
    rows = [_machine_row(item, known.newest[item.machine_id]) for item in taken]
    tx.connection.execute(_UPDATE_MACHINE, rows)
    rollouts.record(tx, others)
    for item in others:
        tx.chain.append(
            tx.now, "server", _action(item), machines.subject(item.fingerprint), _detail(item)
        )
        if item.asks is not None:
            approval_rows.add(tx, item.fingerprint, item.asks)
        if item.approval is not None:
            approval_rows.release(tx, item)
    last_accepted.keep(tx, others)
    return errors


def take_reply(tx: Writing, nonce: bytes, request: bytes, fingerprint: str) -> bytes | None:
    """The reply to this very request, which is kept no longer then; None where there is none."""
    digest = _digest(nonce)
    query = select(_NONCES.c.reply).where(
        _NONCES.c.digest == digest, _NONCES.c.request == request, _NONCES.c.reply.is_not(None)
    )
    reply = tx.connection.execute(query).scalar_one_or_none()
    if reply is None:
        return None
    tx.connection.execute(update(_NONCES).where(_NONCES.c.digest == digest).values(reply=None))
    subject = machines.subject(fingerprint)
    tx.chain.append(tx.now, "server", "attestation.repeated", subject)
    return bytes(reply)


def is_released(view: View, machine_id: int, counters: Counters) -> bool:
    """Whether this boot was given secrets."""
    boot = {
        "machine_id": machine_id,
        "reset_count": counters.reset_count,
        "restart_count": counters.restart_count,
    }
    return view.connection.execute(_BY_BOOT, boot).one_or_none() is not None


def page(
    view: View,
    machine_id: int | None,
    accepted: bool | None,
    before: int | None,
    limit: int,
) -> tuple[Attestation, ...]:
    """Newest first."""
    query = select(*_COLUMNS).order_by(_TABLE.c.id.desc()).limit(limit)
    if machine_id is not None:
        query = query.where(_TABLE.c.machine_id == machine_id)
    if accepted is not None:
        query = query.where(_TABLE.c.accepted == accepted)
    if before is not None:
        query = query.where(_TABLE.c.id < before)
    return tuple(_attestation(row) for row in view.connection.execute(query))


def get(view: View, attestation_id: int) -> Attestation:
    """By number; NotFound."""
    query = select(*_COLUMNS).where(_TABLE.c.id == attestation_id)
    if (row := view.connection.execute(query).one_or_none()) is None:
        raise NotFound(f"there is no attestation {attestation_id}")
    return _attestation(row)


def latest_with_evidence(view: View, machine_id: int) -> Attestation | None:
    """The machine's newest one of which the evidence was kept."""
    query = select(*_COLUMNS).where(
        _TABLE.c.machine_id == machine_id, _TABLE.c.evidence.is_not(None)
    )
    row = view.connection.execute(query.order_by(_TABLE.c.id.desc()).limit(1)).one_or_none()
    return None if row is None else _attestation(row)


def evidence(view: View, attestation_id: int) -> bytes:
    """NotFound when it was not kept."""
    query = select(_TABLE.c.evidence).where(_TABLE.c.id == attestation_id)
    found = view.connection.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no evidence of attestation {attestation_id} was kept")
    return bytes(found)


class _Known:
    """What the database and the records before have used up."""

    def __init__(self, tx: Writing, records: Sequence[AttestationRecord]) -> None:
        digests = [_digest(item.nonce) for item in records if item.nonce is not None]
        self._nonces = set(tx.connection.execute(_USED, {"digests": digests}).scalars())
        ids = list({item.machine_id for item in records})
        rows: list[Row[Any]] = list(tx.connection.execute(_MACHINES, {"ids": ids}))
        self._machines = {row.id: row for row in rows}
        # By machine the latest that it has shown, whatever came last.
        self.newest: dict[int, Counters | None] = {row.id: machines.counters(row) for row in rows}
        self._admission: Admission | None = None
        self._boots: set[_Boot] = set()
        self._secrets: set[tuple[int, int]] = set()
        approved = [item.approval for item in records if item.approval is not None]
        self._waiting = approval_rows.waiting(tx, approved) if approved else set()
        if releasing := [item for item in records if item.released]:
            self._look_up_releases(tx, releasing)

    def _look_up_releases(self, tx: Writing, releasing: Sequence[AttestationRecord]) -> None:
        ids = [item.machine_id for item in releasing]
        resets = {item.counters.reset_count for item in releasing if item.counters is not None}
        boots = tx.connection.execute(_RELEASED, {"ids": ids, "resets": list(resets)})
        self._boots = {_boot(row) for row in boots}
        wanted = [secret.id for item in releasing for secret in item.released]
        current = tx.connection.execute(_CURRENT, {"ids": wanted})
        self._secrets = {(row.id, row.machine_id) for row in current}
        self._admission = Admission(tx, releasing)

    def take(self, item: AttestationRecord) -> StoreError | None:
        """Why this record may not be written, or None, and it counts for those after it."""
        digest = None if item.nonce is None else _digest(item.nonce)
        if digest in self._nonces:
            return Replayed("the nonce was used before")
        machine = self._machines.get(item.machine_id)
        if machine is None:
            return NotFound(f"there is no machine {item.machine_id}")
        if machine.fingerprint != item.fingerprint:
            return NotFound(f"machine {item.machine_id} is not {item.fingerprint}")
        if item.approval is not None and item.approval not in self._waiting:
            return NotReleasable("somebody has refused it meanwhile, or it asked anew")
        if item.released:
            if (error := self._release(item, machine)) is not None:
                return error
            assert item.counters is not None
            self._boots.add(
                (item.machine_id, item.counters.reset_count, item.counters.restart_count)
            )
        if digest is not None:
            self._nonces.add(digest)
        if item.counters is not None:
            last = self.newest[item.machine_id]
            if last is None or item.counters.age > last.age:
                self.newest[item.machine_id] = item.counters
        return None

    def by_state(
        self, taken: Sequence[AttestationRecord]
    ) -> tuple[dict[int, AttestationRecord], list[AttestationRecord]]:
        """The last of each machine that waits for approval, and all of the others'."""
        waiting: dict[int, AttestationRecord] = {}
        others = []
        for item in taken:
            if self._machines[item.machine_id].state == "pending":
                large = len(item.evidence or b"") > quotas.EVIDENCE_WAITING_MAX
                waiting[item.machine_id] = replace(item, evidence=None) if large else item
            else:
                others.append(item)
        return waiting, others

    def _release(self, item: AttestationRecord, machine: Any) -> StoreError | None:
        if item.counters is None or not item.accepted or item.nonce is None:
            return NotReleasable("a release needs a nonce, its boot and a good verdict")
        if machine.state != "enrolled":
            return NotReleasable(f"machine {item.fingerprint} is {machine.state}")
        if any((secret.id, machine.id) not in self._secrets for secret in item.released):
            return NotReleasable("a secret was replaced or revoked meanwhile")
        last = self.newest[machine.id]
        if last is not None and item.counters.boot < last.boot:
            return NotReleasable("the machine has shown a later boot meanwhile")
        boot = (machine.id, item.counters.reset_count, item.counters.restart_count)
        if boot in self._boots:
            return AlreadyReleased("this boot was given its secrets before")
        assert self._admission is not None
        return self._admission.take(item)


_UPDATE_MACHINE = (
    update(tables.machines)
    .where(tables.machines.c.id == bindparam("b_id"))
    .values(
        last_seen=bindparam("b_time"),
        **{key: bindparam(f"b_{key}") for key in ("clock_ms", "reset_count", "restart_count")},
        # What a refused attestation does not tell stays as it was.
        ak_name=func.coalesce(
            bindparam("b_ak_name", type_=tables.machines.c.ak_name.type), tables.machines.c.ak_name
        ),
        last_accepted=bindparam("b_accepted"),
        last_findings=bindparam("b_findings"),
    )
)


def _insert(tx: Writing, table: Any, rows: list[dict[str, object]]) -> None:
    if rows:
        tx.connection.execute(_INSERT[table], rows)


def _digest(nonce: bytes) -> bytes:
    return hashlib.sha256(nonce).digest()


def _boot(row: Any) -> _Boot:
    return row.machine_id, row.reset_count, row.restart_count


def _nonce_row(item: AttestationRecord) -> dict[str, object]:
    assert item.nonce is not None
    # Without an end it is kept for ever rather than forgotten too early.
    expires = item.nonce_expires or datetime.max.replace(tzinfo=item.time.tzinfo)
    kept = (item.request, item.reply) if item.released else (None, None)
    row = {"digest": _digest(item.nonce), "expires": expires}
    return {**row, "request": kept[0], "reply": kept[1]}


def _release_row(item: AttestationRecord) -> dict[str, object]:
    assert item.counters is not None
    return {
        "machine_id": item.machine_id,
        "reset_count": item.counters.reset_count,
        "restart_count": item.counters.restart_count,
        "time": item.time,
    }


def _counters(found: Counters | None) -> dict[str, object]:
    return {
        # An attester that is no TPM may say any number of 64 bits.
        "clock_ms": found and min(found.clock_ms, _INTEGER_MAX),
        "reset_count": found and found.reset_count,
        "restart_count": found and found.restart_count,
    }


def _row(item: AttestationRecord, keep: str) -> dict[str, object]:
    kept = keep == "always" or (keep == "refused" and not item.accepted)
    return {
        "time": item.time,
        "fingerprint": item.fingerprint,
        "machine_id": item.machine_id,
        "accepted": item.accepted,
        "findings": findings.to_json(item.findings),
        "policy": item.policy and item.policy[0],
        "policy_version": item.policy and item.policy[1],
        "peer": item.peer,
        **_counters(item.counters),
        "ak_name": item.ak_name,
        "released": [secret.name for secret in item.released],
        "evidence": item.evidence if kept else None,
    }


def _machine_row(item: AttestationRecord, newest: Counters | None) -> dict[str, object]:
    return {
        "b_id": item.machine_id,
        "b_time": item.time,
        **{f"b_{key}": value for key, value in _counters(newest).items()},
        "b_ak_name": item.ak_name,
        "b_accepted": item.accepted,
        "b_findings": findings.to_json(item.findings),
    }


def _action(item: AttestationRecord) -> str:
    if item.released:
        return "attestation.released"
    if item.asks is not None:
        return "attestation.waits"
    return "attestation.accepted" if item.accepted else "attestation.refused"


def _detail(item: AttestationRecord) -> dict[str, object]:
    detail: dict[str, object] = {
        "peer": item.peer,
        "policy": item.policy and list(item.policy),
        "reasons": [finding.code for finding in item.findings if finding.refuses],
        "released": [[secret.name, secret.version] for secret in item.released],
        "boot": item.counters and [item.counters.reset_count, item.counters.restart_count],
        "approval": item.approval or (item.asks and item.asks.reference),
        "surroundings": dict(item.facts),
        "draft": item.draft and _draft(item.draft),
    }
    return {key: value for key, value in detail.items() if value}


def _draft(found: DraftDecision) -> dict[str, object]:
    reasons = [finding.code for finding in found.reasons]
    return {"version": found.version, "outcome": found.outcome, "reasons": reasons}


def _attestation(row: Row[Any]) -> Attestation:
    return Attestation(
        row.id,
        row.time,
        row.fingerprint,
        row.machine_id,
        row.accepted,
        findings.from_json(row.findings),
        None if row.policy is None else (row.policy, row.policy_version),
        row.peer,
        machines.counters(row),
        row.ak_name,
        tuple(row.released),
        row.has_evidence,
    )
