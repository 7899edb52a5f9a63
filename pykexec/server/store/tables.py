# SPDX-License-Identifier: Apache-2.0
"""The tables as the program sees them; migrations/ makes them and guards them by triggers."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)
from sqlalchemy.types import TypeEngine

from pykexec.server.store.column_types import Json, Timestamp
from pykexec.server.store.records import ENROLLED_BY, MACHINE_STATES, ROLES

metadata = MetaData()


def _id() -> TypeEngine[int]:
    # SQLite numbers rows only where the type is INTEGER.
    return BigInteger().with_variant(Integer, "sqlite")


def _one_of(column: str, values: tuple[str, ...], name: str) -> CheckConstraint:
    return CheckConstraint(f"{column} IN ({', '.join(map(repr, values))})", name=name)


store_key = Table(
    "store_key",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="store_key_one"), primary_key=True),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
)

machines = Table(
    "machines",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("fingerprint", String(64), nullable=False, unique=True),
    Column("ek_public", LargeBinary, nullable=False),
    Column("ek_algorithm", String(16), nullable=False),
    Column("certificate", LargeBinary),
    Column("certificate_info", Json, nullable=False),
    Column("name", Text, nullable=False),
    Column("state", String(16), nullable=False),
    Column("enrolled_by", String(16), nullable=False),
    Column("tags", Json, nullable=False),
    Column("policy", Text),
    Column("first_seen", Timestamp, nullable=False),
    Column("last_seen", Timestamp, nullable=False),
    Column("clock_ms", BigInteger),
    Column("reset_count", BigInteger),
    Column("restart_count", BigInteger),
    Column("ak_name", Text),
    Column("last_accepted", Boolean),
    Column("last_findings", Json),
    Column("network", Text, nullable=False, server_default=""),
    Column("seal", LargeBinary, nullable=False),
    _one_of("state", MACHINE_STATES, "machines_state"),
    _one_of("enrolled_by", ENROLLED_BY, "machines_enrolled_by"),
    Index("machines_by_state", "state"),
    Index("machines_by_policy", "policy"),
    sqlite_autoincrement=True,
)

policies = Table(
    "policies",
    metadata,
    Column("name", Text, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("text", Text, nullable=False),
    Column("sha256", String(64), nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("comment", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

# A secret that was replaced or revoked has neither key nor value any more; of those that have them
# the stage is "next", "current" or "previous" (keys/generations.py).
secrets = Table(
    "secrets",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("machine_id", ForeignKey("machines.id"), nullable=False),
    Column("name", Text, nullable=False),
    Column("kind", Text, nullable=False),
    Column("parameters", Json, nullable=False),
    Column("version", Integer, nullable=False),
    Column("wrapped", LargeBinary),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("revoked", Timestamp),
    Column("stage", String(16), nullable=False, server_default="current"),
    CheckConstraint(
        "(revoked IS NULL) = (wrapped IS NOT NULL) AND (revoked IS NULL) = (sealed IS NOT NULL)",
        name="secrets_destroyed",
    ),
    Index("secrets_versions", "machine_id", "name", "version", unique=True),
    Index(
        "secrets_alive",
        "machine_id",
        "name",
        "stage",
        unique=True,
        sqlite_where=text("revoked IS NULL"),
        postgresql_where=text("revoked IS NULL"),
    ),
    sqlite_autoincrement=True,
)

# Values of those, until they are destroyed for good.
retained = Table(
    "retained",
    metadata,
    Column("secret_id", ForeignKey("secrets.id"), primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("destroy", Timestamp, nullable=False),
    Index("retained_by_end", "destroy"),
)

# Keys by the master key before, for servers that do not have the new one yet; 0 is the store's own.
old_wrappings = Table(
    "old_wrappings",
    metadata,
    Column("secret_id", _id(), primary_key=True, autoincrement=False),
    Column("wrapped", LargeBinary, nullable=False),
    Column("key_id", Text, nullable=False),
)

settings = Table(
    "settings",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="settings_one"), primary_key=True),
    Column("value", Json, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

ek_hashes = Table(
    "ek_hashes",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("name", Text, nullable=False),
    Column("tags", Json, nullable=False),
    Column("policy", Text),
    Column("seal", LargeBinary, nullable=False),
)

ek_roots = Table(
    "ek_roots",
    metadata,
    Column("sha256", String(64), primary_key=True),
    Column("certificate", LargeBinary, nullable=False),
    Column("subject", Text, nullable=False),
    Column("seal", LargeBinary, nullable=False),
)

tokens = Table(
    "tokens",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("name", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("role", String(16), nullable=False),
    Column("created", Timestamp, nullable=False),
    Column("created_by", Text, nullable=False),
    Column("expires", Timestamp),
    Column("revoked", Timestamp),
    Column("last_used", Timestamp),
    Column("scope", Json, nullable=False, server_default="[]"),
    Column("seal", LargeBinary, nullable=False),
    _one_of("role", ROLES, "tokens_role"),
    Index(
        "tokens_current",
        "name",
        unique=True,
        sqlite_where=text("revoked IS NULL"),
        postgresql_where=text("revoked IS NULL"),
    ),
    sqlite_autoincrement=True,
)

# Where something was released: which request was answered, and how, until that was asked for again.
nonces = Table(
    "nonces",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("expires", Timestamp, nullable=False),
    Column("request", LargeBinary),
    Column("reply", LargeBinary),
    Index("nonces_by_expiry", "expires"),
)

attestations = Table(
    "attestations",
    metadata,
    Column("id", _id(), primary_key=True),
    Column("time", Timestamp, nullable=False),
    Column("fingerprint", String(64), nullable=False),
    Column("machine_id", ForeignKey("machines.id")),
    Column("accepted", Boolean, nullable=False),
    Column("findings", Json, nullable=False),
    Column("policy", Text),
    Column("policy_version", Integer),
    Column("peer", Text, nullable=False),
    Column("clock_ms", BigInteger),
    Column("reset_count", BigInteger),
    Column("restart_count", BigInteger),
    Column("ak_name", Text),
    Column("released", Json, nullable=False),
    Column("evidence", LargeBinary),
    Index("attestations_by_machine", "machine_id", "id"),
    Index("attestations_by_time", "time"),
    Index(
        "attestations_with_evidence",
        "machine_id",
        "id",
        sqlite_where=text("evidence IS NOT NULL"),
        postgresql_where=text("evidence IS NOT NULL"),
    ),
    sqlite_autoincrement=True,
)

releases = Table(
    "releases",
    metadata,
    Column("machine_id", ForeignKey("machines.id"), primary_key=True, autoincrement=False),
    Column("reset_count", BigInteger, primary_key=True, autoincrement=False),
    Column("restart_count", BigInteger, primary_key=True, autoincrement=False),
    Column("time", Timestamp, nullable=False),
    Index("releases_by_time", "time"),
)

audit = Table(
    "audit",
    metadata,
    Column("seq", _id(), primary_key=True, autoincrement=False),
    Column("time", Timestamp, nullable=False),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False),
    # Its very text is part of what the hash covers.
    Column("detail", Text, nullable=False),
    Column("previous", String(64), nullable=False),
    Column("hash", String(64), nullable=False),
    Index("audit_by_subject", "subject", "seq"),
)

audit_head = Table(
    "audit_head",
    metadata,
    Column("id", Integer, CheckConstraint("id = 1", name="audit_head_one"), primary_key=True),
    Column("seq", BigInteger, nullable=False),
    Column("hash", String(64), nullable=False),
    Column("mac", LargeBinary, nullable=False),
)
