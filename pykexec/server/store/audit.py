# SPDX-License-Identifier: Apache-2.0
"""The audit chain: every entry holds the hash of the one before, the last one's is sealed.

An entry's hash is SHA-256 of the canonical JSON (types.canonical) of its action, actor, detail,
previous, seq, subject and time_ms, in UTF-8; previous of the first is 64 zeros. So who changes,
drops or inserts an entry changes all hashes after it, and the head's MAC is by the store's key.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from pykexec.server import quotas
from pykexec.server.canonical import canonical, from_ms, to_ms
from pykexec.server.errors import Tampered
from pykexec.server.keys.keys import Keys
from pykexec.server.keys.signing import Signing
from pykexec.server.store import tables
from pykexec.server.store.records import AuditEntry
from pykexec.server.store.view import View

START = "0" * 64
HEADS = Signing("audit heads", b"pykexec audit head 1\0", "anchor")
"""Signs where the chain ends, to be kept elsewhere."""
# Asked with every change: putting a statement together takes longer than carrying it out.
_HEAD = select(tables.audit_head)
_LOCK_HEAD = _HEAD.with_for_update()
_INSERT, _UPDATE_HEAD = insert(tables.audit), update(tables.audit_head)


class Chain:
    """The locked head of the chain within one transaction; who holds it is alone in writing."""

    def __init__(self, connection: Connection, keys: Keys) -> None:
        self._connection = connection
        self._keys = keys
        row = connection.execute(_LOCK_HEAD).one_or_none()
        if row is None:
            raise Tampered("the audit chain has no head")
        check_row(keys, row)
        self._seq = row.seq
        self._hash = row.hash
        self._new: list[dict[str, object]] = []
        self.pending: list[AuditEntry] = []
        """What was appended; it is written by finish()."""

    def append(
        self,
        time: datetime,
        actor: str,
        action: str,
        subject: str,
        detail: Mapping[str, object] | None = None,
    ) -> AuditEntry:
        """Add an entry; it is written by finish()."""
        self._seq += 1
        previous = self._hash
        content = dict(detail or {})
        self._hash = hash_of(self._seq, to_ms(time), actor, action, subject, content, previous)
        self._new.append(
            {
                "seq": self._seq,
                "time": time,
                "actor": actor,
                "action": action,
                "subject": subject,
                "detail": canonical(content),
                "previous": previous,
                "hash": self._hash,
            }
        )
        when = from_ms(to_ms(time))
        entry = AuditEntry(self._seq, when, actor, action, subject, content, previous, self._hash)
        self.pending.append(entry)
        return entry

    def finish(self) -> None:
        """Write the entries and the new head."""
        if not self._new:
            return
        self._connection.execute(_INSERT, self._new)
        self._connection.execute(_UPDATE_HEAD, head_values(self._keys, self._seq, self._hash))
        self._new, self.pending = [], []


def head_values(keys: Keys, seq: int, last: str) -> dict[str, object]:
    """Columns of the head."""
    return {"seq": seq, "hash": last, "mac": keys.seal("audit_head", seq, last)}


def entries(
    view: View,
    before: int | None,
    limit: int,
    actor: str | None,
    action: str | None,
    subject: str | None,
    among: Select[str] | None = None,
) -> tuple[AuditEntry, ...]:
    """Newest first; among selects the subjects that are looked at."""
    table = tables.audit
    query = select(table).order_by(table.c.seq.desc()).limit(limit)
    if among is not None:
        query = query.where(table.c.subject.in_(among))
    if before is not None:
        query = query.where(table.c.seq < before)
    for column, value in ((table.c.actor, actor), (table.c.action, action)):
        if value is not None:
            query = query.where(column == value)
    if subject is not None:
        query = query.where(table.c.subject == subject)
    return tuple(_entry(row) for row in view.connection.execute(query))


def chosen(
    view: View, after: int, until: int, actions: Collection[str], limit: int
) -> tuple[AuditEntry, ...]:
    """Oldest first: those of these actions behind one seq, up to another."""
    column = tables.audit.c
    query = select(tables.audit).where(
        column.seq > after, column.seq <= until, column.action.in_(actions)
    )
    rows = view.connection.execute(query.order_by(column.seq).limit(limit))
    return tuple(_entry(row) for row in rows)


def following(view: View, after: int, limit: int = quotas.ROWS_AT_ONCE) -> tuple[AuditEntry, ...]:
    """Oldest first: those behind a seq, not too many."""
    return tuple(_entry(row) for row in rows_after(view.connection, after, limit))


def export_page(view: View, after: int) -> tuple[int, list[str]]:
    """Lines of JSON, what the hash covers and the hash, of the entries after that seq; with the
    last one's seq, 0 where there is none. The chain never changes: pages are one whole.
    """
    found, last = [], 0
    for entry in following(view, after):
        found.append(canonical(as_exported(entry)))
        last = entry.seq
    return last, found


def as_exported(entry: AuditEntry) -> dict[str, object]:
    """What its hash covers, and the hash."""
    return {**_covered(*_content(entry)), "hash": entry.hash}


def is_whole(entry: AuditEntry) -> bool:
    """Whether its hash is that of what it says, which others may have written."""
    try:
        return hash_of(*_content(entry)) == entry.hash
    except (ValueError, RecursionError):
        return False


def _content(
    entry: AuditEntry,
) -> tuple[int, int, str, str, str, Mapping[str, object], str]:
    time_ms = to_ms(entry.time)
    return (
        entry.seq,
        time_ms,
        entry.actor,
        entry.action,
        entry.subject,
        entry.detail,
        entry.previous,
    )


def rows_after(
    connection: Connection, seq: int, limit: int = quotas.ROWS_AT_ONCE
) -> list[Row[Any]]:
    """The next rows, not too many."""
    table = tables.audit
    query = select(table).where(table.c.seq > seq).order_by(table.c.seq)
    return list(connection.execute(query.limit(limit)))


def last(connection: Connection, subject: str) -> int:
    """The seq of the last entry about it, 0 where there is none."""
    table = tables.audit.c
    query = select(func.max(table.seq)).where(table.subject == subject)
    return connection.execute(query).scalar_one() or 0


def check_head(view: View) -> None:
    """Tampered unless the chain's head is ours."""
    _our_head(view)


def signed_head(view: View, time: datetime) -> dict[str, str]:
    """The server's word that the chain ends so at that time; Tampered unless the head is ours."""
    row = _our_head(view)
    said = {"version": 1, "seq": row.seq, "hash": row.hash, "time_ms": to_ms(time)}
    return HEADS.sign(view.keys, said)


def _our_head(view: View) -> Row[Any]:
    row = view.connection.execute(_HEAD).one_or_none()
    if row is None:
        raise Tampered("the audit chain has no head")
    check_row(view.keys, row)
    return row


def check_row(keys: Keys, head: Row[Any]) -> None:
    """Tampered unless it is ours."""
    if not hmac.compare_digest(head.mac, keys.seal("audit_head", head.seq, head.hash)):
        raise Tampered("the head of the audit chain is not as this server wrote it")


def hash_of(
    seq: int,
    time_ms: int,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
    previous: str,
) -> str:
    """Of an entry."""
    covered = _covered(seq, time_ms, actor, action, subject, detail, previous)
    return hashlib.sha256(canonical(covered).encode()).hexdigest()


def _covered(
    seq: int,
    time_ms: int,
    actor: str,
    action: str,
    subject: str,
    detail: Mapping[str, object],
    previous: str,
) -> dict[str, object]:
    return {
        "seq": seq,
        "time_ms": time_ms,
        "actor": actor,
        "action": action,
        "subject": subject,
        "detail": dict(detail),
        "previous": previous,
    }


def _entry(row: Row[Any]) -> AuditEntry:
    return AuditEntry(
        row.seq,
        row.time,
        row.actor,
        row.action,
        row.subject,
        json.loads(row.detail),
        row.previous,
        row.hash,
    )
