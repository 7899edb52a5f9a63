# SPDX-License-Identifier: Apache-2.0
"""The tables of boots that wait for persons, and of the persons who have logged in for them.

What is decided stands in the audit chain; these rows are gone soon after their time.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
)

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.tables import metadata

approvals = Table(
    "approvals",
    metadata,
    Column("reference", String(32), primary_key=True),
    Column("machine_id", ForeignKey("machines.id"), nullable=False),
    Column("code", LargeBinary, nullable=False),
    Column("state", String(16), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("asked", Timestamp, nullable=False),
    Column("expires", Timestamp, nullable=False),
    Column("peer", Text, nullable=False),
    Column("statement", LargeBinary, nullable=False),
    Column("policy", Text, nullable=False),
    Column("policy_version", Integer, nullable=False),
    Column("claims", Json, nullable=False),
    Column("findings", Json, nullable=False),
    Column("clock_ms", BigInteger, nullable=False),
    Column("reset_count", BigInteger, nullable=False),
    Column("restart_count", BigInteger, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("approvals_by_machine", "machine_id"),
    Index("approvals_by_code", "code"),
    Index("approvals_by_end", "expires"),
)

persons = Table(
    "approval_persons",
    metadata,
    Column("session", LargeBinary, primary_key=True),
    Column("reference", ForeignKey("approvals.reference", ondelete="CASCADE"), nullable=False),
    Column("subject", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("groups", Json),
    Column("acr", Text, nullable=False),
    Column("amr", Json, nullable=False),
    Column("auth_time", Timestamp, nullable=False),
    Column("token", Text, nullable=False),
    Column("key_set", Text, nullable=False),
    Column("opened", Timestamp, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("approval_persons_by_approval", "reference"),
)
