# SPDX-License-Identifier: Apache-2.0
"""What a backup forgets: the audit chain went on after it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sqlalchemy import func, select

from pykexec.errors import UsageError
from pykexec.server.backup.backup import store_id
from pykexec.server.backup.header import Header
from pykexec.server.store import tables
from pykexec.server.store.store import Store

Anchor = tuple[int, str]
"""An entry of the chain, seq and hash, that was noted elsewhere."""


@dataclass(frozen=True, slots=True)
class Rollback:
    """entries are how many, of which actions; None where nobody can tell. at_least: there may have
    been more.
    """

    entries: int | None
    actions: Mapping[str, int] = field(default_factory=dict)
    at_least: bool = False

    @property
    def none(self) -> bool:
        """Whether it is certain that nothing is forgotten."""
        return self.entries == 0 and not self.at_least

    def __str__(self) -> str:
        if self.entries is None or (self.at_least and not self.entries):
            return "whatever happened since then, of which nothing here tells"
        of = ", ".join(f"{count} {action}" for action, count in sorted(self.actions.items()))
        words = f"{self.entries} entries of the audit trail"
        return f"{'at least ' * self.at_least}{words}{f' ({of})' if of else ''}"


def from_anchor(header: Header, anchor: Anchor | None) -> Rollback:
    """What a note tells: that so many entries are missing, never that none is. A note of an entry
    that the backup has is for the check of its chain.
    """
    if anchor is None:
        return Rollback(None)
    return Rollback(max(0, anchor[0] - header.seq), at_least=True)


def from_database(header: Header, old: Store) -> Rollback:
    """What the database has that the backup is to replace; UsageError where that is of another
    server, or has gone another way than the backup's.
    """
    if (found := store_id(old.keys)) != header.store:
        raise UsageError(f"a backup of the server {header.store}; the old database is of {found}")
    table = tables.audit.c
    with old.database.reading() as connection:
        if header.seq:
            query = select(table.hash).where(table.seq == header.seq)
            known = connection.execute(query).scalar_one_or_none()
            if known is not None and known != header.hash:
                raise UsageError(
                    f"the old database's audit trail has another entry {header.seq} than the "
                    "backup: it is no later state of it"
                )
        query = select(table.action, func.count()).where(table.seq > header.seq)
        found_actions = connection.execute(query.group_by(table.action)).all()
    actions = {str(action): int(count) for action, count in found_actions}
    return Rollback(sum(actions.values()), actions)


def age_of(header: Header) -> str:
    """When it was made, for people."""
    return header.time.isoformat(timespec="seconds")
