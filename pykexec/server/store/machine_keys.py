# SPDX-License-Identifier: Apache-2.0
"""The life of a machine's keys: handed in, proven, used, seen, replaced, removed.

What each step does to a key is keys/generations.py's; here it is done to rows, one transaction and
at least one audit entry each.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from sqlalchemy import insert

from pykexec.errors import UsageError
from pykexec.server import quotas
from pykexec.server.canonical import canonical
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.keys import generations
from pykexec.server.keys.envelope import wipe
from pykexec.server.keys.escrow_values import check_value
from pykexec.server.keys.generations import Key, Orders
from pykexec.server.store import (
    destruction,
    generation_rows,
    key_plans,
    machines,
    retention,
    rotations,
    secret_values,
    tables,
)
from pykexec.server.store.generation_rows import Kept
from pykexec.server.store.records import AuditEntry, KeyPlan, Rotation, StoredSecret
from pykexec.server.store.view import Reading, View

if TYPE_CHECKING:
    from pykexec.server.store.database import Writing
    from pykexec.server.store.store import Store

SYSTEM = "system"
"""The actor of what a machine's operating system has said by an escrow token."""
AGENT = "agent"
"""That of what its agent has found."""


@dataclass(frozen=True, slots=True)
class KeyState:
    """All that is known of one key; plan is None where its system may not hand it in."""

    name: str
    plan: KeyPlan | None
    generations: tuple[Kept, ...]
    rotation: Rotation | None
    orders: Orders


@dataclass(frozen=True, slots=True)
class Seen:
    """Somebody has had a generation shown; person is for whom, "" for themselves."""

    time: datetime
    name: str
    version: int
    actor: str
    person: str
    reason: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the agent found of a generation; fits None: it could not tell, text says why."""

    name: str
    version: int
    fits: bool | None
    text: str


class MachineKeys:
    """Safe in any thread; errors are the store's."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._database, self._keys = store.database, store.keys
        self._digest_key = store.derived_key("escrow digest")

    def plan(self, machine_id: int, plan: KeyPlan, actor: str) -> KeyPlan:
        """Let a machine's system hand in a key."""
        with self._database.writing(self._keys) as tx:
            return key_plans.put(tx, machine_id, plan, actor)

    def remove_plan(self, machine_id: int, name: str, actor: str) -> None:
        """Let it do so no more."""
        with self._database.writing(self._keys) as tx:
            key_plans.remove(tx, machine_id, name, actor)

    def plans(self, machine_id: int) -> tuple[KeyPlan, ...]:
        """By name."""
        return self._database.read(
            lambda connection: key_plans.of_machine(Reading(connection, self._keys), machine_id)
        )

    def states(self, machine_id: int) -> tuple[KeyState, ...]:
        """Every key that has a plan or a value, by name."""
        with self._database.reading() as connection:
            return _states(Reading(connection, self._keys), machine_id)

    def escrow(
        self, machine_id: int, name: str, value: bytes | bytearray, actor: str = SYSTEM
    ) -> StoredSecret:
        """Keep what a system has handed in as the next generation; the same value again is the same
        generation. FormatError for what is no such key, NotFound without a plan, Conflict while an
        older generation is to be removed.
        """
        fingerprint = self._store.machine_by_id(machine_id).fingerprint
        plan = self._database.read(
            lambda connection: key_plans.get(Reading(connection, self._keys), machine_id, name)
        )
        check_value(plan.kind, value)
        digest = self._digest(fingerprint, plan, value)
        # The master key may be a request away: not within the transaction.
        keyring = self._store.keyring
        sealed = secret_values.seal(keyring, fingerprint, name, plan.kind, plan.parameters, value)
        with self._database.writing(self._keys) as tx:
            if key_plans.get(tx, machine_id, name) != plan:
                raise Conflict(f"the plan for {name!r} was changed meanwhile")
            key, kept = generation_rows.load(tx, machine_id, name)
            for each in kept.values():
                if each.digest is not None and hmac.compare_digest(each.digest, digest):
                    return secret_values.by_id(tx, each.id)
            version = secret_values.next_version(tx, machine_id, name)
            after = generations.escrowed(key, version)
            if key.next is not None:
                self._withdraw(tx, kept[key.next.version])
            row = secret_values.new_row(plan, machine_id, version, sealed, actor, tx.now)
            stage = after.stage_of(version)
            query = insert(tables.secrets).returning(tables.secrets.c.id)
            secret_id = tx.connection.execute(query, {**row, "stage": stage}).scalar_one()
            generation_rows.write(tx, secret_id, stage, digest)
            detail = {"name": name, "kind": plan.kind, "version": version}
            tx.chain.append(tx.now, actor, "key.escrow", machines.subject(fingerprint), detail)
            return secret_values.by_id(tx, secret_id)

    def judge(self, machine_id: int, verdicts: Iterable[Verdict]) -> None:
        """What the agent found in a boot that has attested."""
        with self._database.writing(self._keys) as tx:
            for verdict in verdicts:
                self._judge(tx, machine_id, verdict)

    def _judge(self, tx: Writing, machine_id: int, verdict: Verdict) -> None:
        key, kept = generation_rows.load(tx, machine_id, verdict.name)
        each = kept.get(verdict.version)
        if each is None:
            return  # It was replaced meanwhile.
        after = key
        if verdict.fits is not None:
            after = generations.judged(key, verdict.version, verdict.fits)
        text = verdict.text[: quotas.FINDING_MAX]
        proven = tx.now if verdict.fits else each.proven
        self._store_changes(tx, machine_id, key, after, kept, {each.version: (proven, text)})
        if key == after and each.verdict == text:
            return  # As in every boot.
        words = {True: "fits", False: "does not fit", None: "not tried"}[verdict.fits]
        detail = {
            "name": verdict.name,
            "version": verdict.version,
            "stage": each.stage,
            "verdict": words,
            "text": text,
        }
        self._note(tx, machine_id, AGENT, "key.verdict", detail)

    def came_up(self, machine_id: int, given: Mapping[str, int]) -> None:
        """The system runs, in a boot that was given these versions."""
        with self._database.reading() as connection:
            states = _states(Reading(connection, self._keys), machine_id)
        news = [s.name for s in states if any(_is_news(each, given) for each in s.generations)]
        if not news:
            return
        with self._database.writing(self._keys) as tx:
            for name in news:
                key, kept = generation_rows.load(tx, machine_id, name)
                after = generations.came_up(key, given[name])
                self._store_changes(tx, machine_id, key, after, kept, {})
                detail = {"name": name, "version": given[name]}
                self._note(tx, machine_id, SYSTEM, "key.used", detail)

    def removed(self, machine_id: int, name: str, version: int) -> None:
        """The system has taken a generation off the volume, as it was told."""
        with self._database.writing(self._keys) as tx:
            key, kept = generation_rows.load(tx, machine_id, name)
            after = generations.removed(key, version)
            if after == key:
                return
            self._store_changes(tx, machine_id, key, after, kept, {})
            self._note(tx, machine_id, SYSTEM, "key.removed", {"name": name, "version": version})

    def reveal(
        self,
        machine_id: int,
        name: str,
        version: int | None,
        actor: str,
        reason: str,
        person: str = "",
    ) -> tuple[StoredSecret, bytearray]:
        """A value for a person's eyes, who is person where that is not the actor; the caller wipes
        it, and from now on it has to be replaced.

        Conflict without a plan: its system could not replace it; UsageError without a reason.
        Without version the one in use; NotFound.
        """
        if not reason.strip():
            raise UsageError("say why: it goes into the audit trail")
        self._check_planned(machine_id, name)
        opened = self._store.open_secrets(machine_id, *generations.STAGES)
        wanted = None
        try:
            for secret, value in opened:
                fits = secret.stage == "current" if version is None else secret.version == version
                if secret.name == name and fits:
                    wanted = secret, bytearray(value)
        finally:
            for _, value in opened:
                wipe(value)
        if wanted is None:
            raise NotFound(f"nothing of {name!r} is kept that could be shown")
        secret, _ = wanted
        try:
            with self._database.writing(self._keys) as tx:
                detail = {
                    "name": name,
                    "version": secret.version,
                    "reason": reason[:1024],
                    "person": person[:256],
                }
                self._note(tx, machine_id, actor, "key.reveal", detail)
                rotations.rotation_due(tx, secret, f"revealed to {actor}", actor)
        except BaseException:
            wipe(wanted[1])
            raise
        return wanted

    def rotate(self, machine_id: int, name: str, actor: str, reason: str) -> None:
        """Have it replaced; Conflict without a plan, NotFound where none is in use."""
        self._check_planned(machine_id, name)
        with self._database.writing(self._keys) as tx:
            secret = secret_values.current(tx, machine_id, name)
            rotations.rotation_due(tx, secret, reason, actor)

    def _check_planned(self, machine_id: int, name: str) -> None:
        if all(plan.name != name for plan in self.plans(machine_id)):
            raise Conflict(f"there is no plan for a key {name!r}: its system could not replace it")

    def revealed(self, machine_id: int) -> tuple[Seen, ...]:
        """Who has seen what of it, newest first."""
        machine = self._store.machine_by_id(machine_id)
        subject = machines.subject(machine.fingerprint)
        entries = self._store.audit_entries(limit=100, action="key.reveal", subject=subject)
        return tuple(_seen(entry) for entry in entries)

    def destroyed(self, machine_id: int) -> tuple[str, ...]:
        """Certificates of its values that are gone, newest first."""
        return self._database.read(
            lambda connection: destruction.of_machine(Reading(connection, self._keys), machine_id)
        )

    def look_at_ages(self, machine_id: int) -> None:
        """Have rotated what is older than its plan allows."""
        with self._database.reading() as connection:
            states = _states(Reading(connection, self._keys), machine_id)
        for state in states:
            if not state.plan or not state.plan.rotate_days or state.rotation is not None:
                continue
            with self._database.writing(self._keys) as tx:
                _, kept = generation_rows.load(tx, machine_id, state.name)
                age_max = timedelta(days=state.plan.rotate_days)
                for each in kept.values():
                    if each.stage == "current" and tx.now - each.created >= age_max:
                        secret = secret_values.by_id(tx, each.id)
                        text = f"older than {state.plan.rotate_days} days"
                        rotations.rotation_due(tx, secret, text, machines.SERVER)

    def _store_changes(
        self,
        tx: Writing,
        machine_id: int,
        before: Key,
        after: Key,
        kept: Mapping[int, Kept],
        found: Mapping[int, tuple[datetime | None, str]],
    ) -> None:
        """Bring the rows from one state to the next; stages are left before they are taken."""
        for version in before.gone(after):
            self._withdraw(tx, kept[version])
        alive = sorted(after.alive.items(), key=lambda item: item[1].version)
        for stage, each in alive:
            row = kept[each.version]
            proven, verdict = found.get(each.version, (row.proven, row.verdict))
            proven = proven if each.proven else None
            used = (row.used or tx.now) if each.used else None
            digest = row.digest or b""
            if row.stage == stage and (proven, used, verdict) == (
                row.proven,
                row.used,
                row.verdict,
            ):
                continue
            generation_rows.write(tx, row.id, stage, digest, proven, used, verdict)
        name = next(iter(kept.values())).name
        if after.due > before.due:
            assert after.current
            secret = secret_values.by_id(tx, kept[after.current.version].id)
            rotations.rotation_due(tx, secret, "it does not open the volume", AGENT)
        elif before.due and not after.due:
            rotations.forget(tx, machine_id, name)

    def _withdraw(self, tx: Writing, each: Kept) -> None:
        retention.withdraw(tx, tables.secrets.c.id == each.id)
        generation_rows.forget(tx, each.id)

    def _note(
        self, tx: Writing, machine_id: int, actor: str, action: str, detail: Mapping[str, object]
    ) -> None:
        subject = machines.subject(machines.get(tx, machine_id).fingerprint)
        tx.chain.append(tx.now, actor, action, subject, detail)

    def _digest(self, fingerprint: str, plan: KeyPlan, value: bytes | bytearray) -> bytes:
        place = canonical([fingerprint, plan.name, plan.kind, dict(plan.parameters)]).encode()
        inner = hmac.digest(self._digest_key, place, "sha256")
        return hmac.digest(inner, value, "sha256")


def _seen(entry: AuditEntry) -> Seen:
    said = {key: str(entry.detail[key]) for key in ("name", "person", "reason")}
    version = int(str(entry.detail["version"]))
    return Seen(entry.time, said["name"], version, entry.actor, said["person"], said["reason"])


def _is_news(each: Kept, given: Mapping[str, int]) -> bool:
    """Whether the boot shows for the first time that this generation is used."""
    fresh = each.stage == "current" and each.proven is not None and each.used is None
    return fresh and given.get(each.name) == each.version


def _states(view: View, machine_id: int) -> tuple[KeyState, ...]:
    plans = {plan.name: plan for plan in key_plans.of_machine(view, machine_id)}
    due = rotations.of_machine(view, machine_id)
    kept: dict[str, list[Kept]] = {name: [] for name in plans}
    for each in generation_rows.of_machine(view, machine_id):
        kept.setdefault(each.name, []).append(each)
    found = []
    for name, rows in sorted(kept.items()):
        rotation = due.get(name)
        key = generation_rows.key_of(rows, rotation.version if rotation else 0)
        orders = generations.orders(key) if name in plans else Orders(False, 0)
        found.append(KeyState(name, plans.get(name), tuple(rows), rotation, orders))
    return tuple(found)
