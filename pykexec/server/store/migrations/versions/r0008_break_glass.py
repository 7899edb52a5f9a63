# SPDX-License-Identifier: Apache-2.0
"""What was accepted last of machines that may be helped without a network."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make the table."""
    op.create_table(
        "last_accepted",
        sa.Column("machine_id", _id(), sa.ForeignKey("machines.id"), primary_key=True),
        sa.Column("ak_name", sa.Text, nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("claims", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_index("last_accepted_by_ak", "last_accepted", ["ak_name"])
