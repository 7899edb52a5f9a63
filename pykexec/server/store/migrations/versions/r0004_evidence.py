# SPDX-License-Identifier: Apache-2.0
"""An index by which a machine's old evidence is found."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make it."""
    kept = sa.text("evidence IS NOT NULL")
    op.create_index(
        "attestations_with_evidence",
        "attestations",
        ["machine_id", "id"],
        sqlite_where=kept,
        postgresql_where=kept,
    )
