# SPDX-License-Identifier: Apache-2.0
"""The sealed reply beside its nonce, for the attester that did not hear it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add both columns."""
    op.add_column("nonces", sa.Column("request", sa.LargeBinary))
    op.add_column("nonces", sa.Column("reply", sa.LargeBinary))
