# SPDX-License-Identifier: Apache-2.0
"""The tables of operators: their passwords, sessions, security keys and last logins."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Index,
    LargeBinary,
    String,
    Table,
    Text,
)

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.tables import metadata

operators = Table(
    "operators",
    metadata,
    Column("name", Text, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("password", Text, nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("scope", Json, nullable=False, server_default="[]"),
    Column("seal", LargeBinary, nullable=False),
    CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="operators_role"),
)

# actor is "operator:NAME" or "person:SUBJECT"; groups are those of the login, of persons alone.
sessions = Table(
    "sessions",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("reference", String(32), nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("scope", Json, nullable=False),
    Column("groups", Json),
    Column("how", String(16), nullable=False),
    Column("keyed", Boolean, nullable=False),
    Column("state", String(16), nullable=False),
    Column("challenge", LargeBinary),
    Column("started", Timestamp, nullable=False),
    Column("used", Timestamp, nullable=False),
    Column("peer", Text, nullable=False),
    Column("agent", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
    Index("sessions_by_actor", "actor"),
    Index("sessions_by_start", "started"),
)

security_keys = Table(
    "security_keys",
    metadata,
    Column("credential", LargeBinary, primary_key=True),
    Column("reference", String(32), nullable=False, unique=True),
    Column("actor", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("public", LargeBinary, nullable=False),
    Column("counter", BigInteger, nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("last_used", Timestamp),
    Column("seal", LargeBinary, nullable=False),
    Index("security_keys_by_actor", "actor"),
)

# The last login of each, for administrators to see who has which right.
logins = Table(
    "operator_logins",
    metadata,
    Column("actor", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", String(16), nullable=False),
    Column("scope", Json, nullable=False),
    Column("how", String(16), nullable=False),
    Column("time", Timestamp, nullable=False),
    Column("peer", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)
