# SPDX-License-Identifier: Apache-2.0
"""Rows of attestations and nonces that are not kept any longer, or of which there are too many."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, delete, func, select, update

from pykexec.server import quotas
from pykexec.server.store import tables

_TABLE, _NONCES = tables.attestations, tables.nonces


def forget_nonces(connection: Connection, now: datetime) -> int:
    """Those that no challenge can name any more."""
    return connection.execute(delete(_NONCES).where(_NONCES.c.expires < now)).rowcount


def forget(connection: Connection, before: datetime) -> int:
    """Attestations; what was released stays known."""
    return connection.execute(delete(_TABLE).where(_TABLE.c.time < before)).rowcount


def crowded(connection: Connection) -> list[tuple[int, int, int]]:
    """Machines with more attestations, or more evidence, than are kept, by number: up to which ids
    attestations, and evidence, are to go.
    """
    has = _TABLE.c.evidence.is_not(None)
    groups = select(_TABLE.c.machine_id).group_by(_TABLE.c.machine_id)
    many = groups.having(func.count() > quotas.ATTESTATIONS_KEPT)
    much = groups.where(has).having(func.count() > quotas.EVIDENCE_KEPT)
    found = []
    for machine_id in connection.execute(many.union(much)).scalars():
        newest = select(_TABLE.c.id).where(_TABLE.c.machine_id == machine_id)
        newest = newest.order_by(_TABLE.c.id.desc()).limit(1)
        last, last_evidence = (
            connection.execute(query).scalar_one_or_none() or 0
            for query in (
                newest.offset(quotas.ATTESTATIONS_KEPT),
                newest.where(has).offset(quotas.EVIDENCE_KEPT),
            )
        )
        found.append((machine_id, last, last_evidence))
    return found


def thin_out(connection: Connection, machine_id: int, last: int, last_evidence: int) -> int:
    """Forget attestations up to one, and evidence up to one; how many of the former."""
    mine = _TABLE.c.machine_id == machine_id
    connection.execute(
        update(_TABLE).where(mine, _TABLE.c.id <= last_evidence).values(evidence=None)
    )
    return connection.execute(delete(_TABLE).where(mine, _TABLE.c.id <= last)).rowcount
