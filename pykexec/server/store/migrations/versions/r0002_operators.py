# SPDX-License-Identifier: Apache-2.0
"""Operators who log in to the page, and their sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "operators",
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("password", sa.Text, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'operator', 'admin')", name="operators_role"),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary, primary_key=True),
        sa.Column(
            "operator",
            sa.Text,
            sa.ForeignKey("operators.name", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("started", sa.BigInteger, nullable=False),
        sa.Column("used", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("sessions_by_operator", "sessions", ["operator"])
    op.create_index("sessions_by_start", "sessions", ["started"])
