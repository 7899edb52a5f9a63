# SPDX-License-Identifier: Apache-2.0
"""How many boots were released to machines of a tag, or of a policy; counted from the releases.

A decision looks at it beforehand, to know whether persons are to be asked. What counts is
Admission: it looks again in the transaction that writes the release, in which nobody else writes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, select

from pykexec.policy.model import Limit
from pykexec.policy.outside import concerns, over_text
from pykexec.server.errors import NotReleasable, RateExceeded, StoreError
from pykexec.server.store import machines, quarantine, tables
from pykexec.server.store.database import Writing
from pykexec.server.store.records import AttestationRecord

_RELEASES, _MACHINES = tables.releases, tables.machines
_OF = select(_MACHINES.c.id, _MACHINES.c.tags, _MACHINES.c.policy).where(
    _MACHINES.c.id.in_(bindparam("ids", expanding=True))
)


@dataclass(frozen=True, slots=True)
class _Group:
    """Machines that are counted together: of a policy if key is "", else those whose tag key is
    value, or that have no such tag where value is None.
    """

    key: str
    value: str | None

    def has(self, labels: Mapping[str, str], policy: str | None) -> bool:
        return labels.get(self.key) == self.value if self.key else policy == self.value

    def condition(self) -> Any:
        if not self.key:
            return _MACHINES.c.policy == self.value
        if self.value is None:
            return machines.lacks_tag(self.key)
        return machines.has_tag(self.key, self.value)


def _group(limit: Limit, labels: Mapping[str, str], policy: str | None) -> _Group:
    key, equals, value = limit.tag.partition("=")
    if not key:
        return _Group("", policy)
    return _Group(key, value if equals else labels.get(key))


def counts(
    connection: Connection,
    limits: Sequence[Limit],
    labels: Mapping[str, str],
    policy: str | None,
    now: datetime,
) -> dict[str, int]:
    """By name how many releases each limit counts for a machine with these tags; no more than it
    allows are looked for.
    """
    return {
        limit.name: len(_times(connection, _group(limit, labels, policy), limit, now))
        for limit in limits
        if concerns(limit, labels)
    }


def _times(connection: Connection, group: _Group, limit: Limit, now: datetime) -> list[datetime]:
    """The newest ones that still count at now."""
    since = now - timedelta(seconds=limit.within_s)
    query = (
        select(_RELEASES.c.time)
        .join(_MACHINES, _MACHINES.c.id == _RELEASES.c.machine_id)
        .where(_RELEASES.c.time > since, group.condition())
        .order_by(_RELEASES.c.time.desc())
        .limit(limit.count)
    )
    return list(connection.execute(query).scalars())


class Admission:
    """Who of a batch may be given secrets, as to rates and quarantine, within its transaction."""

    def __init__(self, tx: Writing, releasing: Sequence[AttestationRecord]) -> None:
        self._tx = tx
        self._quarantined = quarantine.every(tx)
        self._machines: dict[int, tuple[Mapping[str, str], str | None]] = {}
        self._taken: list[AttestationRecord] = []
        self._known: dict[tuple[_Group, Limit], list[datetime]] = {}
        self._oldest = min(item.time for item in releasing)
        if self._quarantined or any(item.rates for item in releasing):
            rows = tx.connection.execute(_OF, {"ids": [item.machine_id for item in releasing]})
            self._machines = {row.id: (row.tags, row.policy) for row in rows}

    def take(self, item: AttestationRecord) -> StoreError | None:
        """Why it may not be released, or None, and it counts for those after it."""
        labels, policy = self._machines.get(item.machine_id, ({}, None))
        found = quarantine.of_machine(self._quarantined, item.fingerprint, labels)
        if found is not None:
            return NotReleasable(f"it is in quarantine meanwhile: {found.reason}")
        for limit in item.rates:
            if concerns(limit, labels):
                count = self._count(limit, _group(limit, labels, policy), item.time)
                if count >= limit.count:
                    return RateExceeded(over_text(limit, count), limit.asks)
        self._taken.append(item)
        return None

    def _count(self, limit: Limit, group: _Group, time: datetime) -> int:
        key = (group, limit)
        if key not in self._known:
            self._known[key] = _times(self._tx.connection, group, limit, self._oldest)
        since = time - timedelta(seconds=limit.within_s)
        taken = [item.time for item in self._taken if group.has(*self._machines[item.machine_id])]
        return sum(released > since for released in (*self._known[key], *taken))
