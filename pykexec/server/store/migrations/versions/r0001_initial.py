# SPDX-License-Identifier: Apache-2.0
"""The first schema: machines, policies, secrets, attestations, audit."""

import sqlalchemy as sa
from alembic import op

from pykexec.server.store.migrations.guards import append_only, final_state, fixed_columns

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make every table, then what guards them."""
    op.create_table(
        "store_key",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.CheckConstraint("id = 1", name="store_key_one"),
    )
    _machines()
    op.create_table(
        "policies",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, primary_key=True),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("comment", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    _secrets()
    _enrolment()
    _tokens()
    _attestations()
    _audit()
    append_only("audit")
    append_only("policies")
    fixed_columns("machines", "fingerprint", "ek_public")
    final_state("machines", "retired")


def _machines() -> None:
    op.create_table(
        "machines",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("fingerprint", sa.String(64), nullable=False, unique=True),
        sa.Column("ek_public", sa.LargeBinary, nullable=False),
        sa.Column("ek_algorithm", sa.String(16), nullable=False),
        sa.Column("certificate", sa.LargeBinary),
        sa.Column("certificate_info", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("enrolled_by", sa.String(16), nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("policy", sa.Text),
        sa.Column("first_seen", sa.BigInteger, nullable=False),
        sa.Column("last_seen", sa.BigInteger, nullable=False),
        sa.Column("clock_ms", sa.BigInteger),
        sa.Column("reset_count", sa.BigInteger),
        sa.Column("restart_count", sa.BigInteger),
        sa.Column("ak_name", sa.Text),
        sa.Column("last_accepted", sa.Boolean),
        sa.Column("last_findings", sa.Text),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.CheckConstraint(
            "state IN ('pending', 'enrolled', 'refused', 'retired')", name="machines_state"
        ),
        sa.CheckConstraint(
            "enrolled_by IN ('certificate', 'hash', 'first-use', 'operator')",
            name="machines_enrolled_by",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("machines_by_state", "machines", ["state"])
    op.create_index("machines_by_policy", "machines", ["policy"])


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("machine_id", _id(), sa.ForeignKey("machines.id"), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("wrapped", sa.LargeBinary),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("revoked", sa.BigInteger),
        sa.CheckConstraint(
            "(revoked IS NULL) = (wrapped IS NOT NULL)"
            " AND (revoked IS NULL) = (sealed IS NOT NULL)",
            name="secrets_destroyed",
        ),
        sqlite_autoincrement=True,
    )
    op.create_index("secrets_versions", "secrets", ["machine_id", "name", "version"], unique=True)
    _unique_unless_revoked("secrets_current", "secrets", ["machine_id", "name"])


def _unique_unless_revoked(name: str, table: str, columns: list[str]) -> None:
    current = sa.text("revoked IS NULL")
    op.create_index(
        name, table, columns, unique=True, sqlite_where=current, postgresql_where=current
    )


def _enrolment() -> None:
    op.create_table(
        "settings",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("value", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("id = 1", name="settings_one"),
    )
    op.create_table(
        "ek_hashes",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("tags", sa.Text, nullable=False),
        sa.Column("policy", sa.Text),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "ek_roots",
        sa.Column("sha256", sa.String(64), primary_key=True),
        sa.Column("certificate", sa.LargeBinary, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("digest", sa.LargeBinary, nullable=False, unique=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("expires", sa.BigInteger),
        sa.Column("revoked", sa.BigInteger),
        sa.Column("last_used", sa.BigInteger),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="tokens_role"),
        sqlite_autoincrement=True,
    )
    _unique_unless_revoked("tokens_current", "tokens", ["name"])


def _attestations() -> None:
    op.create_table(
        "nonces",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("expires", sa.BigInteger, nullable=False),
    )
    op.create_index("nonces_by_expiry", "nonces", ["expires"])
    op.create_table(
        "attestations",
        sa.Column("id", _id(), primary_key=True),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("machine_id", _id(), sa.ForeignKey("machines.id")),
        sa.Column("accepted", sa.Boolean, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("policy", sa.Text),
        sa.Column("policy_version", sa.Integer),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("clock_ms", sa.BigInteger),
        sa.Column("reset_count", sa.BigInteger),
        sa.Column("restart_count", sa.BigInteger),
        sa.Column("ak_name", sa.Text),
        sa.Column("released", sa.Text, nullable=False),
        sa.Column("evidence", sa.LargeBinary),
        sqlite_autoincrement=True,
    )
    op.create_index("attestations_by_machine", "attestations", ["machine_id", "id"])
    op.create_index("attestations_by_time", "attestations", ["time"])
    op.create_table(
        "releases",
        sa.Column("machine_id", _id(), sa.ForeignKey("machines.id"), primary_key=True),
        sa.Column("reset_count", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("restart_count", sa.BigInteger, primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
    )


def _audit() -> None:
    op.create_table(
        "audit",
        sa.Column("seq", _id(), primary_key=True, autoincrement=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("action", sa.Text, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("previous", sa.String(64), nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
    )
    op.create_index("audit_by_subject", "audit", ["subject", "seq"])
    op.create_table(
        "audit_head",
        sa.Column("id", sa.Integer, primary_key=True),
        sa.Column("seq", sa.BigInteger, nullable=False),
        sa.Column("hash", sa.String(64), nullable=False),
        sa.Column("mac", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("id = 1", name="audit_head_one"),
    )
