# SPDX-License-Identifier: Apache-2.0
"""From which network a machine came first, and that one which only waits can be forgotten."""

import sqlalchemy as sa
from alembic import op

from pykexec.server.store.migrations.guards import lift, no_delete

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; a machine that waits for approval may make room for another."""
    op.add_column("machines", sa.Column("network", sa.Text, nullable=False, server_default=""))
    lift("machines", "no_delete")
    no_delete("machines", "OLD.state <> 'pending'")
