# SPDX-License-Identifier: Apache-2.0
"""The table of webhooks: who is told of what, and up to which entry of the audit trail that was
done. The trail itself is their queue.
"""

from __future__ import annotations

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Table, Text

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.tables import metadata

# address is encrypted: many receivers have a secret in it. due is when it is looked at next, and
# so whose turn it is: who takes it moves it on.
webhooks = Table(
    "webhooks",
    metadata,
    Column("name", Text, primary_key=True),
    Column("address", Text, nullable=False),
    Column("salt", LargeBinary, nullable=False),
    Column("events", Json, nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("seq", BigInteger, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due", Timestamp, nullable=False),
    Column("failing", Timestamp),
    Column("stopped", Timestamp),
    Column("last", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("webhooks_by_due", "due"),
)
