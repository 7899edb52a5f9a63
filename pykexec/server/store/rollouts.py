# SPDX-License-Identifier: Apache-2.0
"""Rows of roll-outs, each change with an audit entry, and of what drafts have decided."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

from sqlalchemy import Row, delete, insert, select

from pykexec.attest.verdict import Finding
from pykexec.errors import UsageError
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.store import findings, machines, policies, tables
from pykexec.server.store.database import Database, Writing
from pykexec.server.store.records import AttestationRecord, PolicyVersion
from pykexec.server.store.rollout import TAG, Rollout, read
from pykexec.server.store.rollout_tables import draft_decisions as _DECISIONS
from pykexec.server.store.rollout_tables import rollouts as _TABLE
from pykexec.server.store.view import Reading, View

if TYPE_CHECKING:
    from pykexec.server.keys.keys import Keys

PINS_MAX = 1000
TAGS_MAX = 64


@dataclass(frozen=True, slots=True)
class Decided:
    """What a draft said of a machine's last attestation, and whether that was accepted then."""

    fingerprint: str
    name: str
    time: datetime
    accepted: bool
    outcome: str
    reasons: tuple[Finding, ...]


class Rollouts:
    """Which versions of policies count, in a store's database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    def find(self, name: str) -> Rollout:
        """Of a policy, also of one whose newest version simply counts; NotFound."""
        return self._database.read(lambda connection: find(Reading(connection, self._keys), name))

    def put_draft(self, name: str, text: str, actor: str, comment: str) -> PolicyVersion:
        """Add a version that counts for nobody, in place of the draft before; NotFound where there
        is none that does.
        """
        with self._database.writing(self._keys) as tx:
            found = find(tx, name)
            new = policies.put(tx, name, text, actor, comment)
            if new.version == found.live:
                raise Conflict(f"{name} version {new.version} has this text, and counts already")
            if new.version != found.draft:
                tx.connection.execute(delete(_DECISIONS).where(_DECISIONS.c.policy == name))
                found = replace(found, tags=(), share=0)
            _write(tx, replace(found, draft=new.version), actor, "draft", comment)
            return new

    def set_canary(self, name: str, tags: Sequence[str], share: int, actor: str) -> Rollout:
        """For whom the draft counts: who has one of the tags, and so many percent of the rest."""
        if not 0 <= share <= 100:
            raise UsageError("a share is from 0 to 100 percent")
        if len(tags) > TAGS_MAX or not all(map(_is_pair, tags)):
            raise UsageError(f"a canary's tags are up to {TAGS_MAX} KEY=VALUE")
        with self._database.writing(self._keys) as tx:
            found = find(tx, name)
            if found.draft is None:
                raise Conflict(f"{name} has no draft")
            found = replace(found, tags=tuple(sorted(set(tags))), share=share)
            return _write(tx, found, actor, "canary")

    def activate(self, name: str, version: int | None, actor: str, reason: str) -> Rollout:
        """That version counts for all that are not pinned: the draft, or None for what counted
        before the live one, or any other; NotFound.
        """
        with self._database.writing(self._keys) as tx:
            found = find(tx, name)
            wanted = version if version is not None else found.previous or found.live - 1
            policies.get(tx, name, wanted)
            if wanted == found.live:
                raise Conflict(f"{name} version {wanted} counts already")
            new = _live(found, wanted)
            if version is None:
                # Once more goes back further, not forth.
                new = replace(new, previous=None)
            return _write(tx, new, actor, "back" if wanted < found.live else "live", reason)

    def abandon(self, name: str, actor: str, reason: str) -> Rollout:
        """The draft counts for nobody, and is looked at no more; Conflict where there is none."""
        with self._database.writing(self._keys) as tx:
            found = find(tx, name)
            if found.draft is None:
                raise Conflict(f"{name} has no draft")
            found = replace(found, draft=None, tags=(), share=0)
            return _write(tx, found, actor, "abandon", reason)

    def pin(self, name: str, target: str, version: int | None, actor: str, reason: str) -> Rollout:
        """Have a version count for a machine or tag whatever else is said; None: not any more."""
        key, _, value = target.partition(":")
        if key != "machine" and not (target.startswith(TAG) and _is_pair(value)):
            raise UsageError(f"{target[:80]!r} is neither machine:FINGERPRINT nor tag:KEY=VALUE")
        with self._database.writing(self._keys) as tx:
            if key == "machine" and machines.find(tx, value) is None:
                raise NotFound(f"there is no machine {value[:64]}")
            found = find(tx, name)
            pins = {key: value for key, value in found.pins.items() if key != target}
            if version is not None:
                policies.get(tx, name, version)
                pins[target] = version
            elif target not in found.pins:
                raise NotFound(f"{name}: nothing is pinned for {target}")
            if len(pins) > PINS_MAX:
                raise Conflict(f"{name}: at most {PINS_MAX} pins")
            return _write(tx, replace(found, pins=pins), actor, "pin", reason)

    def decided(self, name: str, version: int) -> tuple[Decided, ...]:
        """What that draft said of the enrolled machines of the policy that attested since."""
        machine = tables.machines.c
        query = (
            select(_DECISIONS, machine.fingerprint, machine.name)
            .join(tables.machines, machine.id == _DECISIONS.c.machine_id)
            .where(_DECISIONS.c.policy == name, _DECISIONS.c.version == version)
            .where(machine.state == "enrolled", machine.policy == name)
            .order_by(machine.id)
        )
        rows = self._database.read(lambda connection: list(connection.execute(query)))
        return tuple(_decided(row, self._keys) for row in rows)


def find(view: View, name: str) -> Rollout:
    """The row's, or that the newest version counts; NotFound where there is no version."""
    row = view.connection.execute(select(_TABLE).where(_TABLE.c.name == name)).one_or_none()
    if row is not None:
        return read(view.keys, row.name, row.value, row.seal)
    return Rollout(name, policies.get(view, name, None).version)


def put_live(tx: Writing, name: str, text: str, actor: str, comment: str) -> PolicyVersion:
    """A new version that counts at once, for all that are not pinned; a draft is one no more."""
    new = policies.put(tx, name, text, actor, comment)
    row = tx.connection.execute(select(_TABLE.c.name).where(_TABLE.c.name == name)).one_or_none()
    if row is not None:
        found = replace(_live(find(tx, name), new.version), draft=None, tags=(), share=0)
        _write(tx, found, actor, "live", comment)
    return new


def record(tx: Writing, records: Sequence[AttestationRecord]) -> None:
    """Note what drafts have decided, of each machine the last."""
    last = {item.machine_id: item for item in records if item.draft is not None}
    if not last:
        return
    for item in last.values():
        draft = item.draft
        assert draft is not None
        key = (draft.policy, draft.version, item.machine_id)
        columns = (_DECISIONS.c.policy, _DECISIONS.c.version, _DECISIONS.c.machine_id)
        mine = [column == value for column, value in zip(columns, key, strict=True)]
        tx.connection.execute(delete(_DECISIONS).where(*mine))
        reasons = findings.to_json(draft.reasons)
        said = (to_ms(item.time), item.accepted, draft.outcome, reasons)
        row = {
            "policy": draft.policy,
            "version": draft.version,
            "machine_id": item.machine_id,
            "time": item.time,
            "accepted": item.accepted,
            "outcome": draft.outcome,
            "reasons": reasons,
            "seal": tx.keys.seal("draft_decisions", *key, *said),
        }
        tx.connection.execute(insert(_DECISIONS), row)


def _live(found: Rollout, version: int) -> Rollout:
    """With another version that counts; a draft that does is none any more."""
    previous = found.live if version != found.live else found.previous
    new = replace(found, live=version, previous=previous)
    return replace(new, draft=None, tags=(), share=0) if version == found.draft else new


def _write(tx: Writing, new: Rollout, actor: str, what: str, reason: str = "") -> Rollout:
    value = new.to_json()
    tx.connection.execute(delete(_TABLE).where(_TABLE.c.name == new.name))
    seal = tx.keys.seal("rollouts", new.name, value)
    tx.connection.execute(insert(_TABLE), {"name": new.name, "value": value, "seal": seal})
    detail: dict[str, object] = {"what": what, "state": value}
    if reason:
        detail["reason"] = reason
    tx.chain.append(tx.now, actor, "policy.rollout", f"policy:{new.name}", detail)
    return new


def _is_pair(text: str) -> bool:
    key, equals, _ = text.partition("=")
    return bool(key and equals and text.isprintable())


def _decided(row: Row[Any], keys: Keys) -> Decided:
    key = (row.policy, row.version, row.machine_id)
    said = (to_ms(row.time), row.accepted, row.outcome, row.reasons)
    keys.check(row.seal, "draft_decisions", *key, *said)
    reasons = findings.from_json(row.reasons)
    return Decided(row.fingerprint, row.name, row.time, row.accepted, row.outcome, reasons)
