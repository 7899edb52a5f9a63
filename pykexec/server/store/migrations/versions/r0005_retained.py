# SPDX-License-Identifier: Apache-2.0
"""Values that were replaced or revoked are kept for a while, and keys by the master key before."""

import sqlalchemy as sa
from alembic import op

from pykexec.server.store.migrations.guards import final_state, lift

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def upgrade() -> None:
    """Make both tables; a retirement can be taken back as long as there is something to give."""
    op.create_table(
        "retained",
        sa.Column(
            "secret_id",
            _id(),
            sa.ForeignKey("secrets.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("destroy", sa.BigInteger, nullable=False),
    )
    op.create_index("retained_by_end", "retained", ["destroy"])
    op.create_table(
        "old_wrappings",
        sa.Column("secret_id", _id(), primary_key=True, autoincrement=False),
        sa.Column("wrapped", sa.LargeBinary, nullable=False),
        sa.Column("key_id", sa.Text, nullable=False),
    )
    lift("machines", "final")
    final_state(
        "machines",
        "retired",
        "NEW.state = 'refused' AND EXISTS (SELECT 1 FROM retained JOIN secrets"
        " ON secrets.id = retained.secret_id WHERE secrets.machine_id = OLD.id)",
    )
