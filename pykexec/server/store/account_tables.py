# SPDX-License-Identifier: Apache-2.0
"""The tables of those who log in to the operator page."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, String, Table, Text

from pykexec.server.store.column_types import Timestamp
from pykexec.server.store.tables import metadata

operators = Table(
    "operators",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", Text, nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="operators_role"),
)

sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("operator", ForeignKey("operators.name", ondelete="CASCADE"), nullable=False),
    Column("started", Timestamp, nullable=False),
    Column("used", Timestamp, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("sessions_by_operator", "operator"),
    Index("sessions_by_start", "started"),
)
