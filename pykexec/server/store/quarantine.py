# SPDX-License-Identifier: Apache-2.0
"""Quarantine: machines, by fingerprint or by a tag, that are given nothing until it is lifted.

It is no state of a machine: a machine goes on to be enrolled, attests, and is told. Policies may
have others wait as long as it lasts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from sqlalchemy import ColumnElement, delete, insert, or_, select

from pykexec.errors import UsageError
from pykexec.policy.model import QuarantineDemand
from pykexec.server.canonical import to_ms
from pykexec.server.errors import Conflict, NotFound
from pykexec.server.store import machines, tables
from pykexec.server.store.database import Database, Writing
from pykexec.server.store.quarantine_tables import quarantine as _TABLE
from pykexec.server.store.view import Reading, View

if TYPE_CHECKING:
    from pykexec.server.keys.keys import Keys

TAG = "tag:"
_MACHINE = machines.subject("")
_REASON_MAX = 1024
_NAMED_MAX = 8


@dataclass(frozen=True, slots=True)
class Quarantined:
    """target is "machine:FINGERPRINT" or "tag:KEY=VALUE"."""

    target: str
    reason: str
    since: datetime
    by: str


class Quarantine:
    """What is in quarantine, of a store's database."""

    def __init__(self, database: Database, keys: Keys) -> None:
        self._database = database
        self._keys = keys

    def every(self) -> tuple[Quarantined, ...]:
        """All of it, by target."""
        return self._database.read(lambda connection: every(Reading(connection, self._keys)))

    def put(self, target: str, reason: str, actor: str) -> Quarantined:
        """From now on; Conflict where it is already, NotFound for no machine of ours."""
        with self._database.writing(self._keys) as tx:
            return _put(tx, target, reason, actor)

    def lift(self, target: str, reason: str, actor: str) -> None:
        """Not any more; NotFound where it was not."""
        with self._database.writing(self._keys) as tx:
            found = tx.connection.execute(delete(_TABLE).where(_TABLE.c.target == target))
            if not found.rowcount:
                raise NotFound(f"{target} is not in quarantine")
            tx.chain.append(tx.now, actor, "quarantine.lift", target, {"reason": reason})

    def of_machine(self, fingerprint: str, labels: Mapping[str, str]) -> Quarantined | None:
        """Why this machine is given nothing, None where it is not in quarantine."""
        return of_machine(self.every(), fingerprint, labels)

    def named(self, demand: QuarantineDemand, labels: Mapping[str, str]) -> tuple[str, ...]:
        """What of a policy's demand is in quarantine, for a machine with these tags."""
        return self._database.read(
            lambda connection: _named(Reading(connection, self._keys), demand, labels)
        )


def every(view: View) -> tuple[Quarantined, ...]:
    """All of it; Tampered for a row that is not ours."""
    found = []
    for row in view.connection.execute(select(_TABLE).order_by(_TABLE.c.target)):
        one = Quarantined(row.target, row.reason, row.since, row.created_by)
        view.keys.check(row.seal, "quarantine", *_sealed(one))
        found.append(one)
    return tuple(found)


def of_machine(
    known: tuple[Quarantined, ...], fingerprint: str, labels: Mapping[str, str]
) -> Quarantined | None:
    """The one that a machine is in; the same of what is known already."""
    wanted = {machines.subject(fingerprint), *(f"{TAG}{key}={labels[key]}" for key in labels)}
    return next((one for one in known if one.target in wanted), None)


def _put(tx: Writing, target: str, reason: str, actor: str) -> Quarantined:
    key, equals, _ = target.removeprefix(TAG).partition("=")
    if target.startswith(_MACHINE):
        if machines.find(tx, target.removeprefix(_MACHINE)) is None:
            raise NotFound(f"there is no {target}")
    elif not (target.startswith(TAG) and key and equals and target.isprintable()):
        raise UsageError(f"{target[:80]!r} is neither machine:FINGERPRINT nor tag:KEY=VALUE")
    if len(reason) > _REASON_MAX:
        raise UsageError(f"a reason has up to {_REASON_MAX} characters")
    if any(one.target == target for one in every(tx)):
        raise Conflict(f"{target} is in quarantine already")
    one = Quarantined(target, reason, tx.now, actor)
    row = {"target": target, "reason": reason, "since": tx.now, "created_by": actor}
    seal = tx.keys.seal("quarantine", *_sealed(one))
    tx.connection.execute(insert(_TABLE), {**row, "seal": seal})
    tx.chain.append(tx.now, actor, "quarantine.put", target, {"reason": reason})
    return one


def _named(view: View, demand: QuarantineDemand, labels: Mapping[str, str]) -> tuple[str, ...]:
    if not (known := every(view)):
        return ()
    column = tables.machines.c
    wanted: list[ColumnElement[bool]] = [
        column.name.in_(demand.machines),
        column.fingerprint.in_(demand.machines),
    ]
    found = []
    for tag in demand.tags:
        key, equals, value = tag.partition("=")
        own = value if equals else labels.get(key)
        if own is None:
            continue  # It shares the tag with nobody.
        wanted.append(machines.has_tag(key, own))
        if any(one.target == f"{TAG}{key}={own}" for one in known):
            found.append(f"{key}={own}")
    targets = [one.target for one in known]
    alone = [text.removeprefix(_MACHINE) for text in targets if text.startswith(_MACHINE)]
    pairs = [text.removeprefix(TAG).partition("=") for text in targets if text.startswith(TAG)]
    within = or_(
        column.fingerprint.in_(alone), *(machines.has_tag(key, value) for key, _, value in pairs)
    )
    query = select(column.name, column.fingerprint).where(or_(*wanted), within)
    rows = view.connection.execute(query.order_by(column.id).limit(_NAMED_MAX))
    found += [row.name or row.fingerprint[:16] for row in rows]
    return tuple(found)


def _sealed(one: Quarantined) -> tuple[object, ...]:
    return one.target, one.reason, to_ms(one.since), one.by
