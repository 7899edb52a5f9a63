# SPDX-License-Identifier: Apache-2.0
"""Boots that wait for persons, and the persons who have logged in for them."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "approvals",
        sa.Column("reference", sa.String(32), primary_key=True),
        sa.Column("machine_id", _id(), sa.ForeignKey("machines.id"), nullable=False),
        sa.Column("code", sa.LargeBinary, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("expires", sa.BigInteger, nullable=False),
        sa.Column("peer", sa.Text, nullable=False),
        sa.Column("statement", sa.LargeBinary, nullable=False),
        sa.Column("policy", sa.Text, nullable=False),
        sa.Column("policy_version", sa.Integer, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("findings", sa.Text, nullable=False),
        sa.Column("clock_ms", sa.BigInteger, nullable=False),
        sa.Column("reset_count", sa.BigInteger, nullable=False),
        sa.Column("restart_count", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("approvals_by_machine", "approvals", ["machine_id"])
    op.create_index("approvals_by_code", "approvals", ["code"])
    op.create_index("approvals_by_end", "approvals", ["expires"])
    op.create_table(
        "approval_persons",
        sa.Column("session", sa.LargeBinary, primary_key=True),
        sa.Column(
            "reference",
            sa.String(32),
            sa.ForeignKey("approvals.reference", ondelete="CASCADE"),
            nullable=False,
        ),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("groups", sa.Text),
        sa.Column("acr", sa.Text, nullable=False),
        sa.Column("amr", sa.Text, nullable=False),
        sa.Column("auth_time", sa.BigInteger, nullable=False),
        sa.Column("token", sa.Text, nullable=False),
        sa.Column("key_set", sa.Text, nullable=False),
        sa.Column("opened", sa.BigInteger, nullable=False),
        sa.Column("decision", sa.String(16), nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("approval_persons_by_approval", "approval_persons", ["reference"])
