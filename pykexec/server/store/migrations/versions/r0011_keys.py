# SPDX-License-Identifier: Apache-2.0
"""Keys have generations: several of one name, plans for them, what has to go, what was destroyed;
and machines whose keys go to another EK.
"""

import sqlalchemy as sa
from alembic import op

from pykexec.server.store.migrations.guards import append_only

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def _id() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer, "sqlite")


def _machine() -> sa.Column[int]:
    return sa.Column(
        "machine_id",
        _id(),
        sa.ForeignKey("machines.id"),
        primary_key=True,
        autoincrement=False,
    )


def upgrade() -> None:
    """Make the tables; all that there is so far is current."""
    stage = sa.Column("stage", sa.String(16), nullable=False, server_default="current")
    op.add_column("secrets", stage)
    op.drop_index("secrets_current", "secrets")
    op.create_index(
        "secrets_alive",
        "secrets",
        ["machine_id", "name", "stage"],
        unique=True,
        sqlite_where=sa.text("revoked IS NULL"),
        postgresql_where=sa.text("revoked IS NULL"),
    )
    op.create_table(
        "key_plans",
        _machine(),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("kind", sa.Text, nullable=False),
        sa.Column("parameters", sa.Text, nullable=False),
        sa.Column("rotate_days", sa.Integer, nullable=False),
        sa.Column("created", sa.BigInteger, nullable=False),
        sa.Column("created_by", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "key_generations",
        sa.Column(
            "secret_id",
            _id(),
            sa.ForeignKey("secrets.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("digest", sa.LargeBinary, nullable=False),
        sa.Column("proven", sa.BigInteger),
        sa.Column("used", sa.BigInteger),
        sa.Column("verdict", sa.Text, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "key_destructions",
        sa.Column(
            "secret_id",
            _id(),
            sa.ForeignKey("secrets.id"),
            primary_key=True,
            autoincrement=False,
        ),
        sa.Column("machine_id", _id(), sa.ForeignKey("machines.id"), nullable=False),
        sa.Column("time", sa.BigInteger, nullable=False),
        sa.Column("certificate", sa.Text, nullable=False),
    )
    op.create_index("key_destructions_by_machine", "key_destructions", ["machine_id"])
    append_only("key_destructions")
    op.create_table(
        "key_rebinds",
        _machine(),
        sa.Column("to_id", _id(), sa.ForeignKey("machines.id"), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("actor", sa.Text, nullable=False),
        sa.Column("asked", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
    op.create_table(
        "key_rotations",
        _machine(),
        sa.Column("name", sa.Text, primary_key=True),
        sa.Column("version", sa.Integer, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("since", sa.BigInteger, nullable=False),
        sa.Column("seal", sa.LargeBinary, nullable=False),
    )
