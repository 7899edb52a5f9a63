# SPDX-License-Identifier: Apache-2.0
"""Whether the audit chain is whole (every link, its head, an entry that was noted elsewhere), and
whether the tables are what it says of them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import Row, select

from pykexec.server.canonical import canonical, to_ms
from pykexec.server.errors import Tampered
from pykexec.server.keys.keys import Keys
from pykexec.server.store import audit, tables
from pykexec.server.store.audit import START
from pykexec.server.store.chain_state import ChainState
from pykexec.server.store.database import Database
from pykexec.server.store.records import AuditCheck
from pykexec.server.store.view import Reading, View

_FAULTS_MAX = 100


def check(database: Database, keys: Keys, anchor: tuple[int, str] | None) -> AuditCheck:
    """Walk the whole chain, by pages, which keeps nobody waiting; its end in one view."""
    walk = Walk(anchor)
    while rows := database.read(lambda connection: audit.rows_after(connection, walk.seq)):
        for row in rows:
            walk.take(row)
    with database.reading() as connection:
        while rows := audit.rows_after(connection, walk.seq):
            for row in rows:
                walk.take(row)
        return walk.end(Reading(connection, keys))


class Walk:
    """Checks link after link, as rows come."""

    def __init__(self, anchor: tuple[int, str] | None = None) -> None:
        self.seq, self.last, self.count = 0, START, 0
        self.faults: list[str] = []
        self._state = ChainState()
        self._anchor = anchor
        self._anchored = anchor is None or anchor == (0, START)

    def take(self, row: Row[Any]) -> None:
        """The next one."""
        self.count += 1
        if row.seq != self.seq + 1:
            self._fault(f"entries {self.seq + 1} to {row.seq - 1} are missing")
        elif row.previous != self.last:
            self._fault(f"entry {row.seq} does not follow entry {self.seq}")
        if (fault := self._look_at(row)) is not None:
            self._fault(f"entry {row.seq} {fault}")
        self._anchored = self._anchored or self._anchor == (row.seq, row.hash)
        self.seq, self.last = row.seq, row.hash

    def _look_at(self, row: Row[Any]) -> str | None:
        """Anybody who writes to the database can make an entry's hash right; its head's, nobody."""
        try:
            detail = json.loads(row.detail)
            rewritten = canonical(detail) != row.detail
        except (ValueError, RecursionError):
            return "has a detail that is no JSON"
        if rewritten or not isinstance(detail, dict):
            return "has a detail that was rewritten"
        time_ms = to_ms(row.time)
        content = (row.seq, time_ms, row.actor, row.action, row.subject, detail, row.previous)
        if audit.hash_of(*content) != row.hash:
            return "was changed"
        try:
            self._state.take(row.subject, row.action, detail)
        except (IndexError, KeyError, TypeError, ValueError):
            return f"has a detail that {row.action} does not have"
        return None

    def _fault(self, text: str) -> None:
        if len(self.faults) < _FAULTS_MAX:
            self.faults.append(text)

    def end(self, view: View) -> AuditCheck:
        """Compare with the chain's head and the tables; view has no entry that was not taken."""
        head = view.connection.execute(select(tables.audit_head)).one_or_none()
        if head is None:
            self._fault("the chain has no head")
        else:
            for fault in _head_faults(view.keys, head, self.seq, self.last):
                self._fault(fault)
        if self._anchor is not None and not self._anchored:
            seq = self._anchor[0]
            self._fault(f"the chain has no entry {seq} with the hash that was noted")
        if not self.faults:
            # A chain that is not whole tells nothing of the tables.
            for fault in self._state.faults(view):
                self._fault(fault)
        return AuditCheck(self.count, self.last, tuple(self.faults))


def _head_faults(keys: Keys, head: Row[Any], seq: int, last: str) -> Iterator[str]:
    try:
        audit.check_row(keys, head)
    except Tampered as error:
        yield str(error)
    if head.seq > seq:
        yield f"entries {seq + 1} to {head.seq} are missing at the end"
    elif (head.seq, head.hash) != (seq, last):
        yield f"the chain ends with entry {seq}, its head says {head.seq}"
