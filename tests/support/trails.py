# SPDX-License-Identifier: Apache-2.0
"""Hands that rewrite an audit trail, so that nothing in the database tells of it."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from pykexec.server.canonical import from_ms
from pykexec.server.store import audit, tables
from pykexec.server.store.store import Store
from tests.support.store_samples import drop_guard

Change = Callable[[list[dict[str, Any]]], object]


def rewrite(store: Store, change: Change) -> None:
    """As somebody could who has the database *and* the store's key."""
    rows = [json.loads(line) for line in store.export_audit()]
    change(rows)
    drop_guard(store, "audit", "no_delete")
    with store.database.changing() as connection:
        connection.execute(tables.audit.delete())
        zero = audit.head_values(store.keys, 0, audit.START)
        connection.execute(tables.audit_head.update().values(zero))
    with store.database.writing(store.keys) as tx:
        for row in rows:
            time = from_ms(row["time_ms"])
            tx.chain.append(time, row["actor"], row["action"], row["subject"], row["detail"])
