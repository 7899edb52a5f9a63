# SPDX-License-Identifier: Apache-2.0
"""Operators by the login service, their security keys, and scopes; all have to log in anew."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make the tables anew, and two columns."""
    for table in ("operators", "tokens"):
        op.add_column(table, sa.Column("scope", sa.Text, nullable=False, server_default="[]"))
    op.drop_table("sessions")
    _sessions()
    op.create_table(
        "security_keys",
        sa.Column("credential", sa.LargeBinary, primary_key=True),
        sa.Column("reference", sa.String(32), nullable=False, unique=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("public", sa.LargeBinary, nullable=False),
        sa.Column("counter", sa.BigInteger, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("last_used", sa.BigInteger),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("security_keys_by_actor", "security_keys", ["actor"])
    op.create_table(
        "operator_logins",
        sa.Column("actor", sa.Text, primary_key=True),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column("reference", sa.String(32), nullable=False, unique=True),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("scope", sa.Text, nullable=False),
        sa.Column("groups", sa.Text),
        sa.Column("how", sa.String(16), nullable=False),
        sa.Column("keyed", sa.Boolean, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("challenge", sa.LargeBinary),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("agent", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("sessions_by_actor", "sessions", ["actor"])
    op.create_index("sessions_by_start", "sessions", ["started"])
